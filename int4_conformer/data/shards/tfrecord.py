"""TFRecord files: records one after another, each with its length and two checksums.

    uint64 length, uint32 masked CRC-32C of it, the record, uint32 masked CRC-32C of the record

all with the lowest byte first. `tf.data.TFRecordDataset` reads and writes the same.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from int4_conformer.data.shards.crc32c import masked_crc32c
from int4_conformer.errors import UserError

# Bytes before a record, and after it.
HEAD, TAIL = 12, 4


def framed(record: bytes) -> bytes:
    """A record as a file has it."""
    length = struct.pack("<Q", len(record))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc32c(length)),
            record,
            struct.pack("<I", masked_crc32c(record)),
        )
    )


def places(file: BinaryIO, name: str) -> Iterator[tuple[int, int]]:
    """Where each record of a file begins and how many bytes it has; they are not read.

    Raises:
        UserError: it is no TFRecord file, or it was cut off.
    """
    size, place = file.seek(0, os.SEEK_END), 0
    while place < size:
        file.seek(place)
        head = file.read(HEAD)
        if len(head) < HEAD or masked_crc32c(head[:8]) != struct.unpack("<I", head[8:])[0]:
            raise UserError(f"{name} is no TFRecord file from byte {place} on; copy it again.")
        length = struct.unpack("<Q", head[:8])[0]
        if place + HEAD + length + TAIL > size:
            raise UserError(f"{name} ends within a record, at byte {size}; copy it again.")
        yield place + HEAD, length
        place += HEAD + length + TAIL


def record_at(file: BinaryIO, place: int, length: int, name: str) -> bytes:
    """A record, checked.

    Args:
        file: that holds it.
        place: where it begins.
        length: bytes.
        name: of the file, for the user.

    Raises:
        UserError: it is not what was written.
    """
    file.seek(place)
    record, tail = file.read(length), file.read(TAIL)
    if len(tail) < TAIL or masked_crc32c(record) != struct.unpack("<I", tail)[0]:
        raise UserError(f"{name} is damaged in the record at byte {place}; copy it again.")
    return record
