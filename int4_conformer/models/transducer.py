"""The recogniser: front end, encoder, prediction network and joint network."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig, spec_augment
from int4_conformer.audio.features import LogMel
from int4_conformer.decoding.beam import (
    NOTHING,
    Beam,
    BeamConfig,
    BeamSearch,
    Bias,
    LanguageModel,
    NBest,
)
from int4_conformer.decoding.greedy import Hypothesis, Tokens, greedy_search
from int4_conformer.decoding.rounds import Paths
from int4_conformer.layers.composite import Composite
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.losses.ctc import ctc_loss
from int4_conformer.models.encoder import Encoder
from int4_conformer.models.joint import Joint
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.predictors.factory import make_predictor
from int4_conformer.models.predictors.predictor import Predictor


@keras.saving.register_keras_serializable(package="int4_conformer")
class Transducer(Composite, keras.Model):
    """Conformer transducer, from PCM to logits or tokens.

    Args:
        config: sizes and quantization recipe.

    Call: a dict with `pcm` float32 [batch, samples] (samples a multiple of
        `config.front_end.block`), `pcm_length` int32 [batch] (real samples) and `labels` int32
        [batch, labels] -> logits float32 [batch, time, labels + 1, vocab].
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
            recipe.at("encoder"),
            name="encoder",
        )
        self.second_pass = None
        if config.second_pass is not None:
            self.second_pass = Encoder(
                config.second_pass,
                1,
                config.encoder.dim,
                recipe.at("second_pass"),
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
            recipe.at(f"{prefix}predictor"),
            name=f"{prefix}predictor",
        )
        joint = Joint(
            config.joint,
            config.vocab_size,
            recipe.at(f"{prefix}joint"),
            predictor.embedding if config.joint.tied else None,
            name=f"{prefix}joint",
        )
        return predictor, joint

    def create_weights(self) -> None:
        """Creates all weights now, without running anything.

        Raises:
            UserError: the recipe has a rule for no layer.
        """
        self.config.recipe.require_used(quantized_layers(self))
        labels = keras.KerasTensor([1, 1], "int32")
        self(
            {
                "pcm": keras.KerasTensor([1, self.config.block_samples]),
                "pcm_length": keras.KerasTensor([1], "int32"),
                "labels": labels,
            }
        )
        if self.second_predictor is not None:
            # A call is of the second pass alone.
            self.logits(keras.KerasTensor([1, 1, self.config.encoder.dim]), labels, index=0)
        for head, encoder in zip(self.ctc_heads, self.config.encoders, strict=False):
            head(keras.KerasTensor([1, 1, encoder.dim]))

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Creates the weights of a saved model, for Keras to load their values."""
        self.create_weights()

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
        return self.logits(encoded[-1], batch["labels"], training=training)

    def logits(
        self, encoded: tf.Tensor, labels: tf.Tensor, index: int = -1, training: bool = False
    ) -> tf.Tensor:
        """Logits of a pass.

        Args:
            encoded: float [batch, time, dim] of that pass.
            labels: int32 [batch, labels].
            index: which pass.
            training: whether dropout is on.

        Returns:
            float32 [batch, time, labels + 1, vocab].
        """
        predictor, joint = self.decoder(index)
        return joint(encoded, predictor(labels, training=training), training=training)

    def loss_of(
        self,
        encoded: tf.Tensor,
        labels: tf.Tensor,
        encoded_lengths: tf.Tensor,
        label_lengths: tf.Tensor,
        index: int = -1,
        training: bool = False,
        **options: float,
    ) -> tf.Tensor:
        """Transducer loss of a pass: `rnnt_loss` of its `logits`, which do not exist all at once.

        Args:
            encoded: float [batch, time, dim] of that pass.
            labels: int32 [batch, labels].
            encoded_lengths: int32 [batch], real frames.
            label_lengths: int32 [batch], real labels.
            index: which pass.
            training: whether dropout is on.
            options: of `joint_rnnt_loss`, such as `fast_emit` and `label_smoothing`.

        Returns:
            float32 [batch].
        """
        predictor, joint = self.decoder(index)
        return joint.loss(
            encoded,
            predictor(labels, training=training),
            labels,
            encoded_lengths,
            label_lengths,
            training,
            **options,
        )

    def ctc_loss_of(
        self,
        encoded: tf.Tensor,
        labels: tf.Tensor,
        encoded_lengths: tf.Tensor,
        label_lengths: tf.Tensor,
        index: int = -1,
    ) -> tf.Tensor:
        """CTC loss of a pass with a head, `config.ctc`; arguments and result as in `loss_of`."""
        logits = self.ctc_heads[index](encoded)
        return ctc_loss(logits, labels, encoded_lengths, label_lengths)

    def decoder(self, index: int = -1) -> tuple[Predictor, Joint]:
        """Prediction and joint network of a pass."""
        if self.second_predictor is None or index == 0:
            return self.predictor, self.joint
        return self.second_predictor, self.second_joint

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
            mask = tf.sequence_mask(lengths, features.shape[1] // stack)
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
        self, pcm: tf.Tensor, pcm_length: tf.Tensor | None = None, index: int = -1
    ) -> Tokens:
        """Greedy search.

        Args:
            pcm: float32 [batch, samples].
            pcm_length: int32 [batch]; None if nothing is padding.
            index: of the pass to recognize with.
        """
        encoded, lengths = self._frames(pcm, pcm_length, index)
        start = self.initial_hypothesis(keras.ops.shape(encoded)[0], index)
        return self.search(encoded, lengths, start, index)[0]

    def beam_search(
        self,
        pcm: tf.Tensor,
        pcm_length: tf.Tensor | None = None,
        index: int = -1,
        *,
        config: BeamConfig,
        bias: Bias | None = None,
        lm: LanguageModel | None = None,
    ) -> NBest:
        """Beam search; arguments as `recognize` and `beam_searcher`."""
        encoded, lengths = self._frames(pcm, pcm_length, index)
        search = self.beam_searcher(config, index, bias=bias, lm=lm)
        predictor, joint = self.decoder(index)
        start = search.start(keras.ops.shape(encoded)[0], predictor.initial_state)
        paths, beam = search(joint.project_frames(encoded), lengths, start)
        if config.full_sum:
            beam = self._rescored(encoded, lengths, paths, beam, index)
        return search.best(paths, beam)

    def _frames(
        self, pcm: tf.Tensor, pcm_length: tf.Tensor | None, index: int
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """What a pass makes of the audio, and how many of its frames are real."""
        encoded = self.encode(pcm, pcm_length, passes=1 if index == 0 else None)[index]
        return encoded, None if pcm_length is None else self.encoded_length(pcm_length)

    def _rescored(
        self,
        encoded: tf.Tensor,
        lengths: tf.Tensor | None,
        paths: Paths,
        beam: Beam,
        index: int,
    ) -> Beam:
        """A beam with the log-probability of all alignments of each hypothesis."""
        batch, width, capacity = paths.ids.shape
        if lengths is None:
            lengths = tf.fill([batch], encoded.shape[1])
        loss = self.loss_of(
            tf.repeat(encoded, width, axis=0),
            tf.reshape(paths.ids, [batch * width, capacity]),
            tf.repeat(lengths, width),
            tf.reshape(paths.count, [batch * width]),
            index,
        )
        log_prob = tf.where(beam.is_alive, -tf.reshape(loss, [batch, width]), NOTHING)
        return beam._replace(log_prob=log_prob)

    def beam_searcher(
        self,
        config: BeamConfig,
        index: int = -1,
        *,
        bias: Bias | None = None,
        lm: LanguageModel | None = None,
    ) -> BeamSearch:
        """The beam search of a pass, whose frames are those that its joint network projects.

        Args:
            config: how wide to search.
            index: which pass.
            bias: phrases to prefer.
            lm: language model over the same tokens.
        """
        predictor, joint = self.decoder(index)
        return BeamSearch(
            predict=predictor.step,
            logits=joint.logits,
            max_symbols_per_frame=self.config.max_symbols_per_frame,
            config=config,
            bias=bias,
            lm=lm,
        )

    def initial_hypothesis(self, batch: int, index: int = -1) -> Hypothesis:
        """What greedy search starts with: no label, and the prediction network's initial state."""
        predictor, _ = self.decoder(index)
        return tf.zeros([batch], tf.int32), predictor.initial_state(batch)

    def search(
        self, encoded: tf.Tensor, lengths: tf.Tensor | None, start: Hypothesis, index: int = -1
    ) -> tuple[Tokens, Hypothesis]:
        """`greedy_search` in the frames of a pass, which may be a piece of a stream.

        Args:
            encoded: float [batch, time, dim].
            lengths: int32 [batch], real frames; None if nothing is padding.
            start: from where the piece before went on.
            index: which pass.
        """
        predictor, joint = self.decoder(index)
        return greedy_search(
            joint.project_frames(encoded),
            lengths,
            start=start,
            predict=predictor.step,
            logits=joint.logits,
            max_symbols_per_frame=self.config.max_symbols_per_frame,
        )

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Transducer":
        return cls(TransducerConfig.from_config(config["config"]))
