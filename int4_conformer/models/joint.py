"""Joint network."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.quant_embedding import QuantEmbedding
from int4_conformer.losses.distillation import collapsed_lattice, joint_distillation_loss
from int4_conformer.losses.joint_rnnt import joint_rnnt_loss
from int4_conformer.models.model_config import JointConfig
from int4_conformer.quant.products.loop_product import LoopProduct
from int4_conformer.quant.spec.recipe import Quant, as_recipe


@keras.saving.register_keras_serializable(package="int4_conformer")
class Joint(keras.layers.Layer):
    """logits = O tanh(W f + g) + b for an encoder frame f and a prediction g.

    The prediction network already ends in a projection to `dim`, so g is added as it is. O is a
    dense layer or, tied, the label embedding transposed (arXiv 2109.07513, section 3.2).

    Args:
        config: width, tied or not.
        vocab_size: output symbols.
        embedding: the table of a tied model, else None.
        quant: how its dense layers are quantized (`as_recipe`), by the names `encoder` and
            `output`.

    Example:

        >>> joint = Joint(JointConfig(dim=64, tied=False), vocab_size=32, quant="w4a8")
        >>> joint(tf.zeros([2, 10, 48]), tf.zeros([2, 4, 64])).shape
        TensorShape([2, 10, 4, 32])
    """

    def __init__(
        self,
        config: JointConfig,
        vocab_size: int,
        *,
        embedding: QuantEmbedding | None = None,
        quant: Quant = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.config = config
        self.vocab_size = vocab_size
        self.recipe = as_recipe(quant)
        self.encoder_dense = QuantDense(config.dim, quant=self.recipe.at("encoder"), name="encoder")
        self.embedding = embedding
        if embedding is None:
            self.output_dense = QuantDense(
                vocab_size, quant=self.recipe.at("output"), name="output"
            )

    def build(
        self,
        encoded_shape: tuple[int | None, ...],
        predicted_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.encoder_dense.build(encoded_shape)
        if self.embedding is None:
            self.output_dense.build((None, None, None, self.config.dim))
        else:
            if not self.embedding.built:
                self.embedding.build()
            self.output_bias = self.add_weight(
                shape=(self.vocab_size,), initializer="zeros", name="output_bias"
            )

    def call(
        self, encoded: tf.Tensor, predicted: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """Logits of the whole lattice.

        Args:
            encoded: float [batch, time, encoder_dim].
            predicted: float [batch, labels + 1, dim].

        Returns:
            float32 [batch, time, labels + 1, vocab].
        """
        frames = self.project_frames(encoded, training)
        return self.logits(frames[:, :, None], predicted[:, None], training)

    def project_frames(self, encoded: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """float [batch, time, encoder_dim] -> [batch, time, dim]."""
        return self.encoder_dense(encoded, training=training)

    def logits(
        self, frames: tf.Tensor, predicted: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """float [..., dim] and [..., dim], broadcast -> float32 [..., vocab]."""
        hidden = tf.tanh(frames + predicted)
        if self.embedding is None:
            logits = self.output_dense(hidden, training=training)
        else:
            logits = self.embedding.project(hidden, training) + self.output_bias
        return tf.cast(logits, tf.float32)

    def loss(
        self,
        encoded: tf.Tensor,
        predicted: tf.Tensor,
        labels: tf.Tensor,
        encoded_lengths: tf.Tensor,
        label_lengths: tf.Tensor,
        training: bool | None = None,
        *,
        teacher: tf.Tensor | None = None,
        distillation_weight: float = 0.0,
        **options: float,
    ) -> tf.Tensor:
        """Transducer loss of the lattice's logits, of which few exist at a time.

        It is `rnnt_loss` of what `call` returns. Static activation ranges are an exception: of the
        lattice, they see one prediction per frame, those along the diagonal.

        Args:
            encoded: float [batch, time, encoder_dim].
            predicted: float [batch, labels + 1, dim].
            labels: int32 [batch, labels].
            encoded_lengths: int32 [batch], real frames.
            label_lengths: int32 [batch], real labels.
            teacher: what another joint's `collapsed_lattice` found; None for no teacher.
            distillation_weight: share of `joint_distillation_loss` if there is one.
            options: of `joint_rnnt_loss`, such as `fast_emit` and `label_smoothing`.

        Returns:
            float32 [batch].
        """
        frames = self.project_frames(encoded, training)
        predicted = tf.cast(predicted, frames.dtype)

        def steps(product: LoopProduct) -> tf.Tensor:
            if product.observes:
                path = tf.range(frames.shape[1]) * predicted.shape[1] // frames.shape[1]
                product.observe(tf.tanh(frames + tf.gather(predicted, path, axis=1)))
            lattice = self._lattice(product, frames, predicted)
            lattice += (labels, encoded_lengths, label_lengths)
            loss = joint_rnnt_loss(*lattice, vocab_size=self.vocab_size, **options)
            if teacher is None:
                return loss
            distance = joint_distillation_loss(*lattice, teacher, vocab_size=self.vocab_size)
            return (1.0 - distillation_weight) * loss + distillation_weight * distance

        return self._in_loop(steps, training)

    def collapsed_lattice(
        self, encoded: tf.Tensor, predicted: tf.Tensor, *labels: tf.Tensor
    ) -> tf.Tensor:
        """What a student learns from; arguments as `loss`, result as
        `losses.collapsed_lattice`."""
        frames = self.project_frames(encoded)
        predicted = tf.cast(predicted, frames.dtype)
        return self._in_loop(
            lambda product: collapsed_lattice(
                *self._lattice(product, frames, predicted), *labels, vocab_size=self.vocab_size
            )
        )

    def _lattice(
        self, product: LoopProduct, frames: tf.Tensor, predicted: tf.Tensor
    ) -> tuple[Any, ...]:
        """The joint as losses take it: a function, and its arguments."""

        def logits(frames: tf.Tensor, predicted: tf.Tensor, *operands: tf.Tensor) -> tf.Tensor:
            return product(tf.tanh(frames + predicted), *operands)

        return logits, frames, predicted, product.operands

    def _in_loop(
        self, steps: Callable[[LoopProduct], tf.Tensor], training: bool | None = None
    ) -> tf.Tensor:
        if self.embedding is None:
            return self.output_dense.in_loop(steps, training)
        return self.embedding.in_loop(steps, training, bias=self.output_bias)

    def get_config(self) -> dict[str, Any]:
        embedding = self.embedding and keras.saving.serialize_keras_object(self.embedding)
        return super().get_config() | {
            "config": dataclasses.asdict(self.config),
            "vocab_size": self.vocab_size,
            "embedding": embedding,
            "quant": self.recipe.to_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Joint":
        embedding = config["embedding"] and keras.saving.deserialize_keras_object(
            config["embedding"]
        )
        return cls(**(config | {"config": JointConfig(**config["config"]), "embedding": embedding}))
