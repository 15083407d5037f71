"""A small transducer of random weights, for searches."""

import numpy as np
import tensorflow as tf

from int4_conformer.decoding.greedy import greedy_search

VOCAB, DIM, CONTEXT, TIME = 5, 6, 2, 7
LENGTHS = np.int32([7, 3, 0, 5])


class Network:
    """A random prediction network and joint network.

    Args:
        seed: of its weights.
        blank_bias: added to the blank's logit.
        blank_id: the blank.
        vocab: symbols.
    """

    def __init__(self, seed, blank_bias=0.0, blank_id=0, vocab=VOCAB):
        rng = np.random.default_rng(seed)
        self.table = rng.standard_normal([CONTEXT, vocab, DIM]).astype(np.float32)
        self.output = rng.standard_normal([DIM, vocab]).astype(np.float32)
        self.bias = blank_bias * np.eye(vocab, dtype=np.float32)[blank_id]
        self.blank_id = blank_id
        self.frames = rng.standard_normal([len(LENGTHS), TIME, DIM]).astype(np.float32)

    def start(self, batch):
        return tf.zeros([batch], tf.int32), {"label/before": tf.zeros([batch], tf.int32)}

    def predict(self, label, state):
        before = state["label/before"]
        predicted = tf.gather(self.table[0], before) + tf.gather(self.table[1], label)
        return predicted, {"label/before": label}

    def logits(self, frames, predicted):
        return tf.matmul(tf.tanh(frames + predicted), self.output) + self.bias

    def search(self, frames, lengths, max_symbols_per_frame=3):
        return self.search_from(
            self.start(tf.shape(frames)[0]), frames, lengths, max_symbols_per_frame
        )[0]

    def search_from(self, start, frames, lengths, max_symbols_per_frame=3):
        return greedy_search(
            frames,
            lengths,
            start=start,
            predict=self.predict,
            logits=self.logits,
            max_symbols_per_frame=max_symbols_per_frame,
            blank_id=self.blank_id,
        )

    def log_probs(self, frame, labels):
        """Of all symbols in a frame after labels, in NumPy."""
        history = ([0] * CONTEXT + list(labels))[-CONTEXT:]
        predicted = sum(self.table[n][history[n]] for n in range(CONTEXT))
        logits = (np.tanh(frame + predicted) @ self.output + self.bias).astype(np.float64)
        return logits - np.log(np.sum(np.exp(logits)))

    def reference(self, frames, max_symbols_per_frame=3):
        """Tokens, frames and log-probabilities of one utterance, one symbol after another."""
        found = []
        for t, frame in enumerate(frames):
            for _ in range(max_symbols_per_frame):
                log_probs = self.log_probs(frame, [symbol for symbol, *_ in found])
                symbol = int(np.argmax(log_probs))
                if symbol == self.blank_id:
                    break
                found.append((symbol, t, log_probs[symbol]))
        return found
