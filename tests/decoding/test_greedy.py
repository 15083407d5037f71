import numpy as np
import pytest
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
    """

    def __init__(self, seed, blank_bias=0.0, blank_id=0):
        rng = np.random.default_rng(seed)
        self.table = rng.standard_normal([CONTEXT, VOCAB, DIM]).astype(np.float32)
        self.output = rng.standard_normal([DIM, VOCAB]).astype(np.float32)
        self.bias = blank_bias * np.eye(VOCAB, dtype=np.float32)[blank_id]
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

    def search(self, frames, lengths, max_symbols=3):
        return self.search_from(self.start(tf.shape(frames)[0]), frames, lengths, max_symbols)[:2]

    def search_from(self, start, frames, lengths, max_symbols=3):
        return greedy_search(
            frames,
            lengths,
            start=start,
            predict=self.predict,
            logits=self.logits,
            max_symbols=max_symbols,
            blank_id=self.blank_id,
        )

    def reference(self, frames, max_symbols=3):
        """Tokens of one utterance, one symbol after another."""
        tokens, history = [], [0] * CONTEXT
        for frame in frames:
            for _ in range(max_symbols):
                predicted = sum(self.table[n][history[n]] for n in range(CONTEXT))
                symbol = int(np.argmax(np.tanh(frame + predicted) @ self.output + self.bias))
                if symbol == self.blank_id:
                    break
                tokens.append(symbol)
                history = [*history[1:], symbol]
        return tokens


def unpadded(tokens, count):
    tokens, count = np.asarray(tokens), np.asarray(count)
    assert tokens.dtype == count.dtype == np.int32
    for row, n in zip(tokens, count, strict=True):
        assert not np.any(row[n:])
    return [row[:n].tolist() for row, n in zip(tokens, count, strict=True)]


@pytest.mark.parametrize("blank_id", [0, 3])
@pytest.mark.parametrize("max_symbols", [1, 2, 4])
def test_it_finds_what_a_plain_loop_finds(max_symbols, blank_id):
    counts = []
    for seed in range(8):
        network = Network(seed, blank_bias=seed / 4, blank_id=blank_id)
        tokens, count = network.search(network.frames, LENGTHS, max_symbols)
        assert tokens.shape == (len(LENGTHS), TIME * max_symbols)
        expected = [
            network.reference(row[:length], max_symbols)
            for row, length in zip(network.frames, LENGTHS, strict=True)
        ]
        assert unpadded(tokens, count) == expected
        counts.extend(count.numpy())
    # Some frames end in a blank and some at the limit.
    assert 0.1 < np.sum(counts) / (8 * LENGTHS.sum() * max_symbols) < 0.9


def test_a_batch_finds_what_its_rows_find():
    network = Network(1)
    together = unpadded(*network.search(network.frames, LENGTHS))
    for row, length, tokens in zip(network.frames, LENGTHS, together, strict=True):
        if length:
            assert unpadded(*network.search(row[None, :length], None)) == [tokens]


def test_without_lengths_every_frame_counts():
    network = Network(2)
    everything = network.search(network.frames, np.full_like(LENGTHS, TIME))
    assert unpadded(*network.search(network.frames, None)) == unpadded(*everything)


@pytest.mark.parametrize("max_symbols", [1, 3])
def test_each_frame_emits_at_most_max_symbols(max_symbols):
    network = Network(0, blank_bias=-100.0)
    _, count = network.search(network.frames, LENGTHS, max_symbols)
    np.testing.assert_array_equal(count, LENGTHS * max_symbols)


def test_blanks_emit_nothing():
    network = Network(0, blank_bias=100.0)
    assert unpadded(*network.search(network.frames, LENGTHS)) == [[], [], [], []]


@pytest.mark.parametrize("blank_id", [0, 3])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_pieces_of_a_stream_have_the_tokens_of_the_whole(size, blank_id):
    rng = np.random.default_rng(size)
    frames = rng.standard_normal([len(LENGTHS), 20, DIM]).astype(np.float32)
    lengths = np.int32([20, 13, 0, 8])
    network = Network(4, blank_bias=0.5, blank_id=blank_id)
    whole = unpadded(*network.search(frames, lengths))
    hypothesis, found = network.start(len(LENGTHS)), [[] for _ in LENGTHS]
    for first in range(0, 20, size):
        piece = frames[:, first : first + size]
        left = np.clip(lengths - first, 0, piece.shape[1]).astype(np.int32)
        tokens, count, hypothesis = network.search_from(hypothesis, piece, left)
        for row, new in zip(found, unpadded(tokens, count), strict=True):
            row.extend(new)
    assert found == whole
    # More than any state remembers, and not all that there could be.
    assert CONTEXT < max(len(row) for row in whole) < 60


@pytest.mark.parametrize(
    ("jit_compile", "shape"),
    [(True, [4, TIME]), (False, [4, TIME]), (False, [None, None])],
    ids=["xla", "graph", "unknown"],
)
def test_in_a_graph_it_finds_the_same(jit_compile, shape):
    network = Network(3)
    signature = [tf.TensorSpec([*shape, DIM]), tf.TensorSpec(shape[:1], tf.int32)]
    search = tf.function(network.search, jit_compile=jit_compile, input_signature=signature)
    expected = unpadded(*network.search(network.frames, LENGTHS))
    assert unpadded(*search(network.frames, LENGTHS)) == expected
