import functools
import http.server
import json
import sys
import threading

import numpy as np
import pytest
import soundfile

from int4_conformer.data.corpus import format_of, read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.recordings import decoded
from int4_conformer.data.sources.tfio import decoded_by_tfio
from int4_conformer.errors import UserError
from tests.support import commands, corpora

RATE = corpora.RATE
# Ending, subtype by libsndfile's name, channels, sample rate, type that comes out.
KINDS = [
    ("wav", "PCM_16", 1, 16000, "int16"),
    ("wav", "PCM_16", 2, 44100, "int16"),
    ("wav", "PCM_U8", 1, 8000, "int16"),
    ("wav", "PCM_24", 1, 48000, "int32"),
    ("wav", "FLOAT", 1, 16000, "float32"),
    ("flac", "PCM_16", 1, 16000, "int16"),
    ("flac", "PCM_16", 2, 22050, "int16"),
    ("flac", "PCM_24", 1, 16000, "int32"),
    ("ogg", "VORBIS", 1, 16000, "float32"),
    ("ogg", "VORBIS", 2, 44100, "float32"),
    ("mp3", "MPEG_LAYER_III", 1, 16000, "float32"),
    ("mp3", "MPEG_LAYER_III", 2, 44100, "float32"),
]


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    assert format_of("tfio:s3://bucket/a.jsonl").name == "a manifest read by tensorflow-io"
    with pytest.raises(UserError, match=r"pip install 'int4-conformer\[io\]'"):
        read_corpus("tfio:s3://bucket/a.jsonl")


@pytest.fixture(scope="module")
def tfio():
    """tensorflow-io, which `make test-io` installs."""
    return pytest.importorskip("tensorflow_io", reason="tensorflow-io is not installed")


@pytest.mark.parametrize(("ending", "subtype", "channels", "rate", "dtype"), KINDS)
def test_samples_are_those_of_libsndfile(tfio, tmp_path, ending, subtype, channels, rate, dtype):
    rng = np.random.default_rng(channels)
    tones = np.sin(np.arange(rate)[:, None] * np.linspace(0.02, 0.2, channels))
    speech = 0.4 * tones + 0.1 * rng.standard_normal([rate, channels])
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, speech, rate, subtype=subtype)
    samples, found_rate = decoded_by_tfio(path.read_bytes(), path)
    assert (found_rate, samples.dtype.name) == (rate, dtype)
    expected, _ = soundfile.read(path, dtype=dtype, always_2d=True)
    if ending in ("ogg", "mp3"):
        # Two decoders: sums of floats in other orders.
        np.testing.assert_allclose(samples, expected, atol=2e-6)
    else:
        np.testing.assert_array_equal(samples, expected)


def test_files_that_it_cannot_decode(tfio, tmp_path):
    soundfile.write(tmp_path / "a.opus", np.zeros(RATE), RATE, format="OGG", subtype="OPUS")
    soundfile.write(tmp_path / "law.wav", np.zeros(RATE), RATE, subtype="ALAW")
    for name, complaint in [
        ("a.opus", "which tensorflow-io does not decode; give FLAC, MP3"),
        ("law.wav", "A-Law, which tensorflow-io does not decode"),
    ]:
        with pytest.raises(UserError, match=complaint):
            decoded_by_tfio((tmp_path / name).read_bytes(), name)
    for content in (b"", b"hello", b"RIFF\x00\x00\x00\x00WAVE", b"fLaC\x00"):
        with pytest.raises(UserError, match=r"a\.wav holds no audio that can be decoded"):
            decoded_by_tfio(content, "a.wav")


class Files(http.server.SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *args):
        pass


@pytest.fixture(params=["folder", "ram", "http"])
def remote(request, tfio, tmp_path):
    """A corpus of three utterances, as `tfio:` names it, in some file system."""
    import tensorflow as tf

    lines = []
    for number in range(3):
        corpora.audio(tmp_path / f"audio/{number}.flac", number)
        lines.append({"audio": f"audio/{number}.flac", "text": f"a {number}", "speaker": "ann"})
    # A segment, and a file that is not there.
    lines[2] |= {"offset": 0.1, "duration": 0.1}
    lines.append({"audio": "absent.flac", "text": "b", "duration": 1.0})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    if request.param == "folder":
        yield f"tfio:{tmp_path}"
    elif request.param == "ram":
        for path in ("manifest.jsonl", *(f"audio/{number}.flac" for number in range(3))):
            tf.io.gfile.makedirs("ram://corpus/audio")
            with tf.io.gfile.GFile(f"ram://corpus/{path}", "wb") as file:
                file.write((tmp_path / path).read_bytes())
        yield "tfio:ram://corpus"
    else:
        handler = functools.partial(Files, directory=str(tmp_path))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"tfio:http://127.0.0.1:{server.server_port}/manifest.jsonl"
            server.shutdown()


def test_a_corpus_wherever_it_is(remote):
    report = CorpusReport("skip")
    recordings = decoded(read_corpus(remote, "train", report), report)
    assert [(u.text, u.speaker) for u in recordings] == [(f"a {i}", "ann") for i in range(3)]
    for number, recording in enumerate(recordings):
        expected = corpora.samples(number)
        expected = expected[1600:3200] if number == 2 else expected
        np.testing.assert_array_equal(recording.samples() * 32768, expected)
    assert "absent.flac cannot be read" in report.first()
    with pytest.raises(UserError, match="There is no manifest"):
        read_corpus(remote.replace("manifest.jsonl", "") + "/no.jsonl")


def test_a_recogniser_is_trained_and_exported(tfio, tmp_path):
    """All of it, by the TensorFlow that tensorflow-io is built for."""
    lines = []
    for number in range(8):
        soundfile.write(tmp_path / f"{number}.mp3", corpora.samples(number, 0.5) / 32768, RATE)
        lines.append({"audio": f"{number}.mp3", "text": "ab ba"[: 2 + number % 3]})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    trained = commands.run(
        "train",
        *(f"--manifest=tfio:{tmp_path}", f"--workdir={tmp_path / 'run'}", "--steps=2"),
        *("--batch_seconds=2", "--buckets=1", "--dev_fraction=0.2", "--noxla"),
    )
    assert trained.status == 0, trained.err
    model = tmp_path / "model.tflite"
    exported = commands.run("export", tmp_path / "run", f"--output={model}", "--noverify")
    assert exported.status == 0, exported.err
    heard = commands.run("transcribe", model, tmp_path / "0.mp3")
    assert heard.status == 0, heard.err
