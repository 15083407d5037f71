import dataclasses
import logging

import numpy as np
import pytest

from int4_conformer.data.batches import evaluation_batches
from int4_conformer.data.buckets import make_buckets
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.data.recordings import decoded
from int4_conformer.data.sources.manifest import read_manifest
from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.normalize import normalize
from int4_conformer.text.wordpieces import Wordpieces
from tests.support import batched
from tests.support.batched import check_rows

GRAPHEMES = Graphemes()


def test_buckets_are_quantiles(utterances, buckets):
    assert len(buckets) == 3
    assert all(bucket.samples % 640 == 0 for bucket in buckets)
    fullness = np.searchsorted(
        [b.samples for b in buckets], [u.duration * 16000 for u in utterances]
    )
    assert max(np.bincount(fullness, minlength=3)) <= 11
    assert buckets[-1].samples == 19200
    assert buckets[-1].labels == 6
    assert [bucket.labels for bucket in buckets] == sorted(bucket.labels for bucket in buckets)


def test_buckets_of_equal_seconds_have_more_rows_of_short_audio(utterances):
    buckets = make_buckets(utterances, GRAPHEMES, count=3, seconds_per_batch=4.0)
    for bucket in buckets:
        assert bucket.batch_size * bucket.samples <= 64000
        assert (bucket.batch_size + 1) * bucket.samples > 64000
    assert buckets[0].batch_size > buckets[-1].batch_size


def test_equal_durations_make_one_bucket(utterances):
    assert len(make_buckets(utterances[:1] * 9, GRAPHEMES, count=4, batch_size=2)) == 1


@pytest.mark.parametrize("hold", [True, False])
def test_evaluation_gives_each_utterance_once_in_the_buckets_shapes(utterances, buckets, hold):
    recordings = decoded(utterances, hold=hold)
    dataset = evaluation_batches(recordings, GRAPHEMES, buckets=buckets)
    for _ in range(2):
        seen, shapes = [], set()
        for batch in dataset:
            shapes.add(batched.shape(batch))
            seen += check_rows(batch, utterances, GRAPHEMES)
        assert sorted(seen) == list(range(23))
        assert shapes == set(buckets)


def test_each_utterance_is_in_the_smallest_bucket_that_fits(utterances, buckets):
    for batch in evaluation_batches(utterances, GRAPHEMES, buckets=buckets):
        for place in batch["index"].numpy():
            length, labels = utterances[place].samples().size, len(utterances[place].text)
            fitting = [b for b in buckets if length <= b.samples and labels <= b.labels]
            assert place == -1 or batched.shape(batch) == fitting[0]


def test_wordpieces_are_labels(utterances, buckets):
    texts = ["hello world", "hold the door", "open the door", "hello hello"]
    utterances = [dataclasses.replace(u, text=texts[i % 4]) for i, u in enumerate(utterances)]
    wordpieces = Wordpieces.train(texts, 16)
    buckets = make_buckets(utterances, wordpieces, count=2, batch_size=5)
    dataset = evaluation_batches(utterances, wordpieces, buckets=buckets)
    seen = [place for batch in dataset for place in check_rows(batch, utterances, wordpieces)]
    assert sorted(seen) == list(range(23))


def test_a_long_text_moves_to_a_longer_bucket(utterances, buckets):
    first = dataclasses.replace(utterances[0], text="abcde")
    (batch,) = evaluation_batches([first], GRAPHEMES, buckets=buckets)
    assert batched.shape(batch) == next(bucket for bucket in buckets if bucket.labels >= 5)


def test_too_long_audio_is_left_out_and_counted(utterances, caplog):
    buckets = make_buckets(utterances, GRAPHEMES, count=2, batch_size=4, max_seconds=0.6)
    fit = {i for i, u in enumerate(utterances) if u.samples().size <= buckets[-1].samples}
    kind = f"utterances longer than {buckets[-1].samples / 16000:.2f} s, the largest bucket"
    report = CorpusReport()
    for given in (None, report):
        with caplog.at_level(logging.WARNING, logger="absl"):
            dataset = evaluation_batches(utterances, GRAPHEMES, buckets=buckets, report=given)
        seen = {place for batch in dataset for place in batch["index"].numpy()} - {-1}
        assert seen == fit
    assert f"{23 - len(fit)} {kind}" in caplog.text
    assert caplog.text.count(kind) == 1
    assert report.left_out == 23 - len(fit)
    with pytest.raises(UserError, match="None of the 3 utterances fits"):
        evaluation_batches(utterances[-3:], GRAPHEMES, buckets=buckets)


def lying(utterances, duration):
    return [dataclasses.replace(utterance, duration=duration) for utterance in utterances]


@pytest.mark.parametrize("duration", [0.01, 100.0])
@pytest.mark.parametrize("hold", [True, False])
def test_the_decoded_length_decides(utterances, buckets, duration, hold):
    claimed = decoded(lying(utterances, duration), hold=hold)
    assert make_buckets(claimed, GRAPHEMES, count=3, batch_size=4) == buckets
    dataset = evaluation_batches(claimed, GRAPHEMES, buckets=buckets)
    seen = [place for batch in dataset for place in check_rows(batch, utterances, GRAPHEMES)]
    assert sorted(seen) == list(range(23))


def test_names_the_mistake(utterances, buckets):
    def with_text(text):
        return [dataclasses.replace(utterances[0], text=text)]

    with pytest.raises(
        UserError, match=r"None of the 1 .*make the buckets from.*: 8 labels in 0\.10"
    ):
        evaluation_batches(with_text("abcdefgh"), GRAPHEMES, buckets=buckets)
    for function in (
        lambda u: InputPipeline(u, GRAPHEMES, buckets),
        lambda u: make_buckets(u, GRAPHEMES, batch_size=1),
    ):
        with pytest.raises(UserError, match="symbol '7' of the text 'no 7'"):
            function(with_text("no 7"))
    with pytest.raises(UserError, match="at least one bucket"):
        evaluation_batches(utterances, GRAPHEMES, buckets=[])
    with pytest.raises(UserError, match="at least one utterance"):
        InputPipeline([], GRAPHEMES, buckets)
    missing = [dataclasses.replace(utterances[0], audio="/absent.wav")]
    with pytest.raises(UserError, match=r"no audio file /absent.wav"):
        evaluation_batches(missing, GRAPHEMES, buckets=buckets)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "batch_size=None and seconds_per_batch=None"),
        ({"batch_size": 1, "seconds_per_batch": 1.0}, "batch_size=1 and seconds_per_batch=1.0"),
        ({"batch_size": 1, "count": 0}, "Received: count=0"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"batch_size": 1, "max_seconds": 0.01}, "no utterance .*max_seconds=0.01"),
    ],
)
def test_make_buckets_names_what_it_refuses(utterances, arguments, message):
    with pytest.raises(UserError, match=message):
        make_buckets(utterances, GRAPHEMES, **arguments)


def test_batches_real_speech(shared_data):
    utterances = [
        dataclasses.replace(utterance, text=normalize(utterance.text))
        for utterance in read_manifest(shared_data / "an4" / "manifest.jsonl", "dev")
    ]
    buckets = make_buckets(utterances, GRAPHEMES, seconds_per_batch=40)
    dataset = evaluation_batches(utterances, GRAPHEMES, buckets=buckets)
    seen = [place for batch in dataset for place in check_rows(batch, utterances, GRAPHEMES)]
    assert sorted(seen) == list(range(len(utterances)))
