import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.buckets import make_buckets
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.input_config import InputConfig
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.data.recordings import decoded
from int4_conformer.data.training_audio import training_audio
from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from tests.support import batched

GRAPHEMES = Graphemes()


def places(pipeline, count, start=0):
    return [batch["index"].numpy().tolist() for batch in pipeline.dataset(start).take(count)]


@pytest.mark.parametrize("hold", [True, False])
def test_it_shuffles_and_repeats_whole_batches(utterances, buckets, hold):
    pipeline = InputPipeline(decoded(utterances, hold=hold), GRAPHEMES, buckets)
    counts, shapes, order = collections.Counter(), set(), []
    for batch in pipeline.dataset().take(60):
        assert (batch["index"].numpy() >= 0).all()
        shapes.add(batched.shape(batch))
        order.append(batched.check_rows(batch, utterances, GRAPHEMES))
        counts.update(order[-1])
    assert shapes == set(buckets)
    # 240 rows are 10.4 epochs; a bucket holds back at most 3 rows.
    assert set(counts) == set(range(23))
    assert max(counts.values()) - min(counts.values()) <= 3
    assert len({tuple(sorted(places)) for places in order}) > 20


def test_a_seed_fixes_the_order_and_it_goes_on_anywhere(utterances, buckets):
    one, again, other = (
        InputPipeline(utterances, GRAPHEMES, buckets, InputConfig(seed=seed)) for seed in (1, 1, 2)
    )
    order = places(one, 12)
    assert places(again, 12) == order
    assert places(other, 12) != order
    assert places(again, 5, start=7) == order[7:]
    assert [planned.places.tolist() for planned, _ in zip(one.plan(3), range(9), strict=False)] == (
        order[3:]
    )


def test_pipelines_share_out_the_rows_of_the_same_batches(utterances, buckets):
    pipeline = InputPipeline(utterances, GRAPHEMES, buckets)
    whole = list(pipeline.dataset(start=5).take(8))
    parts = [
        pipeline.dataset(5, tf.distribute.InputContext(2, part, 2)).take(8) for part in range(2)
    ]
    for batch, *halves in zip(whole, *parts, strict=True):
        for name, values in batch.items():
            np.testing.assert_array_equal(tf.concat([half[name] for half in halves], 0), values)
    with pytest.raises(UserError, match="4 rows cannot be shared out equally among 3 input pipe"):
        pipeline.dataset(0, tf.distribute.InputContext(3, 0, 3))


def test_shapes_are_static_where_buckets_agree(utterances):
    (bucket,) = make_buckets(utterances, GRAPHEMES, count=1, batch_size=4)
    spec = InputPipeline(utterances, GRAPHEMES, [bucket]).dataset().element_spec
    assert spec["pcm"].shape == [4, bucket.samples]
    assert spec["labels"].shape == [4, bucket.labels]


def test_a_claim_changes_no_batch(utterances, buckets):
    claimed = [dataclasses.replace(utterance, duration=0.01) for utterance in utterances]
    lying, honest = (
        InputPipeline(decoded(corpus, hold=hold), GRAPHEMES, buckets)
        for corpus, hold in ((claimed, True), (utterances, False))
    )
    assert places(lying, 9) == places(honest, 9)


AUGMENTED = InputConfig(
    speed_perturbation="0.8..1.25", noise="synthetic", noise_probability=0.8, volume_db=3.0
)


def arrays(dataset, count):
    return [{name: x.numpy() for name, x in batch.items()} for batch in dataset.take(count)]


def test_augmented_batches_fit_go_on_anywhere_and_are_shared_out(utterances):
    buckets = make_buckets(utterances, GRAPHEMES, count=3, batch_size=4, augmentation=AUGMENTED)
    pipeline = InputPipeline(utterances, GRAPHEMES, buckets, AUGMENTED)
    whole = arrays(pipeline.dataset(), 24)
    speeds, counts = [], collections.Counter()
    for batch in whole:
        for place, length in zip(batch["index"], batch["pcm_length"], strict=True):
            speeds.append(utterances[place].samples().size / length)
        counts.update(batch["index"].tolist())
    assert min(speeds) == pytest.approx(0.8, abs=0.05)
    assert max(speeds) == pytest.approx(1.25, abs=0.05)
    assert len({round(speed, 4) for speed in speeds}) > 80
    assert set(counts) == set(range(23))
    assert max(counts.values()) - min(counts.values()) <= 3
    fresh = InputPipeline(utterances, GRAPHEMES, buckets, AUGMENTED)
    part = fresh.dataset(17, tf.distribute.InputContext(2, 1, 2))
    for batch, half in zip(whole[17:], arrays(part, 7), strict=True):
        for name, values in batch.items():
            np.testing.assert_array_equal(half[name], values[2:])


def test_pauses_come_before_and_behind_and_are_drawn_anew(utterances):
    config = InputConfig(pause_seconds=0.5, pause_probability=0.5)
    buckets = make_buckets(utterances, GRAPHEMES, count=3, batch_size=4, augmentation=config)
    pipeline = InputPipeline(utterances, GRAPHEMES, buckets, config)
    pauses = collections.defaultdict(set)
    for batch in arrays(pipeline.dataset(), 24):
        for place, length, pcm in zip(
            batch["index"], batch["pcm_length"], batch["pcm"], strict=True
        ):
            samples = utterances[place].samples()
            starts = np.flatnonzero(pcm[: length - samples.size + 1] == samples[0])
            (before,) = (
                int(start)
                for start in starts
                if np.array_equal(pcm[start : start + samples.size], samples)
            )
            pauses[int(place)].add((before, int(length) - samples.size - before))
    drawn = [pause for found in pauses.values() for pause in found]
    whole = [sum(pause) / 16000 for pause in drawn if any(pause)]
    assert set(pauses) == set(range(23))
    assert 0.2 < len(whole) / len(drawn) < 0.9
    assert max(whole) <= 0.5
    assert np.mean(whole) == pytest.approx(0.25, abs=0.1)
    assert min(before for before, _ in drawn) == min(after for _, after in drawn) == 0
    assert sum(len(found) > 1 for found in pauses.values()) > 10


def test_what_breaks_meanwhile_is_silence_and_counted(tmp_path):
    utterances = batched.corpus(tmp_path)
    (bucket,) = make_buckets(utterances, GRAPHEMES, count=1, batch_size=23)
    whole = training_audio(utterances, CorpusReport(), cache="none")
    (tmp_path / "7.wav").write_bytes(b"no sound")
    pipeline = InputPipeline(whole, GRAPHEMES, [bucket])
    first, again = arrays(pipeline.dataset(), 2)
    for batch in (first, again):
        (row,) = np.flatnonzero(batch["index"] < 0)
        assert set(batch["index"]) == {-1, *range(23)} - {7}
        assert batch["pcm_length"][row] == 1600 + 7 * 800
        assert not batch["pcm"][row].any()
        assert not batch["label_length"][row]
    assert pipeline.left_out.left_out == 1
    assert "7.wav" in pipeline.left_out.first()
    for number in range(23):
        (tmp_path / f"{number}.wav").unlink()
    with pytest.raises(UserError, match=r"\d+ of 23 recordings cannot be used, the last because"):
        list(InputPipeline(whole, GRAPHEMES, [bucket])._batches(0, 0, 1))
