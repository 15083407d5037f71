import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from int4_conformer.errors import UserError
from int4_conformer.quant import quantize
from tests.quant import reference
from tests.support.examples import examples

# Everything from nothing to what only just has a scale, and from there to the largest numbers.
# As the processor has them: TensorFlow 2.16 has it take the smallest, which are subnormal, for 0.
SIZES = strategies.sampled_from(
    sorted({float(np.float32(size)) for size in (0, 1e-42, 1e-39, 1e-37, 1e-20, 1, 3e20)})
)
WIDTHS = strategies.integers(2, 8)
PROPERTY = hypothesis.settings(derandomize=True, deadline=None, max_examples=examples(50))


@strategies.composite
def tensors_and_axes(draw):
    """A tensor of any rank, with zeros, ties and magnitudes far apart, and some of its axes."""
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=5, max_side=5))
    number = strategies.floats(2**-30, 2**10, width=32).flatmap(
        lambda x: strategies.sampled_from([x, -x])
    )
    tie = strategies.integers(-20, 20).map(lambda k: k / 2)
    x = draw(arrays.arrays(np.float32, shape, elements=number | tie))
    sizes = draw(arrays.arrays(np.float32, shape[0], elements=SIZES, fill=SIZES))
    x *= sizes.reshape(-1, *[1] * (len(shape) - 1))
    axes = draw(strategies.sets(strategies.integers(0, len(shape) - 1)))
    negative = draw(strategies.booleans())
    return x, tuple(axis - len(shape) if negative else axis for axis in axes)


@strategies.composite
def tensors_in_blocks(draw):
    """A tensor, one of its axes and a size of blocks along it; some blocks are of zeros."""
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, max_side=3))
    axis = draw(strategies.integers(0, len(shape)))
    block, count = draw(strategies.sampled_from([32, 64, 128])), draw(strategies.integers(1, 3))
    rng = np.random.default_rng(draw(strategies.integers(0, 2**32)))
    sizes = draw(arrays.arrays(np.float32, count, elements=SIZES))
    sizes = (sizes * 2.0 ** rng.integers(-20, 20, count)).astype(np.float32)
    x = rng.standard_normal([*shape, count * block]) * np.repeat(sizes, block)
    return np.moveaxis(x, -1, axis).astype(np.float32), axis, block


@hypothesis.given(tensors_and_axes(), WIDTHS)
@PROPERTY
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
    assert np.abs(q.codes).max() <= 2 ** (bits - 1) - 1


@hypothesis.given(tensors_in_blocks(), WIDTHS)
@PROPERTY
def test_codes_and_scales_of_blocks_are_those_of_the_contract(tensor, bits):
    x, axis, block = tensor
    q = quantize(x, bits, (axis,), block=block)
    codes, scale = reference.quantize(x, bits, (axis,), block=block)
    assert q.scale.shape[axis] == x.shape[axis] // block
    np.testing.assert_array_equal(q.codes, codes)
    np.testing.assert_array_equal(q.scale, scale)
    np.testing.assert_array_equal(q.dequantize(), codes * np.repeat(scale, block, axis))
    assert np.abs(q.codes).max() <= 2 ** (bits - 1) - 1
    assert q.scale.numpy().min() >= 2**-14
    np.testing.assert_array_equal(q.scale.numpy().view(np.uint32) % 2**16, 0)
    again = quantize(q.dequantize(), bits, (axis,), block=block)
    np.testing.assert_array_equal(again.codes, q.codes)


@hypothesis.given(tensors_and_axes(), WIDTHS)
@PROPERTY
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


@pytest.mark.parametrize("block", [None, 32], ids=["", "blocks"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("bits", [4, 6, 8])
def test_compilers_change_no_bit(jit_compile, bits, block):
    rng = np.random.default_rng(bits)
    # Multiples of half a scale: where a scale were one bit off, ties would round the other way.
    limit = reference.levels(bits)
    x = rng.integers(-2 * limit, 2 * limit + 1, [1000, 64]) * np.exp(rng.uniform(-5, 5, [1000, 1]))
    x[7] = 0
    x[8:30] *= 10.0 ** -np.arange(30, 41, 0.5)[:, None]
    x = x.astype(np.float32)

    @tf.function(jit_compile=jit_compile, input_signature=[tf.TensorSpec(x.shape)], autograph=False)
    def compiled(x):
        q = quantize(x, bits, (1,), block=block)
        return q.codes, q.scale

    codes, scale = compiled(x)
    expected_codes, expected_scale = reference.quantize(x, bits, (1,), block=block)
    np.testing.assert_array_equal(scale, expected_scale)
    np.testing.assert_array_equal(codes, expected_codes)


@pytest.mark.parametrize("block", [None, 32])
def test_numbers_too_small_for_a_scale_count_as_zero(block):
    x = np.full([32, 3], [7 * 2.0**-126, 7 * 2.0**-125, 2.0**-140], np.float32)
    q = quantize(x, 4, (0,), block=block)
    smallest = 2**-125 if block is None else 2**-14
    np.testing.assert_array_equal(q.scale, [[1, smallest, 1]])
    np.testing.assert_array_equal(q.codes[0], [0, 7 if block is None else 0, 0])


def test_a_clip_is_a_factor_of_the_scales():
    x = np.random.default_rng(0).standard_normal([6, 3]).astype(np.float32)
    clip = np.float32([[0.5, 1, 0.25]])
    q = quantize(x, 4, (0,), clip=clip)
    codes, scale = reference.quantize(x, 4, (0,), clip=clip)
    np.testing.assert_array_equal(q.codes, codes)
    np.testing.assert_array_equal(q.scale, scale)
    assert np.sum(np.abs(q.codes) == 7, axis=0).min() >= 1
    assert np.sum(np.abs(q.codes) == 7, axis=0).max() > 1


def test_an_offset_is_added_in_units_of_the_scale():
    x = np.float32([7, 0.4, 0.6, -2, -7])
    q = quantize(x, offset=np.float32([2, 0.2, -0.2, -0.4, 0.6]))
    np.testing.assert_array_equal(q.scale, [1])
    np.testing.assert_array_equal(q.codes, [7, 1, 0, -2, -6])


def test_scales_of_blocks_round_half_to_even():
    # With 2 bits the scale is the largest number, here between two bfloat16.
    largest = np.uint32([0x3F808000, 0x3F818000, 0x3F818001, 0x3F807FFF]).view(np.float32)
    x = np.repeat(largest[None], 32, axis=0)
    scale = quantize(x, 2, (0,), block=32).scale.numpy().view(np.uint32)
    np.testing.assert_array_equal(
        scale, [np.uint32([0x3F800000, 0x3F820000, 0x3F820000, 0x3F800000])]
    )


@pytest.mark.parametrize("shape", [[33, 2], [16, 2]], ids=str)
def test_blocks_must_divide_their_axis(shape):
    with pytest.raises(UserError, match=r"Blocks of 32 do not divide axis 0 of shape \["):
        quantize(np.ones(shape), block=32)


@pytest.mark.parametrize("bits", [1, 9])
def test_refused_widths(bits):
    with pytest.raises(UserError, match=rf"`bits` must be .* in 2\.\.8. Received: bits={bits}"):
        quantize(np.ones(3), bits)
