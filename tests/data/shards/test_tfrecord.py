import io

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.data.shards import tfrecord
from int4_conformer.data.shards.example import encoded_example
from int4_conformer.errors import UserError

RECORDS = [b"", b"a", bytes(range(256)) * 5, b"\0" * 1000]


def test_tensorflow_reads_what_is_written(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(b"".join(map(tfrecord.framed, RECORDS)))
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(path))] == RECORDS


def test_what_tensorflow_writes_is_read_and_the_same(tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert path.read_bytes() == b"".join(map(tfrecord.framed, RECORDS))
    with path.open("rb") as file:
        found = list(tfrecord.places(file, "a"))
        assert [tfrecord.record_at(file, *place, "a") for place in found] == RECORDS


@settings(deadline=None, max_examples=60)
@given(
    features=st.dictionaries(
        st.text(max_size=8), st.binary(max_size=300) | st.integers(0, 2**63 - 1), max_size=5
    )
)
def test_an_example_is_tensorflows(features):
    example = tf.train.Example.FromString(encoded_example(features))
    found = {
        name: (feature.bytes_list.value or feature.int64_list.value)[0]
        for name, feature in example.features.feature.items()
    }
    assert found == features


@pytest.mark.parametrize("place", [0, 9, 12, 14, 20])
def test_a_changed_byte_is_found(place):
    content = bytearray(tfrecord.framed(b"a record") + tfrecord.framed(b"another"))
    content[place] ^= 1
    file = io.BytesIO(content)
    with pytest.raises(UserError, match=r"a is (no TFRecord file|damaged)"):
        [tfrecord.record_at(file, *found, "a") for found in tfrecord.places(file, "a")]


@pytest.mark.parametrize("missing", [1, 5, 20, 22])
def test_a_file_that_is_cut_off_is_found(missing):
    file = io.BytesIO((tfrecord.framed(b"a record") * 2)[:-missing])
    with pytest.raises(UserError, match=r"ends within a record|is no TFRecord file from byte 24"):
        list(tfrecord.places(file, "a"))
