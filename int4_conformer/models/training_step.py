"""A training step of a transducer: loss, gradients, update."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig
from int4_conformer.layers.keras_internals import leave_reducing
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.layers.quantized import count_step
from int4_conformer.losses.ctc import ctc_loss
from int4_conformer.losses.loss_config import LossConfig
from int4_conformer.models.accumulation import sum_over_parts
from int4_conformer.models.variational_noise import VariationalNoise
from int4_conformer.quant.context import as_trained, at_step, in_float
from int4_conformer.xla import without_xla

if TYPE_CHECKING:
    from int4_conformer.models.transducer import Transducer

# As `data.batches` makes it.
Batch = dict[str, tf.Tensor]
# Rows, samples and labels of one.
BatchShape = tuple[int, int, int]
# What a step tells, float32 [] each.
Outcome = dict[str, tf.Tensor]
# What of a batch a step takes.
_INPUTS = ("pcm", "pcm_length", "labels", "label_length")
# Batches have static shapes; TensorFlow need not pad those of a TPU's replicas to one.
_STATIC = tf.distribute.RunOptions(experimental_enable_dynamic_batch_size=False)
# Of the usual norm, a step.
_USUAL_DECAY = 0.98


class TrainingStep:
    """One step under any strategy; `Transducer.compile` makes it, and both `fit` and the `Trainer`
    run it.

    It has no host op and no dynamic shape: on one device the whole step is one XLA program for each
    shape of batch; with several replicas XLA compiles forward and backward pass, and the reduction
    stays with the strategy. Layers that begin to quantize at some step have a program of their own
    from there on.

    The loss is the mean over the utterances of the whole batch, however it is shared out: replicas
    add up losses, gradients and numbers of utterances, all in one reduction, and divide then. Rows
    of padding, which have no samples, count for nothing.

    Args:
        model: the transducer, with its weights.
        optimizer: built.
        loss: what to minimise.
        augment: SpecAugment; None for none.
        clip_norm: norm to which the gradient of all weights together is clipped, after it was
            reduced over the replicas.
        skip_norm: steps are skipped whose gradient has more than this many times the usual norm;
            0: only those whose loss or gradient is not finite.
        seed: of masks and draws.
        xla: whether XLA compiles.
        after_update: called in the replicas behind each step, with bool [], whether it counts:
            a step that is skipped leaves weights and optimizer as they were.
        accumulate: parts of a replica's batch that are computed one after the other, for the
            memory of one.
        quantize_from: step from which on layers are quantized; before it all compute in float.
        noise: of the weights; None for none.
        teacher: recogniser to learn from, with the vocabulary and frames of the model; None for
            none. Its passes teach those of the model, its last one those that it has not.
    """

    def __init__(
        self,
        model: "Transducer",
        optimizer: keras.optimizers.Optimizer,
        *,
        loss: LossConfig,
        augment: SpecAugmentConfig | None,
        clip_norm: float,
        skip_norm: float,
        seed: int,
        xla: bool,
        after_update: Callable[[tf.Tensor], None] = lambda counts: None,
        accumulate: int = 1,
        quantize_from: int = 0,
        noise: VariationalNoise | None = None,
        teacher: "Transducer | None" = None,
    ):
        self._model = model
        self._optimizer = optimizer
        leave_reducing(optimizer)
        self._config = loss
        self._augment = augment
        self._clip_norm = clip_norm
        self._skip_norm = skip_norm
        # A running geometric mean of the gradient's norm; 0 before the first step.
        self.usual_norm = tf.Variable(0.0, trainable=False, name="usual_norm")
        self._seed = seed
        self._xla = xla
        self._after_update = after_update
        self._accumulate = accumulate
        self._quantize_from = quantize_from
        self._noise = noise
        self._teacher = teacher
        self._strategy = tf.distribute.get_strategy()
        starts = (layer.quant.start_step for layer in quantized_layers(model).values())
        self._stages = sorted({0, quantize_from, *starts})
        # A TPU compiles by itself.
        compiles = xla and not isinstance(self._strategy, tf.distribute.TPUStrategy)
        # Functions, so that each shape is traced once, wherever it is called from.
        function = functools.partial(tf.function, jit_compile=compiles or None, autograph=False)
        self._run_replica, self._run_gradients = self._replica_step, self._gradients
        self._run_update = self._update
        if self._strategy.num_replicas_in_sync == 1:
            # An update does not depend on the shape of the batch, and takes as long to trace as all
            # else: once for all shapes. Replicas that update together may not be in a function.
            self._run_update = tf.function(self._update, autograph=False)
        if self._strategy.num_replicas_in_sync == 1:
            self._run_replica = function(self._replica_step)
        else:
            self._run_gradients = function(self._gradients)
        self._run_step = tf.function(self.in_graph, autograph=False)

    def __call__(self, batch: Any, step: int) -> Outcome:
        """Takes a step.

        Args:
            batch: `pcm` float32 [batch, samples], `pcm_length` int32 [batch], `labels` int32
                [batch, labels] and `label_length` int32 [batch]; or one for each replica.
            step: how many were taken before.

        Returns:
            float32 [] each: `loss`, the mean over the batch; `gradient_norm`, before it is clipped;
            `skipped`, 1 for a step that does not count.
        """
        batch = {name: batch[name] for name in _INPUTS}
        return self._run_step(batch, self.stage(step))

    def stage(self, step: int) -> int:
        """The step since which the layers quantize as they do at `step`."""
        return max(start for start in self._stages if start <= step)

    def stage_ends(self, step: int) -> float:
        """The first step behind `step` at which layers quantize otherwise; infinity if there is
        none."""
        return min((start for start in self._stages if start > step), default=math.inf)

    def to_config(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {
            "loss": dataclasses.asdict(self._config),
            "augment": self._augment and dataclasses.asdict(self._augment),
            "clip_norm": self._clip_norm,
            "skip_norm": self._skip_norm,
            "seed": self._seed,
            "xla": self._xla,
            "accumulate": self._accumulate,
            "quantize_from": self._quantize_from,
            "noise": self._noise and dataclasses.asdict(self._noise),
        }

    def in_graph(self, batch: Any, stage: int, shape: BatchShape | None = None) -> Outcome:
        """A step as a part of a graph that is being traced.

        Args:
            batch: as for a call.
            stage: of the step.
            shape: of a replica's batch, if the graph does not know it.
        """

        def replica(batch: Batch) -> Outcome:
            return self._run_replica(batch if shape is None else _of_shape(batch, shape), stage)

        batch = {name: batch[name] for name in _INPUTS}
        outcomes = self._strategy.run(replica, args=(batch,), options=_STATIC)
        # Of values that were reduced all replicas have the same.
        first = self._strategy.experimental_local_results
        return {name: first(value)[0] for name, value in outcomes.items()}

    def _replica_step(self, batch: Batch, stage: int) -> Outcome:
        context = tf.distribute.get_replica_context()
        seed = tf.stack(
            [
                tf.cast(self._optimizer.iterations, tf.int32) + self._seed * 1_000_003,
                tf.convert_to_tensor(context.replica_id_in_sync_group),
            ]
        )
        before = [tf.identity(variable) for variable in self._kept_by_a_skip()]
        loss, gradients = self._run_gradients(batch, seed, stage)
        rows = tf.reduce_sum(tf.cast(batch["pcm_length"] > 0, tf.float32))
        sums = [rows, loss, *gradients]
        if self._strategy.num_replicas_in_sync > 1:
            sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        rows, *sums = sums
        loss, *gradients = (x / tf.maximum(rows, 1.0) for x in sums)
        return self._run_update(loss, gradients, before)

    def _update(
        self, loss: tf.Tensor, gradients: list[tf.Tensor], before: list[tf.Tensor]
    ) -> Outcome:
        """Changes the weights, or leaves all as it was before the step if it does not count."""
        norm = tf.linalg.global_norm(gradients)
        counts = self._counts(loss, norm)
        gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, use_norm=norm)
        self._optimizer.apply(gradients, self._model.trainable_variables)
        for variable, value in zip(self._kept_by_a_skip(), before, strict=True):
            variable.assign(tf.where(counts, variable, value))
        self._after_update(counts)
        return {
            "loss": loss,
            "gradient_norm": norm,
            "skipped": 1.0 - tf.cast(counts, tf.float32),
        }

    def _kept_by_a_skip(self) -> list[tf.Variable]:
        """What a skipped step leaves as it was: all but the optimizer's count of steps, by which
        the learning rate and the seeds go, and random generators."""
        iterations = self._optimizer.iterations
        state = [variable for variable in self._optimizer.variables if variable is not iterations]
        return [variable.value for variable in [*self._model.weights, *state]]

    def _counts(self, loss: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
        """bool []: whether a step is to count; takes its norm into the usual one if so."""
        usual = self.usual_norm
        counts = tf.math.is_finite(loss) & tf.math.is_finite(norm)
        if self._skip_norm:
            # What is clipped anyway does no harm, and before the first step nothing is usual.
            highest = tf.maximum(self._clip_norm, self._skip_norm * usual)
            counts &= (usual == 0.0) | (norm <= highest)
        moved = tf.pow(usual, _USUAL_DECAY) * tf.pow(norm, 1.0 - _USUAL_DECAY)
        usual.assign(tf.where(counts, tf.where(usual == 0.0, norm, moved), usual))
        return counts

    def _gradients(
        self, batch: Batch, seed: tf.Tensor, stage: int
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The sum of the losses of a replica's batch, and its gradients."""
        variables = self._model.trainable_variables
        shapes = [variable.shape for variable in variables]

        def of_part(part: Batch, number: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            replicas = self._strategy.num_replicas_in_sync
            taught = self._taught(part)
            with tf.GradientTape() as tape:
                loss = self._loss(part, seed + tf.stack([0, replicas * number]), taught)
            gradients = zip(tape.gradient(loss, variables), shapes, strict=True)
            # Some have none in float, such as learned clips; those of tables come as slices.
            return loss, [
                tf.zeros(shape) if x is None else tf.convert_to_tensor(x) for x, shape in gradients
            ]

        # Entered here, since every replica has a thread of its own.
        with self._surroundings(stage), self._noise_on_weights(seed):
            found = sum_over_parts(of_part, batch, self._accumulate, shapes)
        count_step(self._model)
        return found

    @contextlib.contextmanager
    def _surroundings(self, stage: int) -> Iterator[None]:
        """Those of what is traced for a stage."""
        compiles = contextlib.nullcontext() if self._xla else without_xla()
        floats = in_float() if stage < self._quantize_from else contextlib.nullcontext()
        with compiles, at_step(stage), floats:
            yield

    def _noise_on_weights(self, seed: tf.Tensor) -> contextlib.AbstractContextManager[None]:
        if self._noise is None:
            return contextlib.nullcontext()
        weights = self._noise.weights_of(self._model)
        return self._noise.on(weights, self._optimizer.iterations, seed[0])

    def _taught(self, batch: Batch) -> list[tf.Tensor] | None:
        """What the teacher says of each pass, about the audio as it is."""
        passes, teacher = len(self._model.decoders), self._teacher
        if teacher is None:
            return None
        # As it was trained, wherever the training of the model is.
        with as_trained():
            encoded = teacher.encode(batch["pcm"], batch["pcm_length"], passes=passes)
            lengths = teacher.encoded_length(batch["pcm_length"]), batch["label_length"]
            found = [
                decoder.collapsed_lattice(frames, batch["labels"], *lengths)
                for decoder, frames in zip(teacher.decoders, encoded, strict=False)
            ]
        return found + found[-1:] * (passes - len(found))

    def _loss(
        self, batch: Batch, seed: tf.Tensor, taught: list[tf.Tensor] | None = None
    ) -> tf.Tensor:
        share = self._config.first_pass_weight
        if self._model.second_pass is None:
            return self._pass_losses(batch, seed, taught)[0]
        if not self._config.sample_passes:
            first, second = self._pass_losses(batch, seed, taught)
            return share * first + (1.0 - share) * second
        return tf.cond(
            tf.random.stateless_uniform([], seed) < share,
            lambda: self._pass_losses(batch, seed, taught, passes=1)[0],
            lambda: self._pass_losses(batch, seed, taught)[1],
        )

    def _pass_losses(
        self,
        batch: Batch,
        seed: tf.Tensor,
        taught: list[tf.Tensor] | None = None,
        passes: int | None = None,
    ) -> list[tf.Tensor]:
        encoded = self._model.encode(
            batch["pcm"],
            batch["pcm_length"],
            training=True,
            augment=self._augment,
            seed=seed,
            passes=passes,
        )
        lengths = self._model.encoded_length(batch["pcm_length"])
        return [
            self._pass_loss(
                index,
                frames,
                None if taught is None else _of_frames(taught[index], frames.shape[1]),
                batch["labels"],
                lengths,
                batch["label_length"],
            )
            for index, frames in enumerate(encoded)
        ]

    def _pass_loss(
        self, index: int, encoded: tf.Tensor, taught: tf.Tensor | None, *labels: tf.Tensor
    ) -> tf.Tensor:
        config = self._config
        losses = self._model.decoders[index].loss(
            encoded,
            *labels,
            training=True,
            fast_emit=config.fast_emit,
            label_smoothing=config.label_smoothing,
            teacher=taught,
            distillation_weight=config.distillation_weight,
        )
        if config.ctc_weight:
            logits = self._model.ctc_heads[index](encoded)
            losses += config.ctc_weight * ctc_loss(logits, *labels)
        # Those of padding are 0.
        return tf.reduce_sum(losses)


def _of_shape(batch: Batch, shape: BatchShape) -> Batch:
    """The batch, in a graph that knows its shape from here on."""
    rows, samples, labels = shape
    shapes = {
        "pcm": [rows, samples],
        "pcm_length": [rows],
        "labels": [rows, labels],
        "label_length": [rows],
    }
    return {name: tf.ensure_shape(batch[name], shapes[name]) for name in _INPUTS}


def _of_frames(lattice: tf.Tensor, time: int) -> tf.Tensor:
    """[3, batch, frames, ...] -> [3, batch, time, ...]: two recognisers may pad to whole chunks of
    their own; the real frames are in both."""
    lattice = lattice[:, :, :time]
    return tf.pad(lattice, [[0, 0], [0, 0], [0, time - lattice.shape[2]], [0, 0]])
