import numpy as np
import pytest

from int4_conformer.layers.dense import QuantDense
from int4_conformer.layers.embedding import QuantEmbedding
from int4_conformer.quant.config import QuantConfig
from int4_conformer.serving.weights import deployed_weights
from tests import tiny
from tests.quant import reference

BLOCK = "encoder/block_0"
MATMULS = {
    "encoder/input/kernel",
    *(f"{BLOCK}/{ffn}/{way}/kernel" for ffn in ("ffn_start", "ffn_end") for way in ("up", "down")),
    *(
        f"{BLOCK}/attention/{role}/kernel"
        for role in ("query", "key", "value", "position", "output")
    ),
    *(f"{BLOCK}/convolution/{way}/kernel" for way in ("up", "down")),
    "predictor/projection/kernel",
    "joint/encoder/kernel",
}
TABLE = "predictor/embedding/embeddings"


def names(model):
    weights = [weight.name for weight in deployed_weights(model)]
    assert len(set(weights)) == len(weights)
    return set(weights)


def test_each_weight_of_the_model_is_named_once():
    assert names(tiny.shared_model("w4a8")) == {*MATMULS, TABLE}
    assert names(tiny.shared_model("w8a8", tied=False)) == {*MATMULS, TABLE, "joint/output/kernel"}


def test_a_partial_recipe():
    model = tiny.shared_model(tiny.ENCODER_ALONE)
    assert names(model) == {name for name in MATMULS if name.startswith("encoder/")}


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_codes_and_scales_have_output_channels_first(bits):
    quant = QuantConfig(weight_bits=bits, activation="int8")
    dense = QuantDense(5, quant=quant)
    dense.build((None, 7))
    table = QuantEmbedding(7, 5, quant=quant)
    table.build()
    for layer, variable, expected in (
        (dense, dense.kernel, dense.kernel.numpy().T),
        (table, table.embeddings, table.embeddings.numpy()),
    ):
        (weight,) = deployed_weights(layer)
        codes, scale = reference.quantize(expected, bits, axes=(1,))
        np.testing.assert_array_equal(weight.codes, codes)
        np.testing.assert_array_equal(weight.scale, scale[:, 0])
        assert weight.codes.dtype == np.int8
        assert (weight.name, weight.bits, weight.activation) == (variable.name, bits, "int8")
        assert weight.storage_bits == (4 if bits <= 4 else 8)
        np.testing.assert_array_equal(weight.dequantized(), codes * scale)


@pytest.mark.parametrize(
    ("activation", "integer"),
    [("float", False), ("int4", False), ("int8", True), ("int8_asymmetric", True)],
)
def test_runtimes_multiply_integers_with_8_bit_activations_alone(activation, integer):
    dense = QuantDense(4, quant=QuantConfig(weight_bits=4, activation=activation))
    dense.build((None, 4))
    assert deployed_weights(dense)[0].integer_kernel is integer
