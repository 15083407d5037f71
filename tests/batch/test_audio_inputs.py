import json

import pytest

from int4_conformer.batch.audio_inputs import Recording, read_inputs
from int4_conformer.batch.file_access import LocalFiles
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.errors import UserError
from tests.batch import kit


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clips" / "more").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "more/c.wav"):
        kit.write_noise(tmp_path / "clips" / name)
    (tmp_path / "clips" / "notes.md").write_text("no audio")
    return tmp_path


def read(*inputs, **options):
    return read_inputs(inputs, LocalFiles(), **options)


def names(found):
    return [recording.audio.rsplit("/", 1)[1] for recording in found]


def test_a_folder_has_its_audio_files_at_any_depth(folder):
    found = read(folder / "clips")
    assert names(found) == ["a.wav", "b.wav", "c.wav"]
    assert all(recording.expected_seconds == pytest.approx(1, rel=0.01) for recording in found)


def test_a_glob_has_what_it_matches(folder):
    assert names(read(f"{folder}/clips/*")) == ["a.wav", "b.wav", "notes.md"]
    assert names(read(f"{folder}/**/[bc].wav")) == ["b.wav", "c.wav"]


def test_relative_paths_are_made_whole(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert read("clips/a.wav") == [Recording(audio=f"{folder}/clips/a.wav")]
    assert read("clips/*.wav")[1] == Recording(audio=f"{folder}/clips/b.wav")


def test_a_manifest(folder):
    lines = [
        {"audio": "clips/a.wav", "text": "as published"},
        {"audio_filepath": "clips/b.wav", "duration": 0.5},
        {"audio": "clips/b.wav", "offset": 0.25, "duration": 0.5},
        {"audio": "clips/absent.wav"},
        {"audio": "clips/a.wav"},
        {"audio": ""},
        {"text": "no audio"},
    ]
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)) + "\nno JSON\n")
    report = CorpusReport("skip")
    whole, claimed, segment, absent = read(manifest, report=report)
    assert whole == Recording(audio=f"{folder}/clips/a.wav")
    # What is claimed of a whole file is a guess of how long it is, and no segment.
    assert claimed == Recording(audio=f"{folder}/clips/b.wav")
    assert claimed.expected_seconds == 0.5
    assert segment == Recording(audio=f"{folder}/clips/b.wav", offset=0.25, duration=0.5)
    assert absent.audio.endswith("absent.wav")
    assert report.left_out == 3
    with pytest.raises(UserError, match=r"Line 6 of .* names no audio file"):
        read(manifest)


@pytest.mark.parametrize(
    ("name", "content", "options", "expected"),
    [
        ("t.tsv", 'id\tpath\tsentence\n1\ta.wav\t"I\n2\tb.wav\tc"\n', {}, ["a.wav", "b.wav"]),
        ("t.csv", 'text,audio\n"one, two",a.wav\nthree,b.wav\n', {}, ["a.wav", "b.wav"]),
        ("t.csv", "\ufeffclip,x\na.wav,1\n\n", {"column": "clip"}, ["a.wav"]),
        ("t.csv", "text,audio\r\none,a.wav\r\n", {}, ["a.wav"]),
        ("t.txt", "a.wav\n\nb.wav\n", {}, ["a.wav", "b.wav"]),
    ],
)
def test_tables_and_lists(folder, name, content, options, expected):
    (folder / name).write_bytes(content.encode())
    found = read(folder / name, audio_folder=folder / "clips", **options)
    assert [recording.audio for recording in found] == [f"{folder}/clips/{x}" for x in expected]
    assert found[0].expected_seconds == pytest.approx(1, rel=0.01)


def test_lines_without_a_path_are_left_out(folder):
    (folder / "t.tsv").write_text("id\tpath\n1\n2\t \n3\tclips/a.wav\n")
    report = CorpusReport("skip")
    assert names(read(folder / "t.tsv", report=report)) == ["a.wav"]
    assert report.first().endswith(f"Line 2 of {folder}/t.tsv names no audio file; write its path.")
    assert report.left_out == 2


def test_what_is_named_twice_is_there_once(folder):
    (folder / "l.txt").write_text("clips/a.wav\nclips/./a.wav\n")
    assert names(read(folder / "clips", folder / "l.txt", folder / "clips/a.wav")) == [
        *("a.wav", "b.wav", "c.wav")
    ]


@pytest.mark.parametrize(
    ("given", "content", "options", "sentence"),
    [
        ("absent.wav", None, {}, "There is no .*absent.wav; name a manifest"),
        ("absent.jsonl", None, {}, r"absent.jsonl cannot be read \(No such file"),
        ("*.mp3", None, {}, r"The glob .*\*.mp3 matches no file"),
        ("empty", None, {}, "empty holds no audio"),
        ("m.jsonl", "", {}, "The inputs name no recording."),
        ("l.txt", "\n", {}, "The inputs name no recording."),
        ("t.csv", "", {}, "its columns are none"),
        ("t.csv", "a,b\n1,2\n", {}, "no column 'audio' or 'path' or 'file'; its columns are 'a'"),
        ("t.csv", "clip\n1\n", {"column": "clips"}, r"no column 'clips' \(did you mean clip\?\)"),
    ],
)
def test_refusals(folder, given, content, options, sentence):
    (folder / "empty").mkdir()
    if content is not None:
        (folder / given).write_text(content)
    with pytest.raises(UserError, match=sentence):
        read(folder / given, **options)


def test_a_table_of_another_encoding(folder):
    (folder / "t.csv").write_bytes("audio\nü.wav\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"t.csv is not UTF-8 text; save it as UTF-8\."):
        read(folder / "t.csv")


def test_names_with_magic_that_are_there_are_files(folder):
    kit.write_noise(folder / "a[1].wav")
    assert names(read(folder / "a[1].wav")) == ["a[1].wav"]
    kit.write_noise(folder / "clips" / "more" / "[x].wav")
    (folder / "clips").rename(folder / "clips [old]")
    assert names(read(folder / "clips [old]")) == ["a.wav", "b.wav", "[x].wav", "c.wav"]
