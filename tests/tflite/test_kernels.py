"""The kernels of LiteRT against their models in NumPy, on files that `pack` wrote."""

import dataclasses
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.verification import verify
from tests.quant import reference
from tests.support import dense_models
from tests.support.examples import heavy
from tests.tflite import kernels
from tests.tflite.schemes import SHAPES, activations, blockwise_weight, static_weight

SIZES = {
    "units": strategies.integers(1, 70),
    "rows": strategies.integers(1, 30),
    "seed": strategies.integers(0, 1000),
}


def output(weight, x, delegate, relu=False):
    function = tf.nn.relu if relu else tf.identity
    content = pack(dense_models.float_product(weight, weight.bias, function), [weight])
    verify(content, [weight])
    return dense_models.run(content, x, delegate)


def has_vnni():
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and "avx512_vnni" in cpuinfo.read_text()


BLOCKS = {"block": strategies.sampled_from([32, 64, 128]), "blocks": strategies.integers(1, 5)}
ROW_QUANTIZERS = {
    "xnnpack": lambda x: reference.quantize_rows(x, "int8_asymmetric"),
    "none": kernels.quantize_rows_builtin,
}


@pytest.mark.parametrize("delegate", ROW_QUANTIZERS)
@SHAPES
@hypothesis.given(**BLOCKS, **SIZES)
def test_blocks_with_scales_that_are_powers_of_two(delegate, block, blocks, units, rows, seed):
    """Then every sum of the kernels is exact, in whatever order, and shows the integers."""
    # The builtin kernel knows blocks from 4 outputs on; below it ignores their scales.
    units += 3
    scale = np.exp2(np.random.default_rng(seed).integers(-2, 1, [units, blocks]))
    weight = blockwise_weight(block, blocks, units, seed, scale.astype(np.float32))
    x = activations(rows, block * blocks, seed)
    codes, x_scale, zero_point = ROW_QUANTIZERS[delegate](x)
    exact = kernels.blockwise(codes, 1, zero_point, weight)
    np.testing.assert_array_equal(output(weight, x, delegate), exact.astype(np.float32) * x_scale)


@pytest.mark.parametrize("delegate", ROW_QUANTIZERS)
@SHAPES
@hypothesis.given(**BLOCKS, **SIZES)
def test_blocks(delegate, block, blocks, units, rows, seed):
    units += 3
    weight = blockwise_weight(block, blocks, units, seed)
    x = activations(rows, block * blocks, seed)
    bias = np.random.default_rng(seed).standard_normal(units).astype(np.float32)
    weight = dataclasses.replace(weight, bias=bias)
    outputs = output(weight, x, delegate)
    quantized = _, x_scale, _ = ROW_QUANTIZERS[delegate](x)
    error = np.abs(outputs - kernels.blockwise(*quantized, weight))
    # The kernels sum in float32, terms with the zero point too, which may cancel.
    assert np.all(error < 1e-6 * (kernels.magnitude(x_scale, weight) + np.abs(bias)))
    if delegate == "xnnpack" and has_vnni():
        np.testing.assert_array_equal(outputs, kernels.blockwise_vnni(*quantized, weight))


def test_blocks_and_relu():
    weight = blockwise_weight(block=32, blocks=3, units=20, seed=0)
    x = activations(9, 96, seed=0)
    outputs = output(weight, x, "xnnpack")
    assert outputs.min() < 0
    np.testing.assert_array_equal(output(weight, x, "xnnpack", relu=True), np.maximum(outputs, 0))


def static_activations(rows, width, static, seed):
    """Rows over the static range and a little beyond, half of them midway between codes."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-140, 140, [rows, width]) - static.input_zero_point
    steps[::2] = np.floor(steps[::2]) + 0.5
    return (steps * static.input_scale).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8, *heavy(2, 6)])
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
@SHAPES
@hypothesis.given(
    quarter_width=strategies.integers(1, 75),
    biased=strategies.booleans(),
    relu=strategies.booleans(),
    **SIZES,
)
def test_static_activations(delegate, bits, quarter_width, units, rows, seed, biased, relu):
    # Of whole bytes: even for INT4, a multiple of 4 for INT2.
    width = 4 * quarter_width - 2 * (bits > 2 and seed % 2)
    weight = static_weight(bits, width, units, seed)
    ends = weight.static
    x = static_activations(rows, width, ends, seed)
    if biased:
        bias = np.random.default_rng(seed).normal(0, 30 * ends.output_scale, units)
        weight = dataclasses.replace(weight, bias=bias.astype(np.float32))
    outputs = output(weight, x, delegate, relu)

    builtin = delegate == "none"
    quantize = kernels.quantize_builtin if builtin else kernels.quantize
    codes = quantize(x, ends.input_scale, ends.input_zero_point)
    sums = kernels.static_sums(codes, weight)
    expected = (kernels.requantize_builtin if builtin else kernels.requantize)(sums, weight, relu)
    steps = np.rint(outputs / ends.output_scale).astype(int)
    np.testing.assert_array_equal(steps + ends.output_zero_point, expected)
    dequantize = kernels.dequantize_builtin if builtin else kernels.dequantize
    np.testing.assert_array_equal(
        outputs, dequantize(expected, ends.output_scale, ends.output_zero_point)
    )
