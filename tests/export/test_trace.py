import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.export.trace import deployed_weights
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.quant_embedding import QuantEmbedding
from int4_conformer.quant.spec.quant_config import QuantConfig
from tests.quant import reference
from tests.support import deployments, tiny

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


def of_layer(layer, *specs):
    """The one deployed weight of a layer."""
    _, deployment = deployments.traced(layer, "float_twin", *specs)
    (weight,) = deployed_weights(deployment, layer)
    return weight


@pytest.mark.parametrize(
    ("recipe", "tied", "expected"),
    [
        ("w4a8", True, {*MATMULS, TABLE}),
        ("w8a8", False, {*MATMULS, TABLE, "joint/output/kernel"}),
        (tiny.ENCODER_ALONE, True, {name for name in MATMULS if name.startswith("encoder/")}),
        ("float", True, set()),
    ],
    ids=["tied", "untied", "partial", "float"],
)
def test_each_weight_of_the_model_is_named_once(recipe, tied, expected):
    names = [weight.name for weight in tiny.shared_weights(recipe, tied)]
    assert sorted(names) == sorted(expected)


@pytest.mark.parametrize(("bits", "stored"), [(2, 2), (3, 4), (4, 4), (6, 8), (8, 8)])
def test_codes_and_scales_have_output_channels_first(bits, stored):
    quant = QuantConfig(weight_bits=bits, activation="int8_symmetric")
    dense = QuantDense(5, quant=quant)
    dense.build((None, 7))
    table = QuantEmbedding(7, 5, quant=quant)
    table.build()
    for layer, variable, expected, spec in (
        (dense, dense.kernel, dense.kernel.numpy().T, tf.TensorSpec([3, 7])),
        (table, table.embeddings, table.embeddings.numpy(), tf.TensorSpec([3], tf.int32)),
    ):
        weight = of_layer(layer, spec)
        codes, scale = reference.quantize(expected, bits, axes=(1,))
        # Zeros fill the last byte of each row.
        codes = np.pad(codes, [(0, 0), (0, -codes.shape[1] % (8 // stored))])
        np.testing.assert_array_equal(weight.codes, codes)
        np.testing.assert_array_equal(weight.scale, scale[:, 0])
        assert weight.codes.dtype == np.int8
        assert (weight.name, weight.bits, weight.activation) == (
            variable.name,
            bits,
            "int8_symmetric",
        )
        assert weight.storage_bits == stored
        np.testing.assert_array_equal(weight.dequantized(), codes * scale)


@pytest.mark.parametrize(
    ("activation", "integer"),
    [
        ("float", False),
        ("int4_symmetric", False),
        ("int8_symmetric", True),
        ("int8_asymmetric", True),
    ],
)
def test_runtimes_multiply_integers_with_8_bit_activations_alone(activation, integer):
    dense = QuantDense(4, quant=QuantConfig(weight_bits=4, activation=activation))
    dense.build((None, 4))
    assert of_layer(dense, tf.TensorSpec([3, 4])).integer_kernel is integer
