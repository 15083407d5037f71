"""Microphones, the standard input and subtitles, heard with a file of two passes."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from int4_conformer.audio import audio_files
from tests.support import commands, sound_device

FIXTURES = Path(__file__).parents[1] / "compatibility" / "v0_1"
MODEL = FIXTURES / "cascade.tflite"
RATE = 16000
RUN = "from int4_conformer.cli import main; main.main()"


def silence(seconds):
    noise = np.random.default_rng(0).normal(0, 1e-3, int(seconds * RATE))
    return noise.astype(np.float32)


def clip(number):
    return audio_files.read(FIXTURES / "clips" / f"{number}.flac")


TALK = np.concatenate([clip(0), silence(2), clip(1), silence(2), clip(3)])
SAID = ["back", "go back", "yes back go"]


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    path = tmp_path_factory.mktemp("hearing") / "talk.wav"
    soundfile.write(path, TALK, RATE)
    return path


@pytest.fixture
def microphone(monkeypatch):
    """Plugs in a microphone that hears the talk, after which the user types Ctrl-C."""

    def plug(samples=TALK, **settings):
        settings = {"devices": [sound_device.device("Desk")], "default": 0} | settings
        module = sound_device.module(samples, **settings)
        monkeypatch.setitem(sys.modules, "sounddevice", module)

    return plug


def test_a_microphone(microphone):
    microphone()
    result = commands.run("transcribe", MODEL, "--microphone")
    assert result.status == 0, result.err
    assert result.out.splitlines() == SAID
    assert result.err == "int4-conformer: hearing Desk at 16000 Hz; Ctrl-C ends.\n"


def test_a_microphone_of_another_rate_that_loses_audio(microphone):
    microphone(
        audio_files.resample(clip(1), RATE, 48000),
        devices=[sound_device.SPEAKERS, sound_device.STUDIO],
        default=None,
        overflows={1, 2},
        then="unplugged",
    )
    result = commands.run("transcribe", MODEL, "--microphone", "--device=studio", "--json")
    assert result.status == 0, result.err
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert lines[-1]["type"] == "final"
    assert lines[-1]["text"] == "go back"
    assert {line["type"] for line in lines[:-1]} == {"partial"}
    assert [line.removeprefix("int4-conformer: ") for line in result.err.splitlines()] == [
        "hearing Studio microphone at 48000 Hz; Ctrl-C ends.",
        "Some audio was lost; this machine is too busy or too slow.",
        "Studio microphone has stopped; is it still plugged in?",
        "Audio was lost 2 times; words may be missing.",
    ]


def test_microphones_are_listed(microphone):
    devices = [sound_device.SPEAKERS, sound_device.STUDIO, sound_device.device("Desk", 2)]
    microphone(devices=devices, default=2)
    result = commands.run("transcribe", "--list_devices")
    assert result.out == (
        "1\tStudio microphone\t1 channels\t48000 Hz\n2\tDesk\t2 channels\t16000 Hz\tdefault\n"
    )


def test_a_terminal_shows_the_microphone():
    code = (
        "import sys; from tests.support import sound_device as s; from tests.cli import "
        "test_hearing as t; sys.modules['sounddevice'] = s.module(t.clip(1), "
        f"devices=[s.device('Desk')], default=0, pause=0.01); {RUN}"
    )
    child, screen = pty.fork()
    if not child:
        arguments = [sys.executable, "-c", code, "transcribe", str(MODEL), "--microphone"]
        os.execve(sys.executable, arguments, os.environ | {"COLUMNS": "60", "TERM": "xterm"})
    printed = b""
    try:
        while part := os.read(screen, 4096):
            printed += part
    except OSError:
        # The terminal is closed.
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, printed
    told, *drawn = printed.decode().split("\r\x1b[K")
    assert told == "int4-conformer: hearing Desk at 16000 Hz; Ctrl-C ends.\r\n"
    assert drawn[-1] == "go back\r\n"
    assert all(line[0] == "[" and line[9:11] == "] " for line in drawn[:-1])
    assert drawn[-2][11:] == "go back"


def piped(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, "transcribe", MODEL, "-", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def pcm(samples):
    return (32767 * samples).astype("<i2").tobytes()


def test_words_come_before_the_pipe_ends():
    with piped("--stream") as process:
        process.stdin.write(pcm(TALK[: len(clip(0)) + 2 * RATE]))
        process.stdin.flush()
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[0].endswith(b"\tback\n")
        assert lines[1] == b"back\n"
        process.stdin.write(pcm(clip(1)) + b"\0")
        rest, told = process.communicate()
    assert process.returncode == 0
    assert rest.splitlines()[-1] == b"go back"
    assert b"ends within a sample; its last 1 bytes were left out" in told


def test_ctrl_c_ends_a_pipe_with_the_last_words():
    with piped("--stream") as process:
        process.stdin.write(pcm(np.append(clip(0), silence(0.5))))
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\tback\n")
        process.send_signal(signal.SIGINT)
        # The pipe stays open meanwhile.
        assert process.wait() == 0
        assert process.stdout.read() == b"back\n"


def test_a_wav_file_of_unknown_length_as_subtitles(talk):
    content = bytearray(talk.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"
    result = subprocess.run(
        [sys.executable, "-c", RUN, "transcribe", MODEL, "-", "--srt"],
        input=bytes(content),
        capture_output=True,
        check=True,
    )
    lines = result.stdout.decode().split("\n")
    assert lines[0::4] == ["1", "2", "3", ""]
    assert all(re.fullmatch(r"00:00:0\d,\d{3} --> 00:00:0\d,\d{3}", time) for time in lines[1::4])
    assert lines[2::4] == SAID
    assert result.stderr == b""


def test_subtitles_of_files(talk, tmp_path):
    whole = commands.run("transcribe", MODEL, talk, "--vtt")
    assert whole.out.startswith("WEBVTT\n\n00:00:00.040 --> ")
    # Streams end utterances; whole files have pauses.
    assert whole.out.count("-->") == 3
    streamed = commands.run("transcribe", MODEL, talk, "--vtt", "--stream")
    assert streamed.out.count("-->") == 3
    other = tmp_path / "other.flac"
    soundfile.write(other, clip(1), RATE)
    folder = tmp_path / "new" / "subtitles"
    result = commands.run("transcribe", MODEL, talk, other, "--vtt", f"--output_dir={folder}")
    assert result.out == f"{folder}/talk.vtt\n{folder}/other.vtt\n"
    assert (folder / "talk.vtt").read_text() == whole.out


def test_streams_of_files_end_utterances(talk):
    result = commands.run("transcribe", MODEL, talk, "--stream")
    assert [line for line in result.out.splitlines() if "\t" not in line] == SAID
    result = commands.run("transcribe", MODEL, talk, talk, "--stream", "--words")
    words = [line.split("\t") for line in result.out.splitlines()]
    assert [word[4] for word in words] == 2 * " ".join(SAID).split()
    patient = commands.run("transcribe", MODEL, talk, "--stream", "--endpoint_after=4", "--json")
    lines = [json.loads(line) for line in patient.out.splitlines()]
    assert [line["audio"] for line in lines] == len(lines) * [str(talk)]
    assert [line["type"] for line in lines].count("final") == 1


def test_silence_has_a_line(tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, silence(2), RATE)
    assert commands.run("transcribe", MODEL, path, "--stream").out == "\n"
    assert commands.run("transcribe", MODEL, path).out == "\n"


def test_refusals(talk, tmp_path, microphone):
    microphone()
    twin = tmp_path / "talk.flac"
    for arguments, complaint in [
        (["--microphone", talk], "--microphone takes a MODEL and no files. Received: 2 arguments"),
        ([talk, "-"], "- is the standard input and stands alone; a file of that name is ./-"),
        ([talk, "--srt", "--vtt"], "--words, --json, --srt and --vtt exclude each other"),
        ([talk, "--only"], "--only needs --phrases; give that, too"),
        ([talk, "--bonus=1"], "--bonus needs --phrases"),
        ([talk, "--lm_weight=1"], "--lm_weight needs --lm"),
        ([talk, "--n_best=2"], "--n_best needs --json"),
        (["-", "--n_best=2", "--json"], "--n_best is for whole files"),
        ([talk, "--device=1"], "--device needs --microphone"),
        ([talk, "--output_dir=a"], "--output_dir needs --srt or --vtt"),
        ([talk, "--raw_rate=8000"], "--raw_rate is of the standard input; give - in place"),
        (["-", "--raw_rate=10"], "--raw_rate=10 must be an integer in the range [1000, 1000000]"),
        ([talk, "--endpoint_after=2"], "--endpoint_after is for --stream, --microphone and -"),
        (["--microphone", "--channel=left"], "--channel is for files and the standard input"),
        ([talk, twin, "--srt"], "several files are several files; name a folder for them"),
        ([talk, twin, "--srt", "--output_dir=a"], "would have their subtitles in talk.*"),
        ([talk, "--srt", f"--output_dir={talk}"], "is a file; name a folder"),
        (["--microphone", "--device=kitchen"], "There is no microphone 'kitchen'"),
        ([talk, "--phrases=absent.txt"], "There is no list of phrases absent.txt"),
        ([talk, "--beam=4"], "exported before it had other searches than the greedy one"),
    ]:
        assert complaint in commands.refusal("transcribe", MODEL, *arguments)
    microphone(refusal="Device unavailable [PaErrorCode -9985]")
    assert "'Desk' cannot be opened (Device unavailable)" in commands.refusal(
        "transcribe", MODEL, "--microphone", begun=True
    )


def test_refused_standard_inputs():
    _, terminal = pty.openpty()
    for stdin, complaint in [
        (terminal, "The standard input is a terminal; pipe audio into it, such as arecord"),
        (subprocess.DEVNULL, "Standard input holds no audio samples; does the program before it"),
    ]:
        result = subprocess.run(
            [sys.executable, "-c", RUN, "transcribe", MODEL, "-"],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 2
        assert complaint in result.stderr
        assert result.stderr.count("\n") == 1
