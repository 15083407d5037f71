"""The quantized layers, as the tests that all of them pass need them described."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from int4_conformer import layers
from tests.quant import reference

BATCH, TIME, WIDTH = 2, 6, 32
_RNG = np.random.default_rng(0)
X = _RNG.standard_normal([BATCH, TIME, WIDTH]).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A layer, and how it is used."""

    layer: type[keras.layers.Layer]
    arguments: Mapping[str, Any]
    # What it is called with.
    inputs: tuple[np.ndarray, ...]
    # Its quantized weights: the end of the path, and the number of axes that products sum over.
    matrices: Mapping[str, int]
    # Whether activations can be integers.
    integer: bool = True
    # Whether outputs are linear in the weights and need no sum of floats.
    linear: bool = True
    # The axis of a matrix that products sum over.
    axis: int = 0

    @property
    def keras_layer(self) -> type[keras.layers.Layer]:
        """What the layer stands in for."""
        return getattr(keras.layers, self.layer.__name__.removeprefix("Quant"))

    @property
    def scheme(self) -> str:
        """The hardest scheme that the layer takes."""
        return "w4c_a8d" if self.integer else "w4c"

    def built(self, layer: keras.layers.Layer, seed: int = 1) -> Any:
        """The layer with weights, biases included, that are not zero."""
        layer(*self.inputs)
        self.set_weights(layer, seed)
        return layer

    def set_weights(self, layer: keras.layers.Layer, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        for weight in weights(layer):
            weight.assign(0.3 * rng.standard_normal(weight.shape))

    def quantized(self, quant: Any, **arguments: Any) -> Any:
        return self.built(self.layer(quant=quant, **(dict(self.arguments) | arguments)))

    def float_twin(self, **arguments: Any) -> Any:
        return self.built(self.keras_layer(**(dict(self.arguments) | arguments)))

    def quantized_weights(self, layer: keras.layers.Layer) -> dict[str, keras.Variable]:
        found = {path(weight): weight for weight in weights(layer)}
        return {end: found[next(p for p in found if p.endswith(end))] for end in self.matrices}

    def matrix(self, end: str, weight: np.ndarray) -> np.ndarray:
        """A weight as the matrix that has one scale per output channel."""
        weight = np.asarray(weight)
        count = self.matrices[end]
        return weight.reshape(int(np.prod(weight.shape[:count])), -1)

    def with_matrices(
        self, layer: keras.layers.Layer, change: Callable[[np.ndarray], np.ndarray]
    ) -> Any:
        """The float twin of a layer, with its weights changed as matrices."""
        twin = self.float_twin()
        for one, other in zip(weights(twin), weights(layer), strict=True):
            one.assign(other)
        for end, weight in self.quantized_weights(twin).items():
            matrix = change(self.matrix(end, weight.numpy()))
            weight.assign(matrix.reshape(weight.shape))
        return twin

    def on_grid(self, layer: keras.layers.Layer, bits: int) -> Any:
        """The float twin of a layer, with its weights on their grids."""
        return self.with_matrices(layer, lambda w: reference.on_grid(w, bits, (self.axis,)))


def path(weight: keras.Variable) -> str:
    """A variable's path below its layer."""
    return weight.path.split("/", 1)[1]


def weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The variables that the Keras layer has too."""
    return [weight for weight in layer.weights if not is_of_quantization(weight)]


def is_of_quantization(weight: keras.Variable) -> bool:
    return weight.name == "quant_step" or weight.name.endswith(("_clip", "_range"))


CASES = [
    Case(
        layer=layers.QuantDense,
        arguments={"units": 5},
        inputs=(X,),
        matrices={"kernel": 1},
    ),
    Case(
        layer=layers.QuantEinsumDense,
        arguments={
            "equation": "btd,dhk->bthk",
            "output_shape": [None, 2, 3],
            "bias_axes": "hk",
        },
        inputs=(X,),
        matrices={"kernel": 1},
    ),
    Case(
        layer=layers.QuantEmbedding,
        arguments={"input_dim": 7, "output_dim": WIDTH, "mask_zero": True},
        inputs=(np.int32([[1, 6, 0], [5, 1, 3]]),),
        matrices={"embeddings": 1},
        axis=1,
    ),
    Case(
        layer=layers.QuantConv1D,
        arguments={"filters": 5, "kernel_size": 3, "strides": 2, "padding": "causal"},
        inputs=(X,),
        matrices={"kernel": 2},
    ),
    Case(
        layer=layers.QuantConv2D,
        arguments={"filters": 5, "kernel_size": (2, 2), "padding": "same"},
        inputs=(X.reshape(BATCH, TIME, 4, 8),),
        matrices={"kernel": 3},
    ),
    Case(
        layer=layers.QuantDepthwiseConv1D,
        arguments={"kernel_size": 32, "padding": "same", "depth_multiplier": 2},
        inputs=(X[..., :4],),
        matrices={"kernel": 1},
        integer=False,
    ),
    Case(
        layer=layers.QuantLSTM,
        arguments={"units": WIDTH, "return_sequences": True},
        inputs=(X,),
        matrices={"/kernel": 1, "recurrent_kernel": 1},
        linear=False,
    ),
    Case(
        layer=layers.QuantMultiHeadAttention,
        arguments={"num_heads": 2, "key_dim": 16},
        inputs=(X, X[:, :4] + 1),
        matrices={
            "query/kernel": 1,
            "key/kernel": 1,
            "value/kernel": 1,
            "attention_output/kernel": 2,
        },
        linear=False,
    ),
    Case(
        layer=layers.QuantGroupQueryAttention,
        arguments={"head_dim": 16, "num_query_heads": 2, "num_key_value_heads": 1},
        inputs=(X, X[:, :4] + 1),
        matrices={
            "query/kernel": 1,
            "key/kernel": 1,
            "value/kernel": 1,
            "attention_output/kernel": 2,
        },
        linear=False,
    ),
]
