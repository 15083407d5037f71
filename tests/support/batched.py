"""A corpus to make batches of, and what is to be true of each batch."""

import numpy as np
import soundfile
import tensorflow as tf

from int4_conformer.data.buckets import Bucket
from int4_conformer.data.sources.utterance import Utterance

COUNT = 23


def corpus(folder):
    """23 recordings of 0.1 to 1.2 s; the text of number i has 1 + i // 4 letters."""
    rng = np.random.default_rng(0)
    utterances = []
    for i in range(COUNT):
        codes = rng.integers(-30000, 30000, size=1600 + 800 * i, dtype=np.int16)
        soundfile.write(folder / f"{i}.wav", codes, 16000)
        text = "abcdefghij"[: 1 + i // 4]
        utterances.append(
            Utterance(audio=str(folder / f"{i}.wav"), text=text, duration=codes.size / 16000)
        )
    return utterances


def check_rows(batch, utterances, tokenizer):
    """Every row of a batch is its utterance or empty; gives the utterances' places."""
    batch = {key: value.numpy() for key, value in batch.items()}
    for i, place in enumerate(batch["index"]):
        samples = utterances[place].samples() if place >= 0 else np.zeros(0, np.float32)
        labels = tokenizer.encode(utterances[place].text) if place >= 0 else []
        assert batch["pcm_length"][i] == samples.size
        assert batch["label_length"][i] == len(labels)
        np.testing.assert_allclose(batch["pcm"][i, : samples.size], samples, atol=2**-15)
        assert not batch["pcm"][i, samples.size :].any()
        assert batch["labels"][i, : len(labels)].tolist() == labels
        assert not batch["labels"][i, len(labels) :].any()
    return [place for place in batch["index"] if place >= 0]


def shape(batch):
    """The bucket that a batch is of."""
    assert batch["pcm"].dtype == tf.float32
    for key in ("pcm_length", "labels", "label_length", "index"):
        assert batch[key].dtype == tf.int32
    rows, samples = batch["pcm"].shape
    assert {batch[key].shape for key in ("pcm_length", "label_length", "index")} == {(rows,)}
    return Bucket(samples=samples, labels=batch["labels"].shape[1], batch_size=rows)
