import numpy as np
import pytest

from int4_conformer.cli.inspection_page import entropy, rounding_error
from int4_conformer.tflite.flatbuffer import Constant


def quantized(weight, axis, block=None):
    """A weight in 8-bit storage with codes of -7 to 7, and what it is rounded to."""
    if block is None:
        shown = np.abs(weight).max(axis=1 - axis, keepdims=True) / 7
        scale = shown.ravel()
    else:
        blocks = weight.reshape(len(weight), -1, block)
        scale = np.abs(blocks).max(axis=-1) / 7
        shown = np.repeat(scale, block, axis=1)
    codes = np.round(weight / shown).astype(np.int8)
    constant = Constant(
        name="w",
        shape=weight.shape,
        dtype="int8",
        data=codes.view(np.uint8).ravel(),
        scale=scale.astype(np.float32),
        zero_point=None,
        quantized_dimension=axis,
        buffer=1,
        subgraph=0,
        tensor=0,
        block=block,
    )
    return constant, codes * shown


@pytest.mark.parametrize(("axis", "block"), [(0, None), (1, None), (0, 32)])
def test_the_rounding_error_is_about_what_rounding_costs(axis, block):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=[24, 64]) * rng.uniform(0.5, 2, size=[24, 1])
    constant, rounded = quantized(weight, axis, block)
    real = 10 * np.log10(np.square(rounded - weight).mean() / np.square(rounded).mean())
    assert rounding_error(constant) == pytest.approx(real, abs=0.3)


def test_a_weight_of_zeros_costs_nothing():
    constant, _ = quantized(np.eye(4), 0)
    zeros = Constant(**(vars(constant) | {"data": np.zeros(16, np.uint8)}))
    assert rounding_error(zeros) == 0


def test_entropy():
    assert entropy(np.array([5, 5, 0, 5, 5])) == pytest.approx(2)
    assert entropy(np.array([0, 7])) == 0
