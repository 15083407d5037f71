"""The training loop."""

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.data.batches import batches, make_buckets
from int4_conformer.data.corpus import Utterances
from int4_conformer.evaluation.batched import BatchedEvaluator
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.progress import Progress
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.training.checkpoints import step_of
from int4_conformer.training.initial_weights import InitialWeights
from int4_conformer.training.interruption import Interruption
from int4_conformer.training.optimizer import make_optimizer
from int4_conformer.training.settings import computing_in, step_options, trained_as
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.weight_average import WeightAverage
from int4_conformer.training.workdir import Workdir, random_state_of, weights_of

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
        model_config = trained_as(model_config, config)
        workdir.create(model_config, tokenizer, config.to_config())
        keras.utils.set_random_seed(config.seed)
        self._config = config
        self._strategy = strategy
        self._workdir = workdir
        steps_done = workdir.steps_done
        replicas = strategy.num_replicas_in_sync
        parts = replicas * config.accumulate
        buckets = [
            dataclasses.replace(bucket, batch_size=-(-bucket.batch_size // parts) * parts)
            for bucket in make_buckets(
                train,
                tokenizer,
                count=config.buckets,
                seconds_per_batch=config.batch_seconds,
                max_seconds=config.max_seconds,
            )
        ]
        self._batches = batches(
            train,
            tokenizer,
            buckets=buckets,
            training=True,
            seed=config.seed,
            start=steps_done,
        )
        with strategy.scope():
            with computing_in(config.compute_dtype):
                self.model = Transducer(model_config)
                self.model.build()
            self.imported = None
            if initial_weights is not None and not steps_done:
                self.imported = initial_weights.give_to(self.model)
            self._step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            self._average = WeightAverage(self.model.trainable_variables, config.average)
            self.model.compile(
                make_optimizer(config),
                after_update=self._after_update,
                **step_options(config, model_config, tokenizer),
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
        # Since the last evaluation, and seconds of the whole run.
        self._losses: list[Any] = []
        self._seconds = 0.0
        weights = weights_of(self.model)
        self._best_checkpoint = tf.train.Checkpoint(model=weights)
        self._last_checkpoint = tf.train.Checkpoint(
            model=weights,
            optimizer=self.model.optimizer,
            step=self._step,
            average=self._average,
            random=random_state_of(self.model),
        )

    def train(self) -> Evaluation | None:
        """Trains up to `config.steps`, and returns the last evaluation on the dev set.

        At Ctrl-C or SIGTERM it saves at the end of the step.

        Raises:
            SystemExit: after that.
            UserError: another training writes into the folder, or a checkpoint cannot be written.
        """
        with self._workdir.locked(), Interruption() as interruption:
            self._resume_or_start()
            return self._train(interruption)

    def _train(self, interruption: Interruption) -> Evaluation | None:
        config = self._config
        summaries = tf.summary.create_file_writer(str(self._workdir.logs))
        stream = self._per_replica(iter(self._batches))
        evaluation = None
        begun = saved = time.monotonic()
        begun -= self._seconds
        with Progress(config.steps, "train") as progress, summaries.as_default():
            while (step := int(self._step.numpy())) < config.steps:
                self._losses.append(self.model.training_step(next(stream), step))
                step += 1
                self._seconds = time.monotonic() - begun
                if step % 10 == 0:
                    progress.update(step, f"loss {float(self._losses[-1]):.3f}")
                evaluates = step % config.evaluate_every == 0 or step == config.steps
                if evaluates:
                    metrics = {
                        "step": step,
                        "loss": float(tf.reduce_mean(tf.stack(self._losses))),
                        "seconds": round(self._seconds, 1),
                    }
                    self._losses.clear()
                    evaluation = self._evaluate(metrics)
                    progress.line(
                        "  ".join(f"{name} {value:.5g}" for name, value in metrics.items())
                    )
                    for name, value in metrics.items():
                        tf.summary.scalar(name, value, step=step)
                stops = interruption.signal is not None and step < config.steps
                due = time.monotonic() - saved >= 60 * config.checkpoint_minutes
                # Behind the metrics: a run goes on from a checkpoint as if it had evaluated.
                if evaluates or stops or due:
                    self._save(step)
                    saved = time.monotonic()
                if stops:
                    progress.line(f"stopped at step {step}, saved; the same command goes on")
                    raise SystemExit(interruption.exit_status)
        return evaluation

    def _resume_or_start(self) -> None:
        checkpoints = self._workdir.checkpoints("last")
        last = checkpoints.latest()
        if last is None:
            taken = () if self.imported is None else self.imported.taken
            # Statistics that came with the weights are those that the weights were trained with.
            if not {"front_end/mean", "front_end/inverse_std"} <= set(taken):
                sample = self._batches.take(_STATISTICS_BATCHES)
                self.model.front_end.adapt((batch["pcm"], batch["pcm_length"]) for batch in sample)
            return
        # A run of an earlier version has no random state.
        self._last_checkpoint.read(str(last)).expect_partial().assert_nontrivial_match()
        facts = checkpoints.facts(last)
        self._losses = list(facts.get("losses", ()))
        self._seconds = facts.get("seconds", 0.0)
        self._workdir.forget_metrics_after(step_of(last))
        self._best = min(
            (metrics.get("dev_wer", self._best) for metrics in self._workdir.metrics()),
            default=self._best,
        )
        print(f"{self._workdir.path}: goes on from step {step_of(last)}", flush=True)

    def _save(self, step: int) -> None:
        """Keeps all that a resumed run goes on from."""
        losses = [float(loss) for loss in self._losses]
        self._workdir.checkpoints("last").save(
            self._last_checkpoint, step, {"losses": losses, "seconds": self._seconds}
        )

    def _evaluate(self, metrics: dict[str, Any]) -> Evaluation | None:
        """Adds the dev word error rates to the metrics, writes them, and keeps the best weights."""
        with self._average.swapped_in():
            evaluations = {metric: evaluate() for metric, evaluate in self._evaluators.items()}
            metrics |= {metric: found.errors.wer for metric, found in evaluations.items()}
            if metrics.get("dev_wer", self._best) <= self._best:
                self._best = metrics.get("dev_wer", self._best)
                best = self._workdir.checkpoints("best")
                best.save(self._best_checkpoint, metrics["step"], metrics)
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
