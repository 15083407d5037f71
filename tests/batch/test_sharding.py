import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from int4_conformer.batch.audio_inputs import Recording
from int4_conformer.batch.sharding import MOST_RECORDINGS, Shard, sharded
from int4_conformer.errors import UserError

RECORDINGS = st.lists(
    st.builds(
        Recording,
        audio=st.sampled_from("abcdefgh"),
        offset=st.none() | st.floats(0, 100),
        duration=st.none() | st.floats(0.01, 10),
        expected_seconds=st.floats(0, 50),
    ),
    unique=True,
)


@given(RECORDINGS, st.floats(0.1, 100), st.integers(0, 5))
def test_shards_part_the_recordings(recordings, seconds, first):
    shards = list(sharded(recordings, seconds, first))
    parted = [recording for shard in shards for recording in shard.recordings]
    assert sorted(map(repr, parted)) == sorted(map(repr, recordings))
    assert [shard.number for shard in shards] == list(range(first, first + len(shards)))
    # Segments of one file are neighbours.
    files = [audio for audio, _ in itertools.groupby(x.audio for x in parted)]
    assert len(files) == len(set(files))
    for shard in shards[:-1]:
        *before, last = (recording.expected_seconds for recording in shard.recordings)
        assert sum(before) < seconds <= sum([*before, last])


@given(RECORDINGS)
def test_they_do_not_depend_on_the_order(recordings):
    assert list(sharded(recordings[::-1], 20)) == list(sharded(recordings, 20))


@given(RECORDINGS)
def test_a_line_of_the_plan_tells_all(recordings):
    for shard in sharded(recordings, 20):
        read = Shard.from_json(shard.to_json())
        assert read == shard
        assert [vars(x) for x in read.recordings] == [vars(x) for x in shard.recordings]


def test_files_of_one_length_follow_each_other():
    lengths = [3, 1, 2, 1, 3, 2, 1]
    given_ = [Recording(audio=str(n), expected_seconds=s) for n, s in enumerate(lengths)]
    (shard,) = sharded(given_, 100)
    assert [x.expected_seconds for x in shard.recordings] == sorted(lengths, reverse=True)


def test_a_shard_has_so_many_at_most():
    given_ = [Recording(audio=str(n), expected_seconds=0) for n in range(2 * MOST_RECORDINGS + 1)]
    assert [len(x.recordings) for x in sharded(given_, 10)] == [MOST_RECORDINGS] * 2 + [1]


def test_names_of_any_bytes_come_back():
    shard = Shard(number=0, recordings=(Recording(audio="/\udcff ü.wav"),))
    assert Shard.from_json(shard.to_json().encode()) == shard


def test_a_shard_has_some_seconds():
    with pytest.raises(UserError, match="`shard_seconds` must be positive"):
        list(sharded([], 0))
