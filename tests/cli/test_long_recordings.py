"""Files that are longer than one call hears, on the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from int4_conformer.audio import audio_files
from int4_conformer.cli import long_recordings
from int4_conformer.lite import Recognizer
from tests.support import commands, tflite_models

FIXTURES = Path(__file__).parents[1] / "compatibility" / "v0_1"
CASCADE = FIXTURES / "cascade.tflite"
RATE = 16000
# A word of a, then b c, in each second; and a pause every nine seconds.
SECOND = [1, 0, 0, 2, 3, *[0] * 20]
PAUSE = [0] * 25
SPOKEN = [*(SECOND * 8), *PAUSE]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    (folder / "whole.tflite").write_bytes(tflite_models.recognizer())
    # 72 s.
    soundfile.write(folder / "talk.flac", tflite_models.talk(SPOKEN * 8), RATE)
    soundfile.write(folder / "short.wav", tflite_models.talk(SECOND), RATE)
    clips = [audio_files.read(FIXTURES / "clips" / f"{n}.flac") for n in (0, 1, 3)]
    # 45 s, at another rate.
    speech = np.resize(np.concatenate(clips), 45 * RATE)
    soundfile.write(folder / "clips.wav", audio_files.resample(speech, RATE, 8000), 8000)
    return folder


def test_a_long_file_has_the_words_of_all_its_parts(folder):
    result = commands.run("transcribe", folder / "whole.tflite", folder / "talk.flac")
    assert result.status == 0, result.err
    assert result.out == " ".join(["ab c"] * 64) + "\n"
    (line,) = result.err.splitlines()
    assert re.fullmatch(
        rf"int4-conformer: {folder}/talk\.flac was cut into \d parts, all in pauses: one call of "
        r"this model hears 40 s at most\.",
        line,
    )


def test_each_form_has_times_of_the_whole(folder):
    model, talk, short = (folder / name for name in ("whole.tflite", "talk.flac", "short.wav"))
    result = commands.run("transcribe", model, talk, short, "--json")
    long, other = map(json.loads, result.out.splitlines())
    starts = [word["start"] for word in long["words"] if word["text"] == "ab"]
    assert starts == pytest.approx([n + n // 8 for n in range(64)], abs=1e-3)
    assert other["text"] == "ab c"
    result = commands.run("transcribe", model, talk, short, "--words")
    lines = [line.split("\t") for line in result.out.splitlines()]
    assert len(lines) == 2 * 65
    assert lines[126][:2] == [str(talk), "70.00"]
    for form in ("srt", "vtt"):
        result = commands.run(
            "transcribe", model, talk, short, f"--{form}", f"--output_dir={folder}"
        )
        assert result.status == 0
        written = (folder / f"talk.{form}").read_text()
        assert re.search(r"00:01:0[89][.,]\d{3} --> ", written)
        assert written.count("c") == 64


def test_progress_comes_on_stderr(folder, monkeypatch):
    monkeypatch.setattr("int4_conformer.progress._WORTH_SAYING", 0.0)
    times = iter(range(0, 10_000, 5))
    monkeypatch.setattr("int4_conformer.progress.time.monotonic", lambda: float(next(times)))
    result = commands.run("transcribe", folder / "whole.tflite", folder / "talk.flac")
    *lines, _ = result.err.splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(
            rf"recognising {folder}/talk.flac \d.*s/1 min 12 s(  \d.* left)?", line.rstrip()
        ), line
    assert "recognising" not in result.out


def test_cuts_within_speech_are_told(folder, tmp_path):
    # No pause, but for one after half a minute.
    dense = [1, 0, 0, 2, 0, 0, 3, 0, 0] * 84
    soundfile.write(tmp_path / "dense.wav", tflite_models.talk(dense + PAUSE + dense), RATE)
    result = commands.run("transcribe", folder / "whole.tflite", tmp_path / "dense.wav")
    assert result.status == 0
    assert result.out == " ".join(["ab c"] * 168) + "\n"
    assert (
        "was cut into 4 parts, 2 of 3 cuts within speech, where the parts overlap: one call of "
        "this model hears 40 s at most."
    ) in result.err


def test_a_model_of_streams_hears_a_stream(folder):
    result = commands.run("transcribe", CASCADE, folder / "clips.wav", "--json")
    assert result.status == 0
    assert result.err == ""
    found = json.loads(result.out)
    expected = Recognizer(CASCADE).recognize(audio_files.read(folder / "clips.wav"))
    assert found["text"] == expected.text
    assert len(found["words"]) == len(expected.words) > 10
    assert expected.words[-1].end > 40
    text = commands.run("transcribe", CASCADE, folder / "clips.wav")
    assert text.out == found["text"] + "\n"
    streamed = commands.run("transcribe", CASCADE, folder / "clips.wav", "--stream", "--words")
    assert streamed.status == 0
    assert float(streamed.out.splitlines()[-1].split("\t")[0]) > 40


def test_a_file_that_breaks_in_the_middle_says_nothing_of_itself(folder, tmp_path):
    samples = tflite_models.talk(SPOKEN * 8)
    samples[60 * RATE] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    model, short = folder / "whole.tflite", folder / "short.wav"
    result = commands.run("transcribe", model, tmp_path / "nan.wav", short)
    assert result.status == 2
    assert result.out == f"{short}\tab c\n"
    assert [line.removeprefix("int4-conformer: ") for line in result.err.splitlines()] == [
        f"{tmp_path}/nan.wav holds samples that are NaN or infinite; encode the audio again.",
        "1 of 2 files could not be recognised.",
    ]


def test_parts_are_asked_for(folder):
    result = commands.run("transcribe", CASCADE, folder / "clips.wav", "--part_seconds=5")
    assert result.status == 0
    assert re.search(r"was cut into \d\d parts, ", result.err)
    for arguments, complaint in [
        (["transcribe", CASCADE, folder / "talk.flac", "--part_seconds=1"], "--part_seconds=1"),
        (["transcribe", CASCADE, "-", "--part_seconds=9"], "--part_seconds is for whole files"),
        (
            ["evaluate", CASCADE, "--manifest=a", "--stream", "--part_seconds=9"],
            "--part_seconds is for recordings that are heard whole; leave it out",
        ),
        (
            ["evaluate", folder, "--manifest=a", "--part_seconds=9"],
            f"--part_seconds is for .tflite files; {folder} is a training folder",
        ),
    ]:
        assert complaint in commands.refusal(*arguments)


def test_corpora_of_long_recordings_are_evaluated(folder, tmp_path):
    talk = " ".join(["ab c"] * 64)
    lines = [("talk.flac", talk), ("short.wav", "ab c")]
    (folder / "manifest.jsonl").write_text(
        "".join(json.dumps({"audio": name, "text": text}) + "\n" for name, text in lines)
    )
    manifest = f"--manifest={folder / 'manifest.jsonl'}"
    result = commands.run("evaluate", folder / "whole.tflite", manifest)
    assert result.status == 0, result.err
    assert re.search(r"WER +0\.00%", result.out)
    assert result.err == (
        "int4-conformer: 1 of 2 recordings are cut into parts: one call of this model hears 40 s "
        "at most.\n"
    )
    # Of an utterance within a long recording, its part alone is heard.
    (tmp_path / "manifest.jsonl").write_text(
        json.dumps(
            {"audio": str(folder / "talk.flac"), "text": "ab c ab c", "offset": 27, "duration": 2}
        )
    )
    result = commands.run(
        "evaluate", folder / "whole.tflite", f"--manifest={tmp_path / 'manifest.jsonl'}"
    )
    assert result.err == ""
    assert re.search(r"WER +0\.00%", result.out)
    result = commands.run("evaluate", CASCADE, manifest, "--stream")
    assert result.status == 0
    assert result.err == ""


@pytest.mark.parametrize("sizes", [[], [0, 0], [3, 0, 4, 1], [20], [5, 5, 5]])
@pytest.mark.parametrize("step", [1, 5, 7])
def test_blocks_and_steps(sizes, step):
    samples = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []
    stepped = list(long_recordings.steps(blocks, step))
    assert all(len(block) == step for block in stepped[:-1])
    assert np.array_equal(np.concatenate([samples[:0], *stepped]), samples)
    rest = iter(blocks)
    head, is_long = long_recordings.taken(rest, 8)
    assert is_long == (len(head) > 8) == (len(samples) > 8)
    assert np.array_equal(np.concatenate([head, *rest]), samples)


def test_no_progress_of_short_files(folder, monkeypatch):
    monkeypatch.setattr(long_recordings, "Progress", None)
    assert commands.run("transcribe", folder / "whole.tflite", folder / "short.wav").out == "ab c\n"
