"""The training loop."""

import collections
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.batch_plan import Planned
from int4_conformer.data.buckets import Bucket, make_buckets
from int4_conformer.data.corpus import Utterances
from int4_conformer.data.input_pipeline import InputPipeline
from int4_conformer.data.recordings import decoded
from int4_conformer.errors import UserError
from int4_conformer.evaluation.one_by_one import Evaluation
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.progress import Progress, waiting
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.training.checkpoints import step_of
from int4_conformer.training.compilations import Compilations
from int4_conformer.training.dev_evaluation import (
    DevEvaluation,
    evaluation_line,
    quantization_losses,
    word_error_rates,
)
from int4_conformer.training.initial_weights import InitialWeights
from int4_conformer.training.interruption import Interruption
from int4_conformer.training.loop_plan import LoopPlan
from int4_conformer.training.optimizer import make_optimizer
from int4_conformer.training.pace import Pace, Usage
from int4_conformer.training.preemption import Preemption
from int4_conformer.training.run_log import RunLog
from int4_conformer.training.run_report import write_report
from int4_conformer.training.settings import computing_in, step_options, trained_as
from int4_conformer.training.skipped_steps import PATIENCE, SkippedSteps
from int4_conformer.training.step_loop import StepLoop, replica_batches
from int4_conformer.training.strategies import needing_all_machines
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.weight_average import WeightAverage
from int4_conformer.training.workdir import Workdir, random_state_of, weights_of

