"""Machines that train together and are to be stopped: all save after the same step."""

from collections.abc import Callable
from typing import NoReturn

import tensorflow as tf

from int4_conformer.remote_path import AnyPath
from int4_conformer.training.strategies import wait_for_all


class Preemption:
    """Watches for the platform's sign that a machine of a cluster is about to be stopped.

    The sign is SIGTERM or, on Google's GPU machines, what their metadata server says. TensorFlow's
    `PreemptionCheckpointHandler` lets all workers agree on the step after which they save. A
    training in one process needs none of this: `Interruption` hears its signals.

    Args:
        strategy: of the training.
        folder: for what the handler keeps of its own.
        save: saves the run.
        stop: ends the process.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        *,
        folder: AnyPath,
        save: Callable[[], None],
        stop: Callable[[], NoReturn],
    ):
        self._handler = None
        resolver = strategy.cluster_resolver
        if resolver is None or not resolver.task_type:
            return

        def save_all() -> None:
            save()
            # One that ends while another still saves would take it along.
            wait_for_all(strategy)

        # The run has checkpoints of its own; the handler wants a manager all the same.
        manager = tf.train.CheckpointManager(tf.train.Checkpoint(), str(folder), max_to_keep=1)
        self._handler = tf.distribute.experimental.PreemptionCheckpointHandler(
            resolver,
            manager,
            termination_config=tf.distribute.experimental.TerminationConfig(
                save_fn=save_all, exit_fn=stop
            ),
        )

    def after_step(self) -> None:
        """Saves and stops if the workers have agreed to; called once a step."""
        if self._handler is not None:
            self._handler.save_checkpoint_if_preempted()
