"""`tf.train.Example` as bytes: the protocol buffer that TFRecord files mostly hold.

Example { Features features = 1; }
Features { map<string, Feature> feature = 1; }
an entry of a map: { string key = 1; Feature value = 2; }
Feature { BytesList bytes_list = 1; or FloatList float_list = 2; or Int64List int64_list = 3; }
"""

from collections.abc import Mapping

# Of a field whose content has a length.
_LENGTH_DELIMITED = 2


def encoded_example(features: Mapping[str, bytes | int]) -> bytes:
    """The bytes of an example with one value a feature.

    Args:
        features: bytes, or whole numbers that are not negative, by name. They stand in this order.

    Example:

        >>> encoded_example({"n": 3}).hex()
        '0a0c0a0a0a016e12051a030a0103'
    """
    entries = []
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = _field(1, _field(1, value))
        else:
            feature = _field(3, _field(1, _varint(value)))
        entries.append(_field(1, _field(1, name.encode()) + _field(2, feature)))
    return _field(1, b"".join(entries))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
