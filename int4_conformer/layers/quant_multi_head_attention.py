"""Multi-head and group query attention in integers."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.quant_einsum_dense import QuantEinsumDense
from int4_conformer.quant.products.activation_products import (
    BScale,
    Scheme,
    activation_einsum,
    require_scheme,
)
from int4_conformer.quant.spec.quant_config import QuantConfig, renamed_activation
from int4_conformer.quant.spec.recipe import Recipe, resolve


class _QuantAttention:
    """Mixin, to be named before a Keras layer of attention: its projections are quantized.

    Args:
        quant: as the layers say.
    """

    def __init__(self, *args: Any, quant: Recipe | QuantConfig | str | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if not isinstance(quant, Recipe):
            quant = Recipe(name=self.name, rules=((".*", resolve(quant)),))
        gate = ["gate"] if super().get_config().get("use_gate") else []
        names = ["query", "key", "value", "attention_output", *gate]
        # The rules that matter here, by names that no longer depend on where this layer is.
        self.quant = Recipe(
            name=quant.name,
            rules=tuple((name, quant.at(name).config()) for name in names),
        )

    def __setattr__(self, name: str, value: Any) -> None:
        # Of each projection that the Keras layer makes, its quantized counterpart takes the place.
        if type(value) is keras.layers.EinsumDense:
            config = self.quant.at(value.name).config()
            value = QuantEinsumDense.from_config(value.get_config() | {"quant": config.to_config()})
        super().__setattr__(name, value)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"quant": self.quant.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "_QuantAttention":
        return cls(**(config | {"quant": Recipe.from_config(config["quant"])}))


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantGroupQueryAttention(_QuantAttention, keras.layers.GroupQueryAttention):
    """`keras.layers.GroupQueryAttention` whose projections are `QuantEinsumDense`.

    Arguments, calls and weights are those of the Keras layer, and `quant` as in
    `QuantMultiHeadAttention`. Scores and context are computed in float.

    Raises:
        UserError: the recipe has no rule for a projection.

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> attention = QuantGroupQueryAttention(16, 4, 2, quant="w4a8")
        >>> keras.Model(inputs, attention(inputs, inputs))(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantMultiHeadAttention(_QuantAttention, keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` whose projections are `QuantEinsumDense`.

    Arguments, calls and weights are those of the Keras layer, and beside its arguments:

    Args:
        quant: how the projections `query`, `key`, `value`, `attention_output` and, with `use_gate`,
            `gate` are quantized: a `Recipe`, asked for each at its path below this layer's, or
            what `QuantEinsumDense` takes, for all of them.
        activation_scheme: how the operands of scores and of context are quantized,
            "int8_symmetric" or "int4_symmetric" (`quant.activation_matmul`); None computes both in
            float.

    Raises:
        UserError: a name is unknown, or the recipe has no rule for a projection.

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> attention = QuantMultiHeadAttention(num_heads=4, key_dim=16, quant="w4a8")
        >>> outputs = attention(inputs, inputs, use_causal_mask=True)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """

    def __init__(
        self,
        *args: Any,
        quant: Recipe | QuantConfig | str | None = None,
        activation_scheme: Scheme | None = None,
        **kwargs: Any,
    ):
        if activation_scheme is not None:
            require_scheme(activation_scheme)
        super().__init__(*args, quant=quant, **kwargs)
        self.activation_scheme = activation_scheme

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"activation_scheme": self.activation_scheme}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "QuantMultiHeadAttention":
        scheme = renamed_activation(config["activation_scheme"])
        return super().from_config(config | {"activation_scheme": scheme})

    def _compute_attention(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        attention_mask: tf.Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        if self.activation_scheme is None:
            return super()._compute_attention(
                query, key, value, attention_mask, training, return_attention_scores
            )
        query *= tf.cast(self._inverse_sqrt_key_dim, query.dtype)
        logits = self._product(self._dot_product_equation, key, query, "column")
        scores = self._masked_softmax(logits, attention_mask)
        dropped = self._dropout_layer(scores, training=training)
        # With a scale for each frame of the values, since masked ones must not matter.
        return self._product(self._combine_equation, dropped, value, "row"), scores

    def _product(self, equation: str, a: tf.Tensor, b: tf.Tensor, b_scale: BScale) -> tf.Tensor:
        y = activation_einsum(equation, a, b, self.activation_scheme, b_scale=b_scale)
        return tf.cast(y, self.compute_dtype)
