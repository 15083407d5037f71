"""Inputs for parsers: valid ones, and what a stranger or a bad disk makes of them."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

# A recogniser of two passes.
MODEL = Path(__file__).parents[1] / "tests" / "compatibility" / "v0_1" / "cascade.tflite"
MOST_BYTES = 1 << 20

# Numbers that programs count wrongly at.
_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_LONG_NUMBERS = (*_NUMBERS, 2**32, 2**40, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
_ODD_BYTES = (
    *(b"\0", b"\xff" * 8, b"\xef\xbb\xbf", b"\r\n", b"\n\n", b"\t", b" ", b'"', b"'", b"\\"),
    *(b"\x80", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"%s%n", b"../../"),
    *(b"-1", b"1e999", b"NaN", b"1" * 5000, b"[" * 20_000, b'{"":' * 20_000, b"(" * 5000),
)
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, -(2**63), 2**64, 10**400, 1e308, -1e-320, 0.1),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "a", "\0", "\ud800", "\u2028", "é" * 300),
    *("../../etc/passwd", "x" * 70_000, "1e999", "{", [], {}, [[]], [None], {"": {}}, [1, "a", {}]),
)


class Inputs(Protocol):
    """What makes inputs."""

    seeds: Sequence[bytes]
    finished: Callable[[bytes], bytes]

    def input(self, seed: int, index: int) -> bytes:
        """The input of a number."""


# Gets an empty folder; gives inputs, and what is done with each.
Target = Callable[[Path], tuple[Inputs, Callable[[bytes], Any]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mutator:
    """Makes inputs out of others.

    Args:
        seeds: valid inputs.
        words: that mean something to the parser.
        is_json: whether each line that is not empty is JSON.
        finished: what makes an input whole again, such as by its checksum.
    """

    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    is_json: bool = False
    finished: Callable[[bytes], bytes] = lambda content: content

    def input(self, seed: int, index: int) -> bytes:
        """The input of a number; the same for the same numbers."""
        rng = np.random.default_rng([seed, index])
        content = self.seeds[rng.integers(len(self.seeds))]
        # Bytes that are no JSON any more go no further than its parser.
        if self.is_json and rng.random() < 0.8:
            for _ in range(_few(rng)):
                # What was repeated in what was repeated takes this process' own memory.
                content = _with_json_changed(content[:MOST_BYTES], rng)
        else:
            for _ in range(_few(rng)):
                content = self._changed(bytearray(content), rng)
        return self.finished(bytes(content[:MOST_BYTES]))

    def _changed(self, content: bytearray, rng: np.random.Generator) -> bytearray:
        if not content:
            return bytearray(_one_of(self.seeds, rng))
        kind = rng.integers(11)
        start = int(rng.integers(len(content)))
        stop = min(len(content), start + int(2 ** rng.uniform(0, 12)))
        if kind == 0:
            content[start] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            content[start] = int(rng.integers(256))
        elif kind == 2:
            del content[start:stop]
        elif kind == 3:
            content[start:start] = content[start:stop] * int(rng.choice([1, 1, 2, 50]))
        elif kind == 4:
            del content[start:]
        elif kind == 5:
            other = _one_of(self.seeds, rng)
            content[start:] = other[int(rng.integers(len(other) + 1)) :]
        elif kind in (6, 7):
            size = int(rng.choice([1, 2, 4, 8]))
            value = int(_one_of(_LONG_NUMBERS, rng)) + int(rng.integers(-1, 2))
            order = "little" if rng.integers(2) else "big"
            packed = (value % 256**size).to_bytes(size, order)
            content[start : start + size] = packed
        elif kind == 8:
            content[start:start] = _one_of(_ODD_BYTES, rng)
        elif kind == 9 and self.words:
            length = int(rng.integers(5)) * int(rng.integers(2))
            content[start : start + length] = _one_of(self.words, rng)
        else:
            content[start:stop] = rng.bytes(stop - start)
        return content


def _with_json_changed(content: bytes, rng: np.random.Generator) -> bytes:
    """With one line changed, as JSON, or dropped, or there twice."""
    lines = content.split(b"\n")
    number = int(rng.integers(len(lines)))
    kind = rng.integers(12)
    if kind == 0:
        del lines[number]
    elif kind == 1:
        lines.insert(number, lines[number])
    else:
        try:
            value = json.loads(lines[number])
            lines[number] = json.dumps(_changed_value(value, rng)).encode()
        except (ValueError, RecursionError):
            lines[number] = json.dumps(_one_of(_ODD_VALUES[:20], rng)).encode()
    return b"\n".join(lines)


def _changed_value(value: Any, rng: np.random.Generator) -> Any:
    """A JSON value with one change somewhere."""
    children: Sequence[Any] = ()
    if isinstance(value, dict):
        children = list(value)
    elif isinstance(value, list):
        children = range(len(value))
    if len(children) == 0 or rng.random() < 0.1:
        return _other_value(value, rng)
    key = children[rng.integers(len(children))]
    kind = rng.integers(9)
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, dict):
        name = rng.choice([key.upper(), key + "s", "", key[1:], "type"])
        value[str(name)] = value[key] if rng.integers(2) else value.pop(key)
    elif kind == 2:
        other = children[rng.integers(len(children))]
        value[key] = value[other]
    elif kind == 3 and isinstance(value, list) and len(value) < 1000:
        value += value * int(rng.choice([1, 3, 100]))
    elif kind == 4:
        value[key] = _other_value(value[key], rng)
    else:
        value[key] = _changed_value(value[key], rng)
    return value


def _other_value(value: Any, rng: np.random.Generator) -> Any:
    kind = rng.integers(6)
    if kind == 0:
        return [value]
    if kind == 1:
        return {"a": value}
    if kind == 2 and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _one_of((-value, value + 1, value * 1_000_000, [value, value]), rng)
    if kind == 3 and isinstance(value, str):
        place = int(rng.integers(len(value) + 1))
        odd = _one_of(_ODD_BYTES, rng).decode(errors="surrogateescape")
        return value[:place] + odd + value[place:]
    return _one_of(_ODD_VALUES, rng)


def _one_of(values: Sequence[Any], rng: np.random.Generator) -> Any:
    return values[rng.integers(len(values))]


def _few(rng: np.random.Generator) -> int:
    return int(rng.choice([1, 1, 1, 2, 2, 3, 5, 9]))
