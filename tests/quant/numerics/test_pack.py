import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from int4_conformer.errors import UserError
from int4_conformer.quant.numerics import pack

CODES = arrays.arrays(
    np.int8,
    arrays.array_shapes(min_dims=0, max_dims=4, min_side=0),
    elements=strategies.integers(-8, 7),
)


@hypothesis.given(codes=CODES)
def test_unpacking_inverts_packing(codes):
    packed = pack.pack_int4(codes)
    assert packed.dtype == np.uint8
    assert packed.shape == ((codes.size + 1) // 2,)
    unpacked = pack.unpack_int4(packed, codes.shape)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, codes)


def test_the_earlier_code_is_in_the_low_nibble():
    packed = pack.pack_int4(np.array([[1, -1], [-8, 7], [3, 0]], np.int8))
    np.testing.assert_array_equal(packed, [0xF1, 0x78, 0x03])


def test_an_odd_count_leaves_the_last_high_nibble_zero():
    np.testing.assert_array_equal(pack.pack_int4(np.array([-1, -1, -1], np.int8)), [0xFF, 0x0F])


def test_strided_codes_are_packed_in_row_major_order():
    codes = np.arange(-6, 6, dtype=np.int8).reshape(3, 4).T
    np.testing.assert_array_equal(pack.pack_int4(codes), pack.pack_int4(codes.copy()))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.array([8], np.int8), r"must be in -8\.\.7\. Received: 8\.\.8"),
        (np.array([0, -9], np.int8), r"must be in -8\.\.7\. Received: -9\.\.0"),
        (np.array([1], np.int32), "must be int8. Received: int32"),
    ],
)
def test_packing_refuses(codes, message):
    with pytest.raises(UserError, match=message):
        pack.pack_int4(codes)


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
        pack.unpack_int4(packed, shape)
