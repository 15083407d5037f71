// Words with their times and confidences, as a recogniser's tokens tell them.

// Args:
//   pieces: of the vocabulary; the first is the blank, and "▁" is a space.
//   tokens: of an utterance, `{ id, frame, logProb, final }`.
//   frameSeconds: from one encoder frame to the next.
// A word's confidence is the geometric mean of its tokens' probabilities; it is final if they are.
export function wordsOf(pieces, tokens, frameSeconds) {
  const words = [];
  let isInside = false;
  for (const token of tokens) {
    const piece = token.id === 0 ? "" : pieces[token.id].replaceAll("▁", " ");
    piece.split(/\s/).forEach((part, number) => {
      isInside &&= number === 0;
      if (part === "") return;
      if (!isInside) words.push({ text: "", tokens: [] });
      const word = words.at(-1);
      word.text += part;
      word.tokens.push(token);
      isInside = true;
    });
  }
  return words.map(({ text, tokens: said }) => ({
    text,
    start: said[0].frame * frameSeconds,
    end: (said.at(-1).frame + 1) * frameSeconds,
    confidence: Math.exp(said.reduce((sum, token) => sum + token.logProb, 0) / said.length),
    final: said.every((token) => token.final),
  }));
}