# Batches from which the features' mean and deviation are taken.
_STATISTICS_BATCHES = 32
# Steps over which the loss is averaged wherever it is told.
_LOSS_STEPS = 100
# The first step to be profiled, counted from where the run starts or goes on.
_FIRST_PROFILED = 10
# Exit status after a preemption: that of SIGTERM.
_PREEMPTED = 143


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
        model_config = workdir.as_begun(trained_as(model_config, config))
        workdir.create(model_config, tokenizer, config.to_config())
        keras.utils.set_random_seed(config.seed)
        self._config = config
        self._strategy = strategy
        self._workdir = workdir
        self._dev = dev
        steps_done = workdir.steps_done
        with waiting(f"reading {len(train):,} utterances"):
            # Once, for buckets and batches.
            train = decoded(train)
            self.buckets = self._buckets(train, tokenizer)
            self.input = InputPipeline(train, tokenizer, self.buckets, config.input)
        # Samples of each utterance.
        self._lengths = train.lengths
        with (
            waiting("creating the model"),
            strategy.scope(),
            computing_in(config.compute_dtype),
        ):
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
        self._dev_evaluation = DevEvaluation(
            self.model,
            tokenizer,
            dev,
            buckets=config.buckets,
            calls=-(-(config.steps - steps_done) // config.evaluate_every),
        )
        # Of evaluations so far, the fewest word errors.
        self.best = math.inf
        self._losses: collections.deque[float] = collections.deque(maxlen=_LOSS_STEPS)
        self._skipped = SkippedSteps(workdir.path / "skipped", train, workdir.writes)
        # Of the last step's gradient.
        self._norm = 0.0
        self._pace = Pace()
        self._usage = Usage()
        self._loop = StepLoop(
            self.model.training_step,
            self.input.buckets,
            replicas=strategy.num_replicas_in_sync,
            length=config.steps_per_loop,
        )
        self._compilations = Compilations(
            self.model.training_step, self.input.buckets, workdir, xla=config.xla
        )
        weights = weights_of(self.model)
        self._best_checkpoint = tf.train.Checkpoint(model=weights)
        self._last_checkpoint = tf.train.Checkpoint(
            model=weights,
            optimizer=self.model.optimizer,
            step=self._step,
            average=self._average,
            random=random_state_of(self.model),
            usual_norm=self.model.training_step.usual_norm,
        )

    def train(self) -> Evaluation | None:
        """Trains up to `config.steps`, and returns the last evaluation on the dev set.

        At Ctrl-C or SIGTERM it saves at the end of the step.

        Raises:
            SystemExit: after that.
            UserError: another training writes into the folder, a checkpoint cannot be written, too
                many steps in a row had to be skipped, or another machine has gone.
        """
        with (
            self._workdir.locked(),
            needing_all_machines(self._strategy),
            Interruption() as interruption,
        ):
            self._resume_or_start()
            return self._train(interruption)

    def _train(self, interruption: Interruption) -> Evaluation | None:
        config, evaluation = self._config, None
        step = first = int(self._step.numpy())
        saved = time.monotonic()
        log = RunLog(self._workdir)
        batches = replica_batches(self.input, self._strategy, step)
        profiled = first + _FIRST_PROFILED
        loops = LoopPlan(
            self.input.plan(step),
            config,
            stops=[profiled, profiled + config.profile] if config.profile else [],
            stage_ends=self.model.training_step.stage_ends,
            is_new=self._compilations.need,
        )
        with Progress(config.steps, "train", start=step) as progress:

            def stop(status: int) -> NoReturn:
                progress.line(f"stopped at step {step}, saved; the same command goes on")
                raise SystemExit(status)

            preemption = Preemption(
                self._strategy,
                folder=self._workdir.path / "preemption",
                save=lambda: self._save(step),
                stop=lambda: stop(_PREEMPTED),
            )
            while step < config.steps:
                self._profile(step - first)
                before = step
                planned = loops.next_loop(step)
                step = self._take_steps(batches, planned, step, progress)
                if self._skipped.too_many:
                    self._go_back(step, progress)
                if step // config.log_every > before // config.log_every:
                    log.point(self._point(step))
                progress.update(step, self._note(), self._left(step))
                evaluates = step % config.evaluate_every == 0 or step == config.steps
                if evaluates:
                    evaluation = self._evaluate(step, log, progress)
                stops = interruption.signal is not None and step < config.steps
                due = time.monotonic() - saved >= 60 * config.checkpoint_minutes
                # Behind the metrics: a run goes on from a checkpoint as if it had evaluated. Not
                # by time amid skipped steps, which a run may have to go back over.
                if evaluates or stops or (due and not self._skipped.in_a_row):
                    self._save(step)
                    saved = time.monotonic()
                if stops:
                    stop(interruption.exit_status)
                preemption.after_step()
        log.close()
        return evaluation

    def _take_steps(
        self, batches: Iterator[Any], planned: Sequence[Planned], step: int, progress: Progress
    ) -> int:
        """Takes steps with the next batches, and returns how many were taken then."""
        begun = time.monotonic()
        with self._compilations.told(planned[0], step, progress) as compiles:
            outcomes = self._loop(batches, [one.bucket for one in planned], step)
        seconds = (time.monotonic() - begun) / len(planned)
        for outcome, batch in zip(outcomes, planned, strict=True):
            step += 1
            if not compiles:
                self._pace.step(seconds, self._lengths[batch.places].sum() / SAMPLE_RATE)
            loss, norm = outcome["loss"], outcome["gradient_norm"]
            if outcome["skipped"]:
                progress.line(self._skipped.bad(step, batch.places, loss, norm))
            else:
                self._skipped.good()
                self._losses.append(loss)
            self._norm = norm
        return step

    def _go_back(self, step: int, progress: Progress) -> None:
        """Takes the weights of the last checkpoint, and goes on behind the batches at fault.

        Raises:
            UserError: that was done before, or there is no checkpoint.
        """
        checkpoints = self._workdir.checkpoints("last")
        good = next(
            (
                prefix
                for prefix in checkpoints.whole()
                if not checkpoints.facts(prefix).get("skipped_in_a_row", 0)
            ),
            None,
        )
        if good is None or self._skipped.went_back:
            raise UserError(
                f"{PATIENCE} steps in a row had a loss or a gradient that is no good, up to step "
                f"{step}{', again' if self._skipped.went_back else ''}; look at their batches in "
                f"{self._workdir.path / 'skipped'}, or train with a lower --learning_rate."
            )
        self._last_checkpoint.read(str(good)).expect_partial().assert_nontrivial_match()
        self._step.assign(step)
        self.model.optimizer.iterations.assign(step)
        self._skipped.in_a_row = 0
        self._skipped.went_back = True
        progress.line(
            f"{PATIENCE} steps in a row were skipped: back to the weights of step {step_of(good)}, "
            f"and on with the batches behind step {step}"
        )

    def _evaluate(self, step: int, log: RunLog, progress: Progress) -> Evaluation | None:
        """Counts word errors, writes what was found, and keeps the best weights."""
        begun = time.monotonic()
        metrics = {
            "step": step,
            "loss": self._loss,
            "seconds": round(self._usage.seconds, 1),
            "skipped": self._skipped.count,
            "parameters": self.model.count_params(),
        }
        with self._average.swapped_in():
            evaluations = self._dev_evaluation(progress)
            metrics |= word_error_rates(evaluations)
            if metrics.get("dev_wer", self.best) <= self.best:
                self.best = metrics.get("dev_wer", self.best)
                best = self._workdir.checkpoints("best")
                best.save(self._best_checkpoint, step, metrics)
            with progress.during("measuring what quantization costs"):
                losses = quantization_losses(self.model, next(iter(self.input.dataset(step))))
        evaluation = evaluations.get("dev_wer")
        log.evaluation(metrics, self._dev, evaluation, losses)
        if self._workdir.writes:
            write_report(self._workdir.path)
        progress.line(evaluation_line(metrics))
        self._pace.evaluation(time.monotonic() - begun)
        return evaluation

    def _resume_or_start(self) -> None:
        checkpoints = self._workdir.checkpoints("last")
        last = checkpoints.latest()
        step = 0 if last is None else step_of(last)
        self._workdir.forget_after(step)
        if last is None:
            taken = () if self.imported is None else self.imported.taken
            # Statistics that came with the weights are those that the weights were trained with.
            if not {"front_end/mean", "front_end/inverse_std"} <= set(taken):
                sample = self.input.dataset().take(_STATISTICS_BATCHES)
                with waiting("taking the features' mean and deviation"):
                    self.model.front_end.adapt((x["pcm"], x["pcm_length"]) for x in sample)
            return
        # A run of an earlier version has no random state.
        self._last_checkpoint.read(str(last)).expect_partial().assert_nontrivial_match()
        facts = checkpoints.facts(last)
        self._losses.extend(facts.get("losses", ()))
        self._usage = Usage(facts.get("seconds", 0.0), facts.get("processor_seconds", 0.0))
        self._skipped.restore(facts)
        evaluations = self._workdir.metrics()
        self.best = min((found.get("dev_wer", math.inf) for found in evaluations), default=math.inf)
        print(f"{self._workdir.path}: goes on from step {step}", flush=True)

    def _save(self, step: int) -> None:
        """Keeps all that a resumed run goes on from."""
        facts = {
            "losses": list(self._losses),
            "seconds": self._usage.seconds,
            "processor_seconds": self._usage.processor_seconds,
            **self._skipped.facts,
        }
        self._workdir.checkpoints("last").save(self._last_checkpoint, step, facts)

    @property
    def _loss(self) -> float | None:
        """Of the last steps that count, the mean; None before the first."""
        return float(np.mean(self._losses)) if self._losses else None

    def _point(self, step: int) -> dict[str, Any]:
        """Of the curves."""
        return {
            "step": step,
            "loss": self._loss,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "gradient_norm": self._norm,
            "steps_per_second": self._pace.steps_per_second,
            "audio_hours_per_hour": self._pace.audio_hours_per_hour,
            "skipped": self._skipped.count,
            "seconds": round(self._usage.seconds, 1),
            "processor_seconds": round(self._usage.processor_seconds, 1),
            "memory_mb": round(self._usage.memory_mb),
        }

    def _note(self) -> str:
        """What the progress says of the last steps."""
        pace = self._pace
        notes = [] if self._loss is None else [f"loss {self._loss:.4g}"]
        if pace.steps_per_second:
            notes.append(f"{pace.steps_per_second:.3g} steps/s")
            notes.append(f"{pace.audio_hours_per_hour:.3g} h of audio/h")
        return "  ".join(notes)

    def _left(self, step: int) -> float | None:
        """Seconds to the end."""
        steps, every = self._config.steps, self._config.evaluate_every
        return self._pace.left(steps - step, -(-steps // every) - step // every)

    def _profile(self, steps: int) -> None:
        """Begins and ends the profile, `steps` after the start."""
        if self._config.profile and steps == _FIRST_PROFILED:
            tf.profiler.experimental.start(str(self._workdir.logs))
        if self._config.profile and steps == _FIRST_PROFILED + self._config.profile:
            tf.profiler.experimental.stop()

    def _buckets(self, train: Utterances, tokenizer: Tokenizer) -> list[Bucket]:
        """The shapes of batches, each of so many rows that all replicas have as many, and all
        parts that they compute one after the other."""
        config = self._config
        parts = self._strategy.num_replicas_in_sync * config.accumulate
        buckets = make_buckets(
            train,
            tokenizer,
            count=config.buckets,
            seconds_per_batch=config.batch_seconds,
            max_seconds=config.max_seconds,
            augmentation=config,
        )
        return [
            dataclasses.replace(bucket, batch_size=-(-bucket.batch_size // parts) * parts)
            for bucket in buckets
        ]

    def _after_update(self, counts: tf.Tensor) -> None:
        """What each replica does behind a step."""
        self._average.update(counts)
        self._step.assign_add(1)
