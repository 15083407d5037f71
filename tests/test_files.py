import itertools

import pytest

from int4_conformer.errors import UserError
from int4_conformer.files import (
    json_lines,
    require_folder_place,
    require_new_folder,
    require_place,
    write_beside,
)


def test_a_file_is_written_over_an_older_one(tmp_path):
    path = tmp_path / "file.bin"
    for content in (b"old and longer", b"new"):
        write_beside(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (".", "is a folder; name the file to write"),
        ("file/below", r"below cannot be written: .*file is no folder"),
        ("file/absent/below", r"below cannot be written: .*file is no folder"),
        ("n" * 250, "cannot be written"),
    ],
)
def test_no_place_for_a_file(tmp_path, name, complaint):
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(UserError, match=complaint):
        write_beside(tmp_path / name, b"content")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_an_interrupted_write_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "file.bin"
    write_beside(path, b"old")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("int4_conformer.files.os.replace", full)
    with pytest.raises(UserError, match=r"file\.bin cannot be written \(No space left on device\)"):
        write_beside(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_lines_that_were_cut_short_are_passed_over(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert list(json_lines(path)) == []
    path.write_bytes(b'{"step": 1}\n{"st\n[2]\n\xff\n\n{"step": 3}\n{"step": 4, "lo')
    with path.open("ab") as file:
        file.write(b"\n" + b"[" * 100_000)
    assert list(json_lines(path)) == [{"step": 1}, {"step": 3}]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 99, 1000])
def test_of_many_lines_some_are_read_and_the_last(tmp_path, count):
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(f'{{"step": {step}}}\n' for step in range(count)))
    steps = [line["step"] for line in json_lines(path, most=10)]
    distances = {after - before for before, after in itertools.pairwise(steps)}
    assert len(distances) <= 1
    assert min(count, 10) / 2 < len(steps) <= 10
    assert steps[-1] == count - 1


def test_folders_are_made_for_a_file(tmp_path):
    path = tmp_path / "some where" / "dépôt" / "file.bin"
    require_place(path)
    assert not list(tmp_path.iterdir())
    write_beside(path, b"content")
    assert path.read_bytes() == b"content"


def test_places_before_work_starts(tmp_path, monkeypatch):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    folder.mkdir()
    absent = tmp_path / "absent" / "below"
    for require, fit, unfit in [
        (require_place, (file, absent), (tmp_path, "", file / "below")),
        (require_folder_place, (folder, absent, ""), (file, file / "below")),
        (require_new_folder, (absent,), (file, folder, "", file / "below")),
    ]:
        for path in fit:
            require(path)
        for path in unfit:
            with pytest.raises(UserError):
                require(path)
    monkeypatch.setattr("int4_conformer.files.os.access", lambda path, mode: False)
    for require in (require_place, require_folder_place, require_new_folder):
        with pytest.raises(UserError, match=r"the folder .* may not be written to"):
            require(absent)
    assert sorted(tmp_path.iterdir()) == [file, folder]
