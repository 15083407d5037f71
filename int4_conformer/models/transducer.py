"""The recogniser: front end, encoder, prediction network and joint network."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig, spec_augment
from int4_conformer.audio.features import LogMel
from int4_conformer.decoding.beam import Bias, LanguageModel, NBest
from int4_conformer.decoding.greedy import Tokens
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.losses.loss_config import LossConfig
from int4_conformer.models.encoder import Encoder
from int4_conformer.models.joint import Joint
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.predictors.factory import make_predictor
from int4_conformer.models.predictors.predictor import Predictor
from int4_conformer.models.training_step import TrainingStep
from int4_conformer.models.transducer_decoder import TransducerDecoder
from int4_conformer.models.variational_noise import VariationalNoise
from int4_conformer.search.beam_config import BeamConfig


@keras.saving.register_keras_serializable(package="int4_conformer")
class Transducer(keras.Model):
    """Conformer transducer, from PCM to logits or tokens.

    Args:
        config: sizes and quantization recipe.

    `compile` and `fit` train it (docs/training.md), on batches of `data.batches`.

    Call: a dict with `pcm` float32 [batch, samples] (samples a multiple of
        `config.front_end.block`), `pcm_length` int32 [batch] (real samples) and `labels` int32
        [batch, labels] -> logits float32 [batch, time, labels + 1, vocab].

    Example:

        >>> model = Transducer(preset("tiny", vocab_size=32))
        >>> model.build()
        >>> model.recognize(tf.zeros([1, 6400])).ids.shape
        TensorShape([1, 40])
    """

    def __init__(self, config: TransducerConfig, **kwargs: Any):
        # Its parts cast what they are given; samples are for the front end as they are.
        super().__init__(**{"name": config.name, "autocast": False} | kwargs)
        self.config = config
        recipe = config.recipe
        self.front_end = LogMel(config.front_end, name="front_end")
        self.encoder = Encoder(
            config.encoder,
            config.front_end.stack,
            config.front_end.mel_bins,
            quant=recipe.at("encoder"),
            name="encoder",
        )
        self.second_pass = None
        if config.second_pass is not None:
            self.second_pass = Encoder(
                config.second_pass,
                bins=config.encoder.dim,
                quant=recipe.at("second_pass"),
                name="second_pass",
            )
        self.predictor, self.joint = self._new_decoder("")
        self.second_predictor, self.second_joint = None, None
        if config.second_pass is not None and not config.shared_decoder:
            self.second_predictor, self.second_joint = self._new_decoder("second_")
        self.ctc_heads = [
            keras.layers.Dense(config.vocab_size, dtype="float32", name=f"ctc_{index}")
            for index in range(len(config.encoders) if config.ctc else 0)
        ]

    def _new_decoder(self, prefix: str) -> tuple[Predictor, Joint]:
        config, recipe = self.config, self.config.recipe
        predictor = make_predictor(
            config.predictor,
            config.vocab_size,
            config.joint.dim,
            quant=recipe.at(f"{prefix}predictor"),
            name=f"{prefix}predictor",
        )
        joint = Joint(
            config.joint,
            config.vocab_size,
            embedding=predictor.embedding if config.joint.tied else None,
            quant=recipe.at(f"{prefix}joint"),
            name=f"{prefix}joint",
        )
        return predictor, joint

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights, without running anything.

        Raises:
            UserError: the recipe has a rule for no layer.
        """
        self.config.recipe.require_used(quantized_layers(self))
        config = self.config
        self.front_end.build()
        self.encoder.build((None, None, config.front_end.mel_bins))
        if self.second_pass is not None:
            self.second_pass.build((None, None, config.encoder.dim))
        for decoder, encoder in zip(self.decoders, config.encoders, strict=True):
            if not decoder.predictor.built:
                decoder.predictor.build()
                decoder.joint.build((None, None, encoder.dim))
        for head, encoder in zip(self.ctc_heads, config.encoders, strict=False):
            head.build((None, None, encoder.dim))

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "adamw",
        loss: LossConfig | None = None,
        *,
        augment: SpecAugmentConfig | None = None,
        clip_norm: float = 5.0,
        skip_norm: float = 100.0,
        seed: int = 0,
        xla: bool = True,
        after_update: Callable[[tf.Tensor], None] = lambda counts: None,
        accumulate: int = 1,
        quantize_from: int = 0,
        noise: VariationalNoise | None = None,
        teacher: "Transducer | None" = None,
        **kwargs: Any,
    ) -> None:
        """Says how `fit` trains; see `TrainingStep`.

        Args:
            optimizer: a Keras optimizer or its name.
            loss: what to minimise.
            augment: SpecAugment; None for none.
            clip_norm: norm to which the gradient of all weights together is clipped.
            skip_norm: steps whose gradient has more than this many times the usual norm are
                skipped.
            seed: of masks and draws.
            xla: whether XLA compiles the step.
            after_update: called in the replicas behind each step, with whether it counts.
            accumulate: parts of a batch that are computed one after the other.
            quantize_from: step from which on layers are quantized.
            noise: of the weights; None for none.
            teacher: recogniser to learn from; a model that is saved goes on without.
            kwargs: of `keras.Model.compile`.
        """
        super().compile(optimizer=optimizer, jit_compile=False, **kwargs)
        if not self.built:
            self.build()
        self.optimizer.build(self.trainable_variables)
        self.training_step = TrainingStep(
            self,
            self.optimizer,
            loss=loss or LossConfig(),
            augment=augment,
            clip_norm=clip_norm,
            skip_norm=skip_norm,
            seed=seed,
            xla=xla,
            after_update=after_update,
            accumulate=accumulate,
            quantize_from=quantize_from,
            noise=noise,
            teacher=teacher,
        )

    def get_compile_config(self) -> dict[str, Any] | None:
        if not self.compiled:
            return None
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "training_step": self.training_step.to_config(),
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        step = config["training_step"]
        self.compile(
            keras.optimizers.deserialize(config["optimizer"]),
            LossConfig(**step["loss"]),
            augment=step["augment"] and SpecAugmentConfig(**step["augment"]),
            clip_norm=step["clip_norm"],
            skip_norm=step["skip_norm"],
            seed=step["seed"],
            xla=step["xla"],
            # Those of earlier versions have not all of them.
            accumulate=step.get("accumulate", 1),
            quantize_from=step.get("quantize_from", 0),
            noise=step.get("noise") and VariationalNoise(**step["noise"]),
        )

    def make_train_function(self, force: bool = False) -> Callable[[Any], dict[str, tf.Tensor]]:
        """What `fit` calls for each step: `training_step` of the next batch."""

        def train(iterator: Any) -> dict[str, tf.Tensor]:
            # Out of any graph, where batches know their sizes.
            batch = next(iterator)
            return self.training_step(batch, int(self.optimizer.iterations.numpy()))

        self.train_function = train
        return train

    def call(
        self,
        batch: dict[str, tf.Tensor],
        training: bool = False,
        augment: SpecAugmentConfig | None = None,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        encoded = self.encode(
            batch["pcm"], batch["pcm_length"], training=training, augment=augment, seed=seed
        )
        return self.decoders[-1].logits(encoded[-1], batch["labels"], training=training)

    @property
    def decoders(self) -> tuple[TransducerDecoder, ...]:
        """Of each pass."""
        pairs = [(self.predictor, self.joint)]
        if self.second_pass is not None:
            own = (self.second_predictor, self.second_joint)
            pairs.append(pairs[0] if self.second_predictor is None else own)
        return tuple(
            TransducerDecoder(
                *pair,
                max_symbols_per_frame=self.config.max_symbols_per_frame,
                blank_penalty=self.config.blank_penalty,
            )
            for pair in pairs
        )

    def encode(
        self,
        pcm: tf.Tensor,
        pcm_length: tf.Tensor | None = None,
        training: bool = False,
        augment: SpecAugmentConfig | None = None,
        seed: tf.Tensor | None = None,
        passes: int | None = None,
    ) -> list[tf.Tensor]:
        """What each pass makes of the audio.

        Args:
            pcm: float32 [batch, samples].
            pcm_length: int32 [batch]; None if nothing is padding.
            training: whether dropout is on.
            augment: SpecAugment to apply with `seed`, int32 [2].
            passes: how many to run; all if not given.

        Returns:
            float32 [batch, time, dim] of every pass, one frame per `config.frame_samples`.
        """
        stack, block = self.config.front_end.stack, self.config.front_end.block
        pcm, mask = self._whole_chunks(pcm), None
        features = tf.stop_gradient(self.front_end(pcm))
        if pcm_length is not None:
            lengths = -(-pcm_length // block)
            if augment is not None:
                features = spec_augment(features, lengths * stack, seed, augment)
            mask = tf.sequence_mask(lengths, keras.ops.shape(features)[1] // stack)
        encoded = [self.encoder(features, padding_mask=mask, training=training)]
        if self.second_pass is not None and passes != 1:
            if mask is not None:
                mask = mask[:, :: self.config.encoder.reduction]
            encoded.append(self.second_pass(encoded[0], padding_mask=mask, training=training))
        return encoded

    def _whole_chunks(self, pcm: tf.Tensor) -> tf.Tensor:
        """Pads audio of a known length to a multiple of `config.block_samples`."""
        samples = pcm.shape[1]
        missing = 0 if samples is None else -samples % self.config.block_samples
        return tf.pad(pcm, [[0, 0], [0, missing]]) if missing else pcm

    @property
    def is_streamable(self) -> bool:
        """Whether no encoder sees further than `models.stream` can go."""
        return all(encoder.is_streamable for encoder in self.config.encoders)

    def encoded_length(self, pcm_length: tf.Tensor) -> tf.Tensor:
        """Encoder frames of utterances of so many samples: a begun frame counts; int32 [batch]."""
        return -(-pcm_length // self.config.frame_samples)

    def recognize(
        self, pcm: tf.Tensor, pcm_length: tf.Tensor | None = None, passes: int | None = None
    ) -> Tokens:
        """Greedy search in the last pass.

        Args:
            pcm: float32 [batch, samples].
            pcm_length: int32 [batch]; None if nothing is padding.
            passes: how many to run; all if not given.
        """
        encoded, lengths, decoder = self._last_pass(pcm, pcm_length, passes)
        start = decoder.initial_hypothesis(keras.ops.shape(encoded)[0])
        return decoder.greedy(encoded, lengths, start)[0]

    def beam_search(
        self,
        pcm: tf.Tensor,
        pcm_length: tf.Tensor | None = None,
        passes: int | None = None,
        *,
        config: BeamConfig,
        bias: Bias | None = None,
        lm: LanguageModel | None = None,
    ) -> NBest:
        """Beam search in the last pass; arguments as `recognize` and `TransducerDecoder.beam`."""
        encoded, lengths, decoder = self._last_pass(pcm, pcm_length, passes)
        return decoder.beam(encoded, lengths, config, bias=bias, lm=lm)

    def _last_pass(
        self, pcm: tf.Tensor, pcm_length: tf.Tensor | None, passes: int | None
    ) -> tuple[tf.Tensor, tf.Tensor | None, TransducerDecoder]:
        """What the last pass makes of the audio, how many of its frames are real, and its
        decoder."""
        encoded = self.encode(pcm, pcm_length, passes=passes)
        lengths = None if pcm_length is None else self.encoded_length(pcm_length)
        return encoded[-1], lengths, self.decoders[len(encoded) - 1]

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Transducer":
        return cls(TransducerConfig.from_config(config["config"]))
