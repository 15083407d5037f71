import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from int4_conformer.quant import quantize_rows
from tests.quant import reference

SCHEMES = ["int8_symmetric", "int4_symmetric", "int8_asymmetric"]
NUMBERS = strategies.floats(-(2**20), 2**20, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30)
ROWS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=NUMBERS | strategies.just(0.0),
)


def awkward_rows():
    """Rows of zeros, of one sign, of equal ends (a tie of the zero point) and of plain noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal([4000, 12]) * np.exp(rng.uniform(-8, 8, [4000, 1]))
    x[:1000] = np.abs(x[:1000])
    x[1000:2000] = -np.abs(x[1000:2000])
    largest = np.abs(x[2000:3000]).max(axis=1)
    x[2000:3000, 0], x[2000:3000, 1] = largest, -largest
    x[::50] = 0
    x[1::50, 3:] = 0
    return x.astype(np.float32)


def assert_equal(rows, x, scheme):
    codes, scale, zero_point = reference.quantize_rows(x, scheme)
    np.testing.assert_array_equal(rows.codes, codes)
    np.testing.assert_array_equal(rows.scale, scale)
    if scheme == "int8_asymmetric":
        np.testing.assert_array_equal(rows.zero_point, zero_point)
    else:
        assert rows.zero_point is None
    np.testing.assert_array_equal(
        rows.dequantize(), (codes - zero_point).astype(np.float32) * scale
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@hypothesis.given(x=ROWS)
@hypothesis.settings(deadline=None, max_examples=100)
def test_integers_are_those_of_the_contract(scheme, x):
    assert_equal(quantize_rows(x, scheme), x, scheme)


@pytest.mark.parametrize("compiler", ["eager", "graph", "xla"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_compilers_change_no_bit(scheme, compiler):
    x = awkward_rows()

    def quantized(x):
        rows = quantize_rows(x, scheme)
        return {field: value for field, value in vars(rows).items() if value is not None}

    if compiler != "eager":
        quantized = tf.function(quantized, jit_compile=compiler == "xla", autograph=False)
    fields = {"zero_point": None} | quantized(tf.constant(x))
    codes, scale, zero_point = reference.quantize_rows(x, scheme)
    np.testing.assert_array_equal(fields["codes"], codes)
    np.testing.assert_array_equal(fields["scale"], scale)
    if scheme == "int8_asymmetric":
        np.testing.assert_array_equal(fields["zero_point"], zero_point)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_zeros_stay_zeros_and_the_error_is_within_half_a_step(scheme):
    x = awkward_rows()
    rows = quantize_rows(x, scheme)
    dequantized = rows.dequantize().numpy()
    np.testing.assert_array_equal(dequantized[x == 0], 0)
    # The rounded zero point costs the asymmetric ends up to another half.
    limit = 1.0 if scheme == "int8_asymmetric" else 0.5
    assert np.all(np.abs(dequantized - x) <= (limit + 1e-4) * rows.scale)


def test_the_asymmetric_scheme_uses_all_256_codes():
    x = np.float32([[0, 255, 100, 7], [-255, 0, -100, -7], [-128, 127, 1, -1]])
    rows = quantize_rows(x, "int8_asymmetric")
    np.testing.assert_array_equal(rows.scale, [[1]] * 3)
    np.testing.assert_array_equal(rows.zero_point, [[-128], [127], [0]])
    np.testing.assert_array_equal(
        rows.codes, [[-128, 127, -28, -121], [-128, 127, 27, 120], [-128, 127, 1, -1]]
    )


def test_halves_round_to_even_before_the_zero_point_is_added():
    rows = quantize_rows(np.float32([[-1, 254, 0.5, 1.5, 2.5, -0.5]]), "int8_asymmetric")
    np.testing.assert_array_equal(rows.zero_point, [[-127]])
    np.testing.assert_array_equal(rows.codes, [[-128, 127, -127, -125, -125, -127]])


@pytest.mark.parametrize(("scheme", "limit"), [("int8_symmetric", 127), ("int4_symmetric", 7)])
def test_symmetric_schemes_spread_the_largest_magnitude(scheme, limit):
    rows = quantize_rows(np.float32([[limit, -1, 0.6], [0.5, -1, 0]]), scheme)
    np.testing.assert_array_equal(rows.codes[0], [limit, -1, 1])
    np.testing.assert_array_equal(rows.codes[1, 1:], [-limit, 0])
    np.testing.assert_array_equal(rows.scale, np.float32([[1], [np.float32(1) / limit]]))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_rows_too_small_for_a_scale_are_zeros(scheme):
    rows = quantize_rows(np.float32([[1e-44, -1e-44], [3e-38, 0]]), scheme)
    assert np.all(np.isfinite(rows.scale))
    assert np.all(rows.scale > 0)
    np.testing.assert_allclose(rows.dequantize(), 0, atol=1e-37)
