import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.data.shards.crc32c import crc32c, masked_crc32c


def reference(data):
    """Bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


# Of RFC 3720, appendix B.4.
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_published_values(data, expected):
    assert crc32c(data) == reference(data) == expected


@settings(deadline=None, max_examples=40)
@given(data=st.binary(max_size=40), count=st.integers(0, 40))
def test_any_bytes_of_any_length(data, count):
    assert crc32c(data * count) == reference(data * count)


def test_stretches_of_every_length():
    data = bytes(number * number % 251 for number in range(1300))
    for length in [*range(250, 262), 511, 512, 513, 767, 768, 769, 1024, 1025, 1300]:
        assert crc32c(data[:length]) == reference(data[:length]), length


def test_the_mask():
    crc = reference(b"foo")
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    assert masked_crc32c(b"foo") == (rotated + 0xA282EAD8) % 2**32
