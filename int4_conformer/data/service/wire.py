"""Messages between processes: JSON, and arrays as they lie in memory."""

import json
import math
import operator
import re
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.files import json_value

# A message that claims to be larger is none of ours.
_MOST_BYTES = 1 << 31
# Before a message: how long its JSON is.
_HEAD = struct.Struct("<4sQ")
_MAGIC = b"i4cb"
# Types of arrays, as NumPy writes them: numbers and texts, no objects.
_KIND = re.compile(r"[<>|][biufSU][1-9]\d{0,5}")
_MOST_AXES = 32

Message = dict[str, Any]
Arrays = dict[str, np.ndarray]


def send(file: BinaryIO, message: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a message.

    Args:
        file: of a connection.
        message: of JSON values.
        arrays: that go with it.
    """
    shapes = {name: [x.dtype.str, list(x.shape)] for name, x in arrays.items()}
    content = json.dumps({"message": message, "arrays": shapes}).encode()
    file.write(_HEAD.pack(_MAGIC, len(content)))
    file.write(content)
    for array in arrays.values():
        file.write(np.ascontiguousarray(array).data)
    file.flush()


def receive(file: BinaryIO) -> tuple[Message, Arrays]:
    """Reads a message.

    Raises:
        EOFError: the other side has gone.
        UserError: what comes is no message.
    """
    magic, size = _HEAD.unpack(_exactly(file, _HEAD.size))
    if magic != _MAGIC or size > _MOST_BYTES:
        raise UserError(
            "What answers there is no data worker of int4-conformer; check the address."
        )
    content = _exactly(file, size)
    try:
        given = json_value(content)
        message = dict(given["message"])
        forms = {name: _form(*form) for name, form in given["arrays"].items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError("What comes from a data worker is no batch; check the address.") from error
    arrays = {
        name: np.frombuffer(_exactly(file, math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
        for name, (dtype, shape) in forms.items()
    }
    return message, arrays


def _form(kind: str, shape: list[int]) -> tuple[np.dtype, list[int]]:
    """Type and shape of an array.

    Raises:
        ValueError: there is no such array, or it would be too large.
        TypeError: likewise.
    """
    if not _KIND.fullmatch(kind) or len(shape) > _MOST_AXES:
        raise ValueError(kind)
    dtype = np.dtype(kind)
    if not all(0 <= side <= _MOST_BYTES for side in shape):
        raise ValueError(shape)
    if math.prod(shape) * dtype.itemsize > _MOST_BYTES:
        raise ValueError(shape)
    return dtype, [operator.index(side) for side in shape]


def _exactly(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError
    return content


def address_of(text: str, name: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT".

    Args:
        text: what was given.
        name: of the setting, for the user.

    Raises:
        UserError: it is none.

    Example:

        >>> address_of("10.0.0.1:5050", "data_service")
        ('10.0.0.1', 5050)
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"`{name}` must be HOST:PORT. Received: {name}={text!r}")
    return host.strip("[]"), int(port)
