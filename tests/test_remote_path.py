"""Paths in the cloud, tried on the file system that TensorFlow keeps in memory."""

import uuid

import pytest

from int4_conformer.errors import UserError
from int4_conformer.files import (
    append_json_line,
    json_lines,
    require_folder_place,
    require_place,
    sha256_of,
    write_beside,
    write_json_lines,
)
from int4_conformer.remote_path import path_of, remove_tree


@pytest.fixture
def places(tmp_path):
    """A folder of this machine, and one that is not."""
    return path_of(tmp_path / "run"), path_of(f"ram://{uuid.uuid4()}/run/")


def told(folder, call):
    """What a call says of a folder, without the folder's own name, or the kind of its error."""
    try:
        return str(call(folder)).replace(str(folder), "FOLDER")
    except OSError as error:
        return type(error).__name__


def test_what_a_path_does_is_what_one_of_this_machine_does(places):
    steps = [
        lambda folder: folder.exists(),
        lambda folder: folder.mkdir(parents=True),
        lambda folder: folder.mkdir(),
        lambda folder: folder.mkdir(exist_ok=True),
        lambda folder: (folder.is_dir(), folder.is_file(), folder.name, folder.parent.name != ""),
        lambda folder: (folder / "step-1.index").write_bytes(b"one") and None,
        lambda folder: (folder / "step-2.index").write_bytes(b"two") and None,
        lambda folder: (folder / "step-1.index").read_text(),
        lambda folder: (folder / "step-1.json").read_text(),
        lambda folder: sorted(folder.glob("step-*.index")),
        lambda folder: sorted((folder / "none").glob("*")),
        lambda folder: [path.stem for path in sorted(folder.iterdir())],
        lambda folder: list((folder / "none").iterdir()),
        lambda folder: (folder / "step-1.index").with_suffix("").with_name("a.b").with_suffix(".c"),
        lambda folder: (folder / "step-1.index").replace(folder / "step-2.index") and None,
        lambda folder: [path.name for path in folder.iterdir()],
        lambda folder: sha256_of(folder / "step-2.index"),
        lambda folder: write_beside(folder / "sub" / "file", b"content"),
        lambda folder: sorted(path.name for path in folder.iterdir()),
        lambda folder: write_json_lines(folder / "rows", [{"a": 1}]),
        lambda folder: append_json_line(folder / "rows", {"b": 2}),
        lambda folder: list(json_lines(folder / "rows")),
        lambda folder: list(json_lines(folder / "none")),
        lambda folder: (folder / "rows").unlink(),
        lambda folder: (folder / "rows").is_file(),
        lambda folder: require_folder_place(folder / "new"),
        lambda folder: require_place(folder / "new"),
        remove_tree,
        lambda folder: folder.exists(),
        remove_tree,
    ]
    for number, step in enumerate(steps):
        here, there = (told(folder, step) for folder in places)
        assert there == here, number


def test_places_that_cannot_be(places):
    _, remote = places
    write_beside(remote, b"content")
    with pytest.raises(UserError, match=r"ram://.*/run is a file; name a folder"):
        require_folder_place(remote)
    with pytest.raises(UserError, match=r"foo://a/b cannot be reached \(.*'foo' not implemented"):
        require_folder_place("foo://a/b")
