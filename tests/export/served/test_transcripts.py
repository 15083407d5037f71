import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.decoding.greedy import Tokens
from int4_conformer.errors import UserError
from int4_conformer.export.served.transcripts import Transcriber
from int4_conformer.lite.words import Token, timed_words
from int4_conformer.text.vocabulary import Vocabulary
from tests.support.examples import examples

VOCABULARY = Vocabulary(pieces=("<blank>", "▁", "▁a", "a", "b", "▁bc", "▁▁d", "é"))
TRANSCRIBER = Transcriber(VOCABULARY, 0.04)
CAPACITY = 9
SPECS = [
    Tokens(
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None], tf.float32),
    ),
    tf.TensorSpec([None], tf.float32),
]
TRANSCRIBE = tf.function(TRANSCRIBER, input_signature=SPECS, autograph=False)
TEXTS = tf.function(
    lambda ids, count: (TRANSCRIBER.text(ids, count), TRANSCRIBER.continued(ids, count)),
    input_signature=[SPECS[0].ids, SPECS[0].count],
    autograph=False,
)


@settings(max_examples=examples(20), deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(1, 7), max_size=CAPACITY), min_size=1, max_size=3),
    seconds=st.floats(0.01, 0.5),
)
def test_words_are_those_of_the_light_runtime(rows, seconds):
    rng = np.random.default_rng(len(rows))
    ids = np.zeros([len(rows), CAPACITY], np.int32)
    for row, given_ids in zip(ids, rows, strict=True):
        row[: len(given_ids)] = given_ids
    count = np.int32([len(row) for row in rows])
    frames = np.sort(rng.integers(0, 9, ids.shape)).astype(np.int32)
    log_probs = np.log(rng.uniform(0.1, 1, ids.shape)).astype(np.float32)
    found = TRANSCRIBE(
        Tokens(*map(tf.constant, (ids, count, frames, log_probs))),
        tf.fill([len(rows)], tf.constant(seconds, tf.float32)),
    )
    found = {name: value.numpy() for name, value in found.items()}
    texts, continued = (x.numpy() for x in TEXTS(ids, count))
    for index, size in enumerate(count):
        tokens = [
            Token(id=int(i), frame=int(frame), log_prob=float(log_prob))
            for i, frame, log_prob in zip(
                ids[index, :size], frames[index], log_probs[index], strict=False
            )
        ]
        words = timed_words(VOCABULARY, tokens, 0.04, seconds)
        text = " ".join(word.text for word in words)
        assert found["text"][index].decode() == texts[index].decode() == text
        assert " ".join(continued[index].decode().split()) == text
        assert found["word_count"][index] == len(words)
        padding = [""] * (found["words"].shape[1] - len(words))
        assert [x.decode() for x in found["words"][index]] == [w.text for w in words] + padding
        for name, values in [
            ("starts", [word.start for word in words]),
            ("ends", [word.end for word in words]),
            ("confidences", [word.confidence for word in words]),
        ]:
            values = np.pad(values, [0, len(padding)])
            np.testing.assert_allclose(found[name][index], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("piece", ["a▁", "a▁b", "a\u2028b"])
def test_spaces_inside_of_pieces(piece):
    with pytest.raises(UserError, match=f"Received: the piece {re.escape(repr(piece))}"):
        Transcriber(Vocabulary(pieces=("<blank>", piece)), 0.04)
