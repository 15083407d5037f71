package org.int4conformer.lite

import kotlin.math.exp
import kotlin.math.min
import org.int4conformer.lite.text.Vocabulary

/**
 * A token as a search emitted it.
 *
 * @property frame encoder frame, from the start of the utterance.
 * @property logProb logarithm of its probability among all symbols and the blank.
 */
data class Token(val id: Int, val frame: Int, val logProb: Double)

/**
 * A word of an utterance.
 *
 * @property start seconds to the frame that emitted its first token, and [end] to the end of the
 *   frame that emitted its last one.
 * @property confidence the geometric mean of its tokens' probabilities.
 */
data class Word(val text: String, val start: Double, val end: Double, val confidence: Double)

/** The tokens in a signature's outputs of one utterance. */
internal fun readTokens(outputs: Map<String, Tensor>): List<Token> {
    val ids = outputs.ints(Names.TOKENS)
    val frames = outputs.ints(Names.FRAMES)
    val logProbs = outputs.floats(Names.LOG_PROBS)
    return List(outputs.ints(Names.COUNT)[0]) { Token(ids[it], frames[it], logProbs[it].toDouble()) }
}

/**
 * The words that tokens spell.
 *
 * @param frameSeconds from one encoder frame to the next.
 * @param duration of the utterance, which no word outlasts; frames may.
 */
internal fun timedWords(
    vocabulary: Vocabulary,
    tokens: List<Token>,
    frameSeconds: Double,
    duration: Double = Double.POSITIVE_INFINITY
): List<Word> =
    vocabulary.words(tokens.map { it.id }).map { spelled ->
        val said = spelled.places.map { tokens[it] }
        Word(
            text = spelled.text,
            start = min(said.first().frame * frameSeconds, duration),
            end = min((said.last().frame + 1) * frameSeconds, duration),
            confidence = exp(said.map { it.logProb }.sum() / said.size)
        )
    }

/**
 * Assembles the words of tokens that come bit by bit.
 *
 * Words that are whole are kept as such: what a few more tokens cost does not grow with the
 * utterance.
 */
internal class WordAssembler(private val vocabulary: Vocabulary, private val frameSeconds: Double) {
    private val whole = ArrayList<Word>()

    // From the first token of the last word on.
    private var open: List<Token> = emptyList()

    /** Takes the tokens that follow. */
    fun add(tokens: List<Token>) {
        open = open + tokens
        val words = vocabulary.words(open.map { it.id })
        if (words.size < 2) return
        val begin = words.last().places.first()
        // A token may hold the end of one word and the beginning of the next.
        if (words[words.size - 2].places.last() < begin) {
            whole.addAll(timedWords(vocabulary, open.subList(0, begin), frameSeconds))
            open = open.drop(begin)
        }
    }

    /** All words, and those of tokens that may follow; the last one may go on. */
    fun wordsWith(following: List<Token> = emptyList()): List<Word> =
        whole + timedWords(vocabulary, open + following, frameSeconds)

    /** The text of all words, and of tokens that may follow. */
    fun text(following: List<Token> = emptyList()): String =
        wordsWith(following).joinToString(" ") { it.text }
}
