"""Two 4-bit codes in a byte: the layout of INT4 constants in a TFLite file.

The codes are taken in row-major order, the earlier one in the low nibble; with an odd count the
last high nibble is 0. `unpack_int4(pack_int4(codes), codes.shape)` equals `codes`.
"""

import math
from collections.abc import Sequence

import numpy as np

from int4_conformer.errors import UserError


def pack_int4(codes: np.ndarray) -> np.ndarray:
    """Packs int8 codes in -8..7 of any shape to uint8 `[ceil(codes.size / 2)]`.

    Raises:
      UserError: `codes` is not int8, or a code does not fit in 4 bits.
    """
    if codes.dtype != np.int8:
        raise UserError(f"`codes` must be int8. Received: {codes.dtype}")
    if codes.size and not (codes.min() >= -8 and codes.max() <= 7):
        raise UserError(f"`codes` must be in -8..7. Received: {codes.min()}..{codes.max()}")
    nibbles = codes.reshape(-1).view(np.uint8) & 0x0F
    nibbles = np.pad(nibbles, (0, nibbles.size % 2))
    return nibbles[0::2] | nibbles[1::2] << 4


def unpack_int4(packed: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Unpacks uint8 `[ceil(n / 2)]` to int8 codes of `shape`, which holds n values.

    Raises:
      UserError: `packed` is not uint8 of that length.
    """
    size = math.prod(shape)
    if packed.dtype != np.uint8 or packed.shape != ((size + 1) // 2,):
        raise UserError(
            f"`packed` must be uint8 [{(size + 1) // 2}] to hold {size} codes. "
            f"Received: {packed.dtype} {list(packed.shape)}"
        )
    # Shifting a signed byte right repeats its sign bit.
    low = (packed << 4).view(np.int8) >> 4
    high = packed.view(np.int8) >> 4
    return np.stack([low, high], axis=-1).reshape(-1)[:size].reshape(shape)
