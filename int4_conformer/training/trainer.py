"""The training loop."""

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.data.batches import batches, make_buckets
from int4_conformer.data.corpus import Utterances
from int4_conformer.evaluation.batched import BatchedEvaluator
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.progress import Progress
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.training.initial_weights import InitialWeights
from int4_conformer.training.optimizer import make_optimizer
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.weight_average import WeightAverage
from int4_conformer.training.workdir import Workdir, weights_of

# Batches from which the features' mean and deviation are taken.
_STATISTICS_BATCHES = 32

Batch = dict[str, tf.Tensor]


class Trainer:
    """Trains a transducer under a distribution strategy.

    Steps are those of `models.training_step`.

    Args:
        model_config: sizes and recipe.
        config: training settings.
        tokenizer: makes the labels.
        train: utterances to train on, texts normalised.
        dev: utterances to count word errors on while training, texts normalised; may be empty.
        workdir: where everything is kept; a run that is there is resumed.
        strategy: where to run.
        initial_weights: what a new run starts from; None: random weights. A resumed run goes on
            with its own.

    Raises:
        UserError: the corpus does not fit the settings, `workdir` holds another run, or the initial
            weights do not fit the model.
    """

    def __init__(
        self,
        model_config: TransducerConfig,
        config: TrainingConfig,
        *,
        tokenizer: Tokenizer,
        train: Utterances,
        dev: Utterances,
        workdir: Workdir,
        strategy: tf.distribute.Strategy,
        initial_weights: InitialWeights | None = None,
    ):
        model_config = dataclasses.replace(model_config, ctc=config.ctc_weight > 0)
        workdir.create(model_config, tokenizer, config.to_config())
        keras.utils.set_random_seed(config.seed)
        self._config = config
        self._strategy = strategy
        self._workdir = workdir
        replicas = strategy.num_replicas_in_sync
        buckets = [
            dataclasses.replace(bucket, batch_size=-(-bucket.batch_size // replicas) * replicas)
            for bucket in make_buckets(
                train,
                tokenizer,
                count=config.buckets,
                seconds_per_batch=config.batch_seconds,
                max_seconds=config.max_seconds,
            )
        ]
        # A resumed run goes on with utterances in another order, not with those it began with.
        self._batches = batches(
            train,
            tokenizer,
            buckets=buckets,
            training=True,
            seed=config.seed + workdir.steps_done,
        )
        with strategy.scope():
            self.model = Transducer(model_config)
            self.model.build()
            self.imported = None
            if initial_weights is not None and workdir.latest_checkpoint("last") is None:
                self.imported = initial_weights.give_to(self.model)
            self._step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            self._average = WeightAverage(self.model.trainable_variables, config.average)
            self.model.compile(
                make_optimizer(config),
                config.loss,
                augment=SpecAugmentConfig() if config.spec_augment else None,
                clip_norm=config.clip_norm,
                seed=config.seed,
                xla=config.xla,
                after_update=self._after_update,
            )
        # By metric; the last pass comes first, whose evaluation is the run's.
        passes = {"dev_wer": None}
        if model_config.second_pass is not None:
            passes["dev_wer_first_pass"] = 1
        self._evaluators = {
            metric: BatchedEvaluator(
                self.model, tokenizer.vocabulary, dev, buckets=config.buckets, passes=count
            )
            for metric, count in passes.items()
            if dev
        }
        self._best = float("inf")
        self._checkpoints = {
            "last": workdir.checkpoint_manager(
                tf.train.Checkpoint(
                    model=weights_of(self.model),
                    optimizer=self.model.optimizer,
                    step=self._step,
                    average=self._average,
                ),
                "last",
            ),
            "best": workdir.checkpoint_manager(
                tf.train.Checkpoint(model=weights_of(self.model)), "best"
            ),
        }

    def train(self) -> Evaluation | None:
        """Trains up to `config.steps`, and returns the last evaluation on the dev set."""
        self._resume_or_start()
        summaries = tf.summary.create_file_writer(str(self._workdir.logs))
        stream = self._per_replica(iter(self._batches))
        evaluation, losses, begun = None, [], time.monotonic()
        with Progress(self._config.steps, "train") as progress, summaries.as_default():
            while (step := int(self._step.numpy())) < self._config.steps:
                losses.append(self.model.training_step(next(stream), step))
                step += 1
                if step % 10 == 0:
                    progress.update(step, f"loss {float(losses[-1]):.3f}")
                if step % self._config.evaluate_every == 0 or step == self._config.steps:
                    metrics = {
                        "step": step,
                        "loss": float(tf.reduce_mean(tf.stack(losses))),
                        "seconds": round(time.monotonic() - begun, 1),
                    }
                    losses.clear()
                    evaluation = self._evaluate_and_save(metrics)
                    progress.line(
                        "  ".join(f"{name} {value:.5g}" for name, value in metrics.items())
                    )
                    for name, value in metrics.items():
                        tf.summary.scalar(name, value, step=step)
        return evaluation

    def _resume_or_start(self) -> None:
        last = self._workdir.latest_checkpoint("last")
        if last is None:
            taken = () if self.imported is None else self.imported.taken
            # Statistics that came with the weights are those that the weights were trained with.
            if not {"front_end/mean", "front_end/inverse_std"} <= set(taken):
                sample = self._batches.take(_STATISTICS_BATCHES)
                self.model.front_end.adapt((batch["pcm"], batch["pcm_length"]) for batch in sample)
            return
        self._checkpoints["last"].checkpoint.restore(last)
        self._best = min(
            (metrics.get("dev_wer", self._best) for metrics in self._workdir.metrics()),
            default=self._best,
        )

    def _evaluate_and_save(self, metrics: dict[str, Any]) -> Evaluation | None:
        """Adds the dev word error rates to the metrics, and writes them and the checkpoints."""
        step = metrics["step"]
        with self._average.swapped_in():
            evaluations = {metric: evaluate() for metric, evaluate in self._evaluators.items()}
            metrics |= {metric: found.errors.wer for metric, found in evaluations.items()}
            if metrics.get("dev_wer", self._best) <= self._best:
                self._best = metrics.get("dev_wer", self._best)
                self._checkpoints["best"].save(step)
        self._checkpoints["last"].save(step)
        with (self._workdir.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(metrics) + "\n")
        return evaluations.get("dev_wer")

    def _per_replica(self, stream: Iterator[Batch]) -> Iterator[Any]:
        """Each batch, shared out in equal parts.

        Tensors, not a distributed dataset: they keep their static shapes.
        """
        for batch in stream:
            rows = len(batch["pcm"]) // self._strategy.num_replicas_in_sync

            def part(context: Any, batch=batch, rows=rows) -> Batch:
                start = context.replica_id_in_sync_group * rows
                return {name: x[start : start + rows] for name, x in batch.items()}

            yield self._strategy.experimental_distribute_values_from_function(part)

    def _after_update(self) -> None:
        """What each replica does behind an update of the weights."""
        self._average.update()
        self._step.assign_add(1)
