import dataclasses

import numpy as np
import pytest

from int4_conformer.errors import UserError
from int4_conformer.tflite.deployed_weight import StaticRange
from tests.tflite.schemes import blockwise_weight, static_weight

RANGE = {
    "input_scale": 0.02,
    "input_zero_point": -3,
    "output_scale": 0.5,
    "output_zero_point": 127,
}


def test_static_ranges():
    assert StaticRange(**RANGE) == StaticRange(**RANGE)
    for field, value in (
        ("input_scale", 0.0),
        ("input_scale", float("nan")),
        ("output_scale", -0.5),
        ("output_scale", 1e39),
    ):
        with pytest.raises(UserError, match=f"`{field}` must be a positive float32. Received:"):
            StaticRange(**RANGE | {field: value})
    for field, value in (("input_zero_point", -129), ("output_zero_point", 128)):
        with pytest.raises(UserError, match=f"`{field}` must be in -128..127. Received: {value}"):
            StaticRange(**RANGE | {field: value})


def test_blocks_have_a_scale_each():
    weight = blockwise_weight(block=32, blocks=3, units=5, seed=0)
    values = weight.dequantized()
    for block in range(3):
        columns = slice(32 * block, 32 * block + 32)
        np.testing.assert_array_equal(
            values[:, columns], weight.codes[:, columns] * weight.scale[:, block : block + 1]
        )


def test_weights_are_equal_only_under_one_scheme():
    blockwise = blockwise_weight(block=64, blocks=1, units=5, seed=0)
    by_channel = dataclasses.replace(blockwise, block=None, scale=blockwise.scale[:, 0])
    np.testing.assert_array_equal(blockwise.dequantized(), by_channel.dequantized())
    assert blockwise.equals(blockwise)
    assert not blockwise.equals(by_channel)

    static = static_weight(bits=4, width=6, units=5, seed=0)
    other = dataclasses.replace(static.static, output_zero_point=static.static.input_zero_point)
    assert static.equals(static)
    assert not static.equals(dataclasses.replace(static, static=other))


def test_bias_codes():
    weight = static_weight(bits=4, width=6, units=4, seed=0)
    step = np.float32(weight.static.input_scale) * weight.scale
    np.testing.assert_array_equal(weight.accumulator_scale, step)
    bias = step * np.array([-3, 0.4, 7, 1000], np.float32)
    codes = weight.bias_codes(bias)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(codes, [-3, 0, 7, 1000])


@pytest.mark.parametrize("steps", [2**31, -(2**31), np.nan])
def test_a_bias_beyond_the_accumulator(steps):
    weight = static_weight(bits=4, width=6, units=4, seed=0)
    bias = weight.accumulator_scale * np.array([0, 0, steps, 0], np.float32)
    with pytest.raises(
        UserError, match=r"of kernel, channel 2, is .* its accumulator, which holds"
    ):
        weight.bias_codes(bias)
