"""Several training steps in one call of the host."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer.data.buckets import Bucket
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.models.training_step import Outcome, TrainingStep

# What of a step's outcome is told.
_TOLD = ("loss", "gradient_norm", "skipped")


class StepLoop:
    """Takes steps one after the other with no Python between them.

    XLA and TPUs want a program of static shapes for each shape of batch, and the batches of a
    training come in several shapes, mixed. A loop therefore has a branch for each shape, which is
    the program of a step of that shape, and takes the branches that the host names. The host knows
    them before it draws a batch, for they follow from the plan of the input pipeline. So batches,
    and with them the weights, do not depend on where loops begin and end; loops of one shape each
    would need another order of batches for each length.

    Batches are drawn, and branches chosen, by TensorFlow's runtime on the host: iterators and
    queues are no part of a program of XLA's.

    Args:
        step: what is repeated.
        buckets: shapes of the batches.
        replicas: among which each batch is shared out.
        length: most steps in a loop.
    """

    def __init__(
        self, step: TrainingStep, buckets: Sequence[Bucket], *, replicas: int, length: int
    ):
        self._step = step
        self._length = length
        self._shapes = [
            (bucket.batch_size // replicas, bucket.samples, bucket.labels) for bucket in buckets
        ]
        # Of those so far.
        self._seen: set[int] = set()
        self._run = tf.function(self._loop, autograph=False)

    def __call__(
        self, batches: Iterator[Any], buckets: Sequence[int], step: int
    ) -> list[dict[str, float]]:
        """Takes a step for each bucket.

        Args:
            batches: as `replica_batches` gives them.
            buckets: those of the batches that come next, as many as steps; of one stage.
            step: how many steps were taken before.

        Returns:
            of each step what `TrainingStep` tells.
        """
        count = len(buckets)
        self._seen |= set(buckets)
        # A shape that has not come yet is not traced yet: a training should start soon.
        branches = tuple(sorted(self._seen)) if count > 1 else tuple(buckets)
        # One trace for loops of any length.
        places = [branches.index(bucket) for bucket in buckets]
        places = tf.constant(places + [0] * (self._length - count))
        found = self._run(batches, places, tf.constant(count), branches, self._step.stage(step))
        columns = {name: values.numpy().tolist() for name, values in found.items()}
        return [{name: columns[name][i] for name in _TOLD} for i in range(count)]

    def _loop(
        self,
        batches: Iterator[Any],
        places: tf.Tensor,
        count: tf.Tensor,
        buckets: tuple[int, ...],
        stage: int,
    ) -> Outcome:
        def body(number: tf.Tensor, told: dict[str, tf.TensorArray]) -> tuple[tf.Tensor, Any]:
            batch = next(batches)
            branches = [
                functools.partial(self._step.in_graph, batch, stage, self._shapes[bucket])
                for bucket in buckets
            ]
            outcome = tf.switch_case(places[number], branches)
            return number + 1, {
                name: values.write(number, outcome[name]) for name, values in told.items()
            }

        told = {name: tf.TensorArray(tf.float32, count, element_shape=[]) for name in _TOLD}
        _, told = tf.while_loop(
            lambda number, _: number < count,
            body,
            (tf.constant(0), told),
            parallel_iterations=1,
        )
        return {name: values.stack() for name, values in told.items()}


def replica_batches(
    pipeline: InputPipeline, strategy: tf.distribute.Strategy, start: int
) -> Iterator[Any]:
    """The batches of a pipeline, each shared out among the replicas in equal parts, in order.

    Each machine makes the rows of its own replicas, ahead of the steps.

    Args:
        pipeline: whose buckets have a multiple of as many rows as there are replicas.
        strategy: whose replicas.
        start: how many batches were taken before.
    """

    def of_machine(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync // context.num_input_pipelines

        def parts(batch: dict[str, tf.Tensor]) -> tf.data.Dataset:
            cut = {
                name: tf.reshape(x, tf.concat([[replicas, -1], tf.shape(x)[1:]], 0))
                for name, x in batch.items()
            }
            return tf.data.Dataset.from_tensor_slices(cut)

        dataset = pipeline.dataset(start, context)
        if replicas > 1:
            # A replica's batch is an element.
            dataset = dataset.flat_map(parts)
        # Otherwise the workers would ask one another before each step whether all have a batch.
        return dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return iter(strategy.distribute_datasets_from_function(of_machine))
