import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from int4_conformer.errors import UserError
from int4_conformer.quant.numerics import pack


def codes_of(bits):
    return arrays.arrays(
        np.int8,
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0),
        elements=strategies.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
    )


@pytest.mark.parametrize("bits", [2, 4])
@hypothesis.given(data=strategies.data())
def test_unpacking_inverts_packing(bits, data):
    codes = data.draw(codes_of(bits))
    packed = pack.pack_codes(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.shape == (math.ceil(codes.size * bits / 8),)
    unpacked = pack.unpack_codes(packed, codes.shape, bits)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, codes)


@pytest.mark.parametrize("bits", [2, 4])
@hypothesis.given(data=strategies.data())
def test_the_bytes_are_one_number_with_the_first_code_lowest(bits, data):
    codes = data.draw(codes_of(bits)).ravel()
    number = sum((int(code) % 2**bits) << bits * place for place, code in enumerate(codes))
    assert int.from_bytes(pack.pack_codes(codes, bits).tobytes(), "little") == number


def test_earlier_codes_are_in_lower_bits():
    packed = pack.pack_codes(np.array([[1, -1], [-8, 7], [3, 0]], np.int8), 4)
    np.testing.assert_array_equal(packed, [0xF1, 0x78, 0x03])
    packed = pack.pack_codes(np.array([[1, -1, 0], [-2, 1, 1]], np.int8), 2)
    np.testing.assert_array_equal(packed, [0b10_00_11_01, 0b01_01])


def test_what_the_last_byte_has_left_is_zero():
    codes = np.array([-1, -1, -1], np.int8)
    np.testing.assert_array_equal(pack.pack_codes(codes, 4), [0xFF, 0x0F])
    np.testing.assert_array_equal(pack.pack_codes(codes, 2), [0x3F])


def test_strided_codes_are_packed_in_row_major_order():
    codes = np.arange(-6, 6, dtype=np.int8).reshape(3, 4).T
    np.testing.assert_array_equal(pack.pack_codes(codes, 4), pack.pack_codes(codes.copy(), 4))


@pytest.mark.parametrize(
    ("codes", "bits", "message"),
    [
        (np.array([8], np.int8), 4, r"must be in -8\.\.7\. Received: 8\.\.8"),
        (np.array([0, -9], np.int8), 4, r"must be in -8\.\.7\. Received: -9\.\.0"),
        (np.array([0, 2], np.int8), 2, r"must be in -2\.\.1\. Received: 0\.\.2"),
        (np.array([1], np.int32), 4, "must be int8. Received: int32"),
        (np.array([1], np.int8), 3, "`bits` must be 2 or 4. Received: 3"),
    ],
)
def test_packing_refuses(codes, bits, message):
    with pytest.raises(UserError, match=message):
        pack.pack_codes(codes, bits)


@pytest.mark.parametrize(
    ("packed", "shape"),
    [
        (np.zeros(2, np.uint8), [2, 3]),
        (np.zeros(4, np.uint8), [2, 3]),
        (np.zeros([3, 1], np.uint8), [2, 3]),
        (np.zeros(3, np.int8), [2, 3]),
    ],
)
def test_unpacking_refuses(packed, shape):
    with pytest.raises(UserError, match=r"must be uint8 \[3\] to hold 6 codes"):
        pack.unpack_codes(packed, shape, 4)


def test_unpacking_refuses_other_widths():
    with pytest.raises(UserError, match=r"must be uint8 \[2\] to hold 6 codes"):
        pack.unpack_codes(np.zeros(3, np.uint8), [6], 2)
    with pytest.raises(UserError, match=r"`bits` must be 2 or 4\. Received: 8"):
        pack.unpack_codes(np.zeros(6, np.uint8), [6], 8)
