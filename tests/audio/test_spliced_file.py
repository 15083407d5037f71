import io
import os

from hypothesis import given
from hypothesis import strategies as st

from int4_conformer.audio.spliced_file import SplicedFile, Stretch

FILE = bytes(range(100))
STRETCHES = st.tuples(st.integers(0, 100), st.integers(0, 100)).map(lambda x: Stretch(*sorted(x)))


@given(
    st.lists(st.binary(max_size=9) | STRETCHES, max_size=5),
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 60)), max_size=5),
)
def test_it_reads_as_its_pieces_joined(pieces, reads):
    joined = b"".join(p if isinstance(p, bytes) else FILE[p.start : p.stop] for p in pieces)
    file = SplicedFile(io.BytesIO(FILE), pieces)
    assert file.seek(0, os.SEEK_END) == len(joined)
    for place, count in reads:
        assert file.seek(place) == file.tell() == place
        assert file.read(count) == joined[place : place + count]
        assert file.tell() == max(place, min(place + count, len(joined)))
    file.seek(0)
    assert file.read() == joined


def test_a_file_that_has_become_shorter_ends():
    assert SplicedFile(io.BytesIO(FILE[:10]), [Stretch(5, 20), b"more"]).read() == FILE[5:10]
