"""Codes of 2 or 4 bits, four or two in a byte: the layout of INT2 and INT4 constants in a TFLite
file.

The codes are taken in row-major order, earlier ones in lower bits; what the last byte has left is
0. `unpack_codes(pack_codes(codes, bits), codes.shape, bits)` equals `codes`.
"""

import math
from collections.abc import Sequence

import numpy as np

from int4_conformer.errors import UserError


def pack_codes(codes: np.ndarray, bits: int) -> np.ndarray:
    """Packs int8 codes in -2^(bits-1)..2^(bits-1)-1 of any shape.

    Args:
        codes: int8.
        bits: 2 or 4.

    Returns:
        uint8 `[ceil(codes.size * bits / 8)]`.

    Raises:
        UserError: `codes` is not int8, a code does not fit, or `bits` is another number.
    """
    _require_bits(bits)
    if codes.dtype != np.int8:
        raise UserError(f"`codes` must be int8. Received: {codes.dtype}")
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if codes.size and not (codes.min() >= low and codes.max() <= high):
        raise UserError(f"`codes` must be in {low}..{high}. Received: {codes.min()}..{codes.max()}")
    unsigned = codes.reshape(-1).view(np.uint8) & (2**bits - 1)
    unsigned = np.pad(unsigned, (0, -unsigned.size % (8 // bits)))
    packed = np.zeros(unsigned.size * bits // 8, np.uint8)
    for place in range(8 // bits):
        packed |= unsigned[place :: 8 // bits] << bits * place
    return packed


def unpack_codes(packed: np.ndarray, shape: Sequence[int], bits: int) -> np.ndarray:
    """Unpacks uint8 `[ceil(n * bits / 8)]` to int8 codes of `shape`, which holds n values.

    Args:
        bits: 2 or 4.

    Raises:
        UserError: `packed` is not uint8 of that length, or `bits` is another number.
    """
    _require_bits(bits)
    size = math.prod(shape)
    nbytes = math.ceil(size * bits / 8)
    if packed.dtype != np.uint8 or packed.shape != (nbytes,):
        raise UserError(
            f"`packed` must be uint8 [{nbytes}] to hold {size} codes. "
            f"Received: {packed.dtype} {list(packed.shape)}"
        )
    # Shifting a signed byte right repeats its sign bit.
    places = [(packed << 8 - bits - low).view(np.int8) >> 8 - bits for low in range(0, 8, bits)]
    return np.stack(places, axis=-1).reshape(-1)[:size].reshape(shape)


def _require_bits(bits: int) -> None:
    if bits not in (2, 4):
        raise UserError(f"`bits` must be 2 or 4. Received: {bits!r}")
