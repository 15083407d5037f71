import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.data.buckets import make_buckets
from int4_conformer.data.input_config import InputConfig
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.data.recordings import decoded
from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from tests.support import batched

GRAPHEMES = Graphemes()


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    return batched.corpus(tmp_path_factory.mktemp("audio"))


@pytest.fixture(scope="module")
def buckets(utterances):
    return make_buckets(utterances, GRAPHEMES, count=3, batch_size=4)


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
