"""What all prediction networks share."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.quant_embedding import QuantEmbedding
from int4_conformer.layers.steppable import State, Steppable
from int4_conformer.models.model_config import PredictorConfig
from int4_conformer.quant.spec.recipe import Quant, as_recipe


class Predictor(Steppable, keras.layers.Layer):
    """From labels to what the joint network adds to its frames.

    It begins with an embedding, which the joint network may share, and ends in a projection with
    swish and layer norm; a kind of network is what stands between. Its frames are labels, of which
    the first is 0, the start: a call puts it before its labels, and searches give it in their first
    step.

    The blank, 0, stands for the start, and its embedding counts as zero: in a tied model row 0 of
    the table is then the blank's own output vector and shared with no look-up.

    Args:
        config: sizes.
        vocab_size: rows of the embedding, the blank included.
        output_dim: width of the output.
        quant: how its layers are quantized (`as_recipe`), by names such as `embedding` and
            `projection`.

    Call: labels int [batch, labels], padded with any ids -> float [batch, labels + 1, output_dim];
        position u has seen `labels[:u]`.
    """

    def __init__(
        self,
        config: PredictorConfig,
        vocab_size: int,
        output_dim: int,
        *,
        quant: Quant = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.config = config
        self.vocab_size = vocab_size
        self.output_dim = output_dim
        self.recipe = as_recipe(quant)
        self.embedding = QuantEmbedding(
            vocab_size,
            config.embedding_dim,
            keras.initializers.RandomNormal(stddev=config.embedding_dim**-0.5),
            quant=self.recipe.at("embedding"),
            name="embedding",
        )
        self.projection = QuantDense(
            output_dim, "silu", quant=self.recipe.at("projection"), name="projection"
        )
        self.norm = LayerNorm(name="norm")

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        self.embedding.build()
        self._build_network()
        self.projection.build((None, None, self._network_dim))
        self.norm.build((None, None, self.output_dim))

    def _build_network(self) -> None:
        """Creates the weights of what stands between embedding and projection."""

    @property
    def _network_dim(self) -> int:
        """Width of what goes into the projection."""
        return self.config.embedding_dim

    def call(self, labels: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.advance(tf.pad(labels, [[0, 0], [1, 0]]), None, None, training)[0]

    def advance_label(self, label: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """`step` by one label, as searches take it.

        Args:
            label: int32 [batch]; 0 in the first step.
            state: after the labels before.

        Returns:
            float [batch, output_dim], and the state after this label.
        """
        output, state = self.step(label[:, None], state)
        return output[:, 0], state

    def _embed(self, labels: tf.Tensor) -> tf.Tensor:
        """int [...] -> float [..., embedding_dim]."""
        rows = self.embedding(labels)
        return rows * tf.cast(tf.not_equal(labels, 0), rows.dtype)[..., None]

    def _output(self, x: tf.Tensor) -> tf.Tensor:
        """float [..., dim] -> [..., output_dim]."""
        return self.norm(self.projection(x))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "config": dataclasses.asdict(self.config),
            "vocab_size": self.vocab_size,
            "output_dim": self.output_dim,
            "quant": self.recipe.to_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Predictor":
        return cls(**(config | {"config": PredictorConfig(**config["config"])}))
