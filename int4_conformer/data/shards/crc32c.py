"""The checksum of TFRecord files, CRC-32C (Castagnoli), in NumPy.

A CRC is linear over bits: that of two stretches, one behind the other, is that of the first, moved
on by the length of the second, XOR that of the second. So stretches of the data are gone through
side by side, and neighbours joined then, all pairs at once, until one is left.
"""

import functools

import numpy as np

# Of x^32 + x^28 + ... + 1, lowest bit first.
_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
# Bytes of a stretch, a power of two.
_STRETCH = 256
# What TFRecord files add to a checksum that is stored beside what it is of.
_MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes) -> int:
    """The checksum of bytes.

    Example:

        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    if len(data) < _STRETCH:
        return _byte_by_byte(data) ^ _ONES
    # A register full of ones is one of zeros before four bytes that are flipped. Zeros in front
    # change nothing then, so that all stretches are of one length.
    padded = np.zeros(-(-len(data) // _STRETCH) * _STRETCH, np.uint8)
    start = padded.size - len(data)
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 0xFF
    stretches = np.ascontiguousarray(padded.reshape(-1, _STRETCH).T).astype(np.uint32)
    registers = np.zeros(stretches.shape[1], np.uint32)
    table = _shift_tables(1)[0]
    for column in stretches:
        registers = table[(registers ^ column) & 0xFF] ^ (registers >> 8)
    count = _STRETCH
    while registers.size > 1:
        if registers.size % 2:
            registers = np.append(np.uint32(0), registers)
        registers = _shifted(registers[0::2], count) ^ registers[1::2]
        count *= 2
    return int(registers[0]) ^ _ONES


def masked_crc32c(data: bytes) -> int:
    """The checksum as TFRecord files store it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ONES


def _byte_by_byte(data: bytes) -> int:
    """The register after some bytes."""
    register = _ONES
    table = _shift_tables(1)[0].tolist()
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register


def _shifted(registers: np.ndarray, count: int) -> np.ndarray:
    """uint32 registers after `count` bytes of zeros, a power of two."""
    tables = _shift_tables(count)
    return (
        tables[0][registers & 0xFF]
        ^ tables[1][(registers >> 8) & 0xFF]
        ^ tables[2][(registers >> 16) & 0xFF]
        ^ tables[3][registers >> 24]
    )


@functools.cache
def _shift_tables(count: int) -> np.ndarray:
    """uint32 [4, 256]: what `count` bytes of zeros make of each byte of a register."""
    registers = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    if count > 1:
        return _shifted(_shifted(registers, count // 2), count // 2)
    for _ in range(8):
        registers = (registers >> 1) ^ np.where(registers & 1, np.uint32(_POLYNOMIAL), 0)
    return registers.astype(np.uint32)
