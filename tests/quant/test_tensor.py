import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from int4_conformer.errors import UserError
from int4_conformer.quant import quantize
from tests.quant import reference


@strategies.composite
def tensors_and_axes(draw):
    """A tensor of any rank, with zeros, ties and magnitudes far apart, and some of its axes."""
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=5))
    number = strategies.floats(2**-30, 2**10, width=32).flatmap(
        lambda x: strategies.sampled_from([x, -x])
    )
    tie = strategies.integers(-20, 20).map(lambda k: k / 2)
    x = draw(arrays.arrays(np.float32, shape, elements=number | tie))
    x *= np.float32(draw(strategies.sampled_from([1, 0, 1e-20, 3e20])))
    axes = draw(strategies.sets(strategies.integers(0, len(shape) - 1)))
    negative = draw(strategies.booleans())
    return x, tuple(axis - len(shape) if negative else axis for axis in axes)


@hypothesis.given(tensors_and_axes(), strategies.integers(2, 8))
@hypothesis.settings(deadline=None, max_examples=150)
def test_codes_and_scales_are_those_of_the_contract(tensor, bits):
    x, axes = tensor
    q = quantize(x, bits, axes)
    codes, scale = reference.quantize(x, bits, axes)
    assert q.codes.dtype == tf.int8
    assert q.scale.dtype == tf.float32
    assert q.bits == bits
    np.testing.assert_array_equal(q.codes, codes)
    np.testing.assert_array_equal(q.scale, scale)
    np.testing.assert_array_equal(q.dequantize(), codes * scale)


@hypothesis.given(tensors_and_axes(), strategies.integers(2, 8))
@hypothesis.settings(deadline=None, max_examples=100)
def test_quantizing_again_gives_the_same_codes(tensor, bits):
    x, axes = tensor
    q = quantize(x, bits, axes)
    np.testing.assert_array_equal(quantize(q.dequantize(), bits, axes).codes, q.codes)


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_lowest_code_never_occurs(bits):
    q = quantize(np.linspace(-1, 1, 1001, dtype=np.float32), bits)
    limit = 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(np.unique(q.codes), np.arange(-limit, limit + 1))


def test_halves_round_to_even():
    q = quantize(np.float32([7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]))
    np.testing.assert_array_equal(q.codes, [7, 0, 2, 2, 0, -2, -2])


def test_a_channel_of_zeros_has_scale_one():
    q = quantize(np.float32([[0, 1], [-0.0, 14]]))
    np.testing.assert_array_equal(q.scale, [[1, 2]])
    np.testing.assert_array_equal(q.codes, [[0, 0], [0, 7]])


def test_the_default_is_four_bits_with_a_scale_per_output_channel():
    kernel = np.random.default_rng(0).standard_normal([6, 3])
    q = quantize(kernel)
    assert q.scale.shape == (1, 3)
    np.testing.assert_array_equal(np.abs(q.codes).max(axis=0), 7)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("bits", [4, 6, 8])
def test_compilers_change_no_bit(jit_compile, bits):
    rng = np.random.default_rng(bits)
    # Multiples of half a scale: where a scale were one bit off, ties would round the other way.
    limit = reference.levels(bits)
    x = rng.integers(-2 * limit, 2 * limit + 1, [1000, 16]) * np.exp(rng.uniform(-5, 5, [1000, 1]))
    x[7] = 0
    x = x.astype(np.float32)

    @tf.function(jit_compile=jit_compile, input_signature=[tf.TensorSpec(x.shape)])
    def compiled(x):
        q = quantize(x, bits, (1,))
        return q.codes, q.scale

    codes, scale = compiled(x)
    expected_codes, expected_scale = reference.quantize(x, bits, (1,))
    np.testing.assert_array_equal(scale, expected_scale)
    np.testing.assert_array_equal(codes, expected_codes)


@pytest.mark.parametrize("bits", [1, 9])
def test_refused_widths(bits):
    with pytest.raises(UserError, match=rf"`bits` must be .* in 2\.\.8. Received: bits={bits}"):
        quantize(np.ones(3), bits)
