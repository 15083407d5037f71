"""Files of strangers: each gives the right samples, or the right sentence, wherever it is given."""

import re

import pytest

from int4_conformer.audio import audio_files
from int4_conformer.cli import main, recognizers
from int4_conformer.errors import UserError
from tests.support.odd_files import CASES, RATE

GOOD = [case for case in CASES if case.refusal is None]
BAD = [case for case in CASES if case.refusal is not None]


def test_there_are_many():
    assert len({case.name for case in CASES}) == len(CASES) > 60


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_samples(tmp_path, capfd, case):
    path, notes = case.write(tmp_path), []
    samples = audio_files.read(path, on_note=notes.append)
    case.check(samples)
    assert len(notes) == (case.note is not None)
    for note in notes:
        assert note.startswith(f"{path} ")
        assert re.search(case.note, note)
    assert audio_files.duration(path) == pytest.approx(len(samples) / RATE, abs=1e-3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_sentences(tmp_path, capfd, case):
    path = case.write(tmp_path)
    with pytest.raises(UserError, match=case.refusal) as refusal:
        audio_files.read(path)
    assert str(path) in str(refusal.value)
    # Samples out of range are not looked at for the length.
    if "samples that" not in case.refusal and "peak" not in case.refusal:
        with pytest.raises(UserError, match=case.refusal):
            audio_files.duration(path)
    assert capfd.readouterr() == ("", "")


class Listener:
    """Stands for a recogniser: what it says tells what it heard."""

    sample_rate = RATE
    longest_seconds = 40.0
    hears_streams = False

    def __init__(self, model, **settings):
        pass

    def transcribe(self, samples, sample_rate, **search):
        assert sample_rate == RATE
        return f"{len(samples)}"


def test_transcribe_tells_each(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(recognizers, "Recognizer", Listener)
    paths = {case.name: str(case.write(tmp_path)) for case in CASES}
    with pytest.raises(SystemExit) as exit_info:
        main.main(["transcribe", "a model", *paths.values()])
    assert exit_info.value.code == 2
    out, err = capfd.readouterr()
    said = dict(line.split("\t") for line in out.splitlines())
    assert list(said) == [paths[case.name] for case in GOOD]
    for case in GOOD:
        assert int(said[paths[case.name]]) / RATE == pytest.approx(
            case.seconds, abs=case.slack + 1e-3
        )
    # TensorFlow, which other tests load into this process, writes of devices when it likes.
    *lines, last = (line for line in err.splitlines() if not re.match("[EIW]0000 ", line))
    told = [case for case in CASES if case.note or case.refusal]
    for line, case in zip(lines, told, strict=True):
        assert line.startswith("int4-conformer: ")
        assert paths[case.name] in line
        assert re.search(case.note or case.refusal, line)
    assert last == f"int4-conformer: {len(BAD)} of {len(CASES)} files could not be recognised."
