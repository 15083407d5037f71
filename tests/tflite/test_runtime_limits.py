"""What `pack` refuses, and what the runtime makes of it."""

import dataclasses

import numpy as np
import pytest

from int4_conformer.errors import UserError
from int4_conformer.tflite.packing import pack
from tests.support import dense_models
from tests.tflite.schemes import blockwise_weight, static_weight


def refused(weight, reason, **changes):
    model = dense_models.float_product(weight)
    with pytest.raises(UserError, match=reason):
        pack(model, [dataclasses.replace(weight, **changes)])


@pytest.mark.parametrize("block", [-32, 0, 8, 16, 48, 64])
def test_block_sizes(block):
    weight = blockwise_weight(block=32, blocks=3, units=4, seed=0)
    refused(weight, f"kernel has blocks of {block} and input width 96; a block must", block=block)


def test_scales_of_another_shape():
    weight = blockwise_weight(block=32, blocks=4, units=4, seed=0)
    reason = r"kernel has scales \[4, 4\], but blocks of 64 in codes \[4, 128\], so give .*\[4, 2\]"
    refused(weight, reason, block=64)


def test_blocks_of_8_bits():
    weight = blockwise_weight(block=32, blocks=3, units=4, seed=0)
    refused(weight, "kernel has blocks and 5 bits; LiteRT has blocks of INT4 alone", bits=5)


@pytest.mark.parametrize("activation", ["float", "int8_symmetric", "int4_symmetric"])
def test_blocks_and_other_activations(activation):
    weight = blockwise_weight(block=32, blocks=3, units=4, seed=0)
    refused(
        weight, f"kernel has blocks of 32 and activations '{activation}'", activation=activation
    )


def test_blocks_and_static_activations():
    weight = blockwise_weight(block=32, blocks=3, units=4, seed=0)
    static = static_weight(bits=4, width=2, units=1, seed=0).static
    reason = "kernel has blocks of 32 and activations 'int8_static'; LiteRT multiplies blocks with"
    refused(weight, reason, activation="int8_static", static=static)


@pytest.mark.parametrize(
    "scale",
    [
        *(0, -0.5, np.nan, np.inf),
        # No bfloat16.
        *(0.1, 1 + 2**-8),
        # No float16.
        *(65536, 2**-25, (1 + 2**-7) * 2**-18),
    ],
)
def test_block_scales_that_would_change(scale):
    weight = blockwise_weight(block=32, blocks=3, units=4, seed=0)
    scales = weight.scale.copy()
    scales[2, 1] = scale
    refused(weight, "kernel has the block scale", scale=scales)


@pytest.mark.parametrize("exponent", [-17, -14, 15])
def test_block_scales_at_the_ends_of_float16(exponent):
    scales = np.ldexp(np.float32(1 + 127 / 128), exponent) * np.ones([4, 3], np.float32)
    weight = blockwise_weight(block=32, blocks=3, units=4, seed=0, scale=scales)
    content = pack(dense_models.float_product(weight), [weight])
    x = np.eye(96, dtype=np.float32)
    outputs = dense_models.run(content, x)
    np.testing.assert_allclose(outputs, weight.dequantized().T, rtol=1e-5, atol=1e-6 * scales[0, 0])


def test_a_range_without_its_scheme_and_the_reverse():
    weight = static_weight(bits=4, width=6, units=4, seed=0)
    refused(weight, "'int8_asymmetric' and the static range Stat", activation="int8_asymmetric")
    refused(weight, "'int8_static' and the static range None; give", static=None)


def test_requantization_factors():
    weight = static_weight(bits=4, width=6, units=4, seed=0)
    largest = float(weight.accumulator_scale.max())
    fine = dataclasses.replace(weight.static, output_scale=largest / 255)
    fine = dataclasses.replace(weight, static=fine)
    content = pack(dense_models.float_product(fine), [fine])
    dense_models.run(content, np.zeros([1, 6], np.float32))
    beyond = dataclasses.replace(weight.static, output_scale=largest / 257)
    refused(weight, r"output scale = 257\.\d* in channel \d; XNNPACK needs less", static=beyond)


@pytest.mark.parametrize(("bits", "width", "multiple"), [(4, 7, 2), (2, 6, 4)])
def test_static_activations_and_rows_of_no_whole_bytes(bits, width, multiple):
    weight = static_weight(bits=bits, width=width, units=4, seed=0)
    refused(weight, f"has input width {width}; INT{bits} filters need a multiple of {multiple}")
