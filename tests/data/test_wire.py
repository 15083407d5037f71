"""Messages of data workers: what is none is refused in a sentence."""

import io
import json
import struct

import numpy as np
import pytest

from int4_conformer.data.service import wire
from int4_conformer.errors import UserError


def sent(content):
    return io.BytesIO(struct.pack("<4sQ", b"i4cb", len(content)) + content)


def test_what_is_sent_is_received():
    arrays = {"a": np.float32([[1, 2]]), "b": np.array([], np.int64), "c": np.array(["é", "ab"])}
    file = io.BytesIO()
    wire.send(file, {"n": 1}, arrays)
    file.seek(0)
    message, received = wire.receive(file)
    assert message == {"n": 1}
    for name, array in arrays.items():
        np.testing.assert_array_equal(received[name], array)
        assert received[name].dtype == array.dtype


@pytest.mark.parametrize(
    "content",
    [
        b"no JSON",
        b"\xff",
        b"[" * 100_000,
        b"3",
        b"{}",
        b'{"message": 3, "arrays": {}}',
        b'{"message": {}, "arrays": []}',
        *(
            json.dumps({"message": {}, "arrays": {"a": form}}).encode()
            for form in (
                *(None, ["<f4"], [4, [1]], ["<f4", 1], ["<f4", [-1]], ["<f4", ["1"]]),
                *(["<f4", [1.5]], ["|O", [1]], ["<U0", [1]], ["<f3", [1]], ["zf4", [1]]),
                *(["f4,f4", [1]], ["<f4", [2**20, 2**20]], ["<f4", [0] * 99]),
            )
        ),
    ],
)
def test_what_is_no_message(content):
    with pytest.raises(UserError, match="What comes from a data worker is no batch"):
        wire.receive(sent(content))
