"""The recogniser: front end, encoder, prediction network and joint network."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig, spec_augment
from int4_conformer.audio.features import LogMel
from int4_conformer.decoding.greedy import greedy_search
from int4_conformer.layers.paths import quantized_layers
from int4_conformer.models.config import TransducerConfig
from int4_conformer.models.conformer import ConformerEncoder
from int4_conformer.models.joint import Joint
from int4_conformer.models.predictor import AveragedEmbeddingPredictor


@keras.saving.register_keras_serializable(package="int4_conformer")
class Transducer(keras.Model):
    """Conformer transducer, from PCM to logits or tokens.

    Args:
        config: sizes and quantization recipe.

    Call: a dict with `pcm` float32 [batch, samples] (samples a multiple of
        `config.front_end.block`), `pcm_length` int32 [batch] (real samples) and `labels` int32
        [batch, labels] -> logits float32 [batch, time, labels + 1, vocab].
    """

    def __init__(self, config: TransducerConfig, **kwargs: Any):
        super().__init__(**{"name": config.name} | kwargs)
        self.config = config
        recipe = config.recipe
        self.front_end = LogMel(config.front_end, name="front_end")
        self.encoder = ConformerEncoder(
            config.encoder, config.front_end.stack, recipe.at("encoder"), name="encoder"
        )
        self.predictor = AveragedEmbeddingPredictor(
            config.predictor,
            config.vocab_size,
            config.joint.dim,
            recipe.at("predictor"),
            name="predictor",
        )
        self.joint = Joint(
            config.joint,
            config.vocab_size,
            recipe.at("joint"),
            self.predictor.embedding if config.joint.tied else None,
            name="joint",
        )

    def create_weights(self) -> None:
        """Creates all weights now, without running anything.

        Raises:
            UserError: the recipe has a rule for no layer.
        """
        self.config.recipe.require_used(quantized_layers(self))
        block = self.config.front_end.block
        # Autograph would make another error of the user's.
        tf.function(self, autograph=False).get_concrete_function(
            {
                "pcm": tf.TensorSpec([1, block], tf.float32),
                "pcm_length": tf.TensorSpec([1], tf.int32),
                "labels": tf.TensorSpec([1, 1], tf.int32),
            }
        )

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
        return self.joint(encoded, self.predictor(batch["labels"]))

    def encode(
        self,
        pcm: tf.Tensor,
        pcm_length: tf.Tensor | None = None,
        training: bool = False,
        augment: SpecAugmentConfig | None = None,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Encoder output.

        Args:
            pcm: float32 [batch, samples].
            pcm_length: int32 [batch]; None if nothing is padding.
            training: whether dropout is on.
            augment: SpecAugment to apply with `seed`, int32 [2].

        Returns:
            float32 [batch, time, dim], one frame per block of samples.
        """
        features = tf.stop_gradient(self.front_end(pcm))
        if pcm_length is None:
            return self.encoder(features, training=training)
        lengths = self.encoded_length(pcm_length)
        if augment is not None:
            features = spec_augment(features, lengths * self.config.front_end.stack, seed, augment)
        padding_mask = tf.sequence_mask(lengths, features.shape[1] // self.config.front_end.stack)
        return self.encoder(features, padding_mask=padding_mask, training=training)

    def encoded_length(self, pcm_length: tf.Tensor) -> tf.Tensor:
        """Encoder frames of utterances of so many samples: a begun block counts; int32 [batch]."""
        return -(-pcm_length // self.config.front_end.block)

    def recognize(
        self, pcm: tf.Tensor, pcm_length: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Greedy search.

        Args:
            pcm: float32 [batch, samples].
            pcm_length: int32 [batch]; None if nothing is padding.

        Returns:
            tokens int32 [batch, time * max_symbols], 0 past the end, and their count int32 [batch].
        """
        encoded = self.encode(pcm, pcm_length)
        lengths = None if pcm_length is None else self.encoded_length(pcm_length)
        return greedy_search(
            self.joint.project_frames(encoded),
            lengths,
            predict=self.predictor.step,
            logits=self.joint.logits,
            context=self.config.predictor.context,
            max_symbols=self.config.max_symbols,
        )

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Transducer":
        return cls(TransducerConfig.from_config(config["config"]))
