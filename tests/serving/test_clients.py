import concurrent.futures
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.serving import kit
from tests.serving.kit import run
from tests.support import tiny

client = kit.recognition_client
UTTERANCES = [tiny.speech(blocks, seed=blocks)[: 640 * blocks - 7] for blocks in (12, 3, 40, 25)]


def wav(samples, subtype="PCM_16", rate=16000):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


@pytest.fixture(params=["grpc", "rest"])
def either(request, served):
    """A client of each kind, of the version that batches."""
    return getattr(served, request.param)(label="stable")


def test_samples(either, served):
    texts = [served.alone(samples) for samples in UTTERANCES]
    assert len(set(texts)) > 2
    for samples, text in zip(UTTERANCES, texts, strict=True):
        found = either.transcribe(samples)
        assert found.text == text == " ".join(word.text for word in found.words)
        for word in found.words:
            assert 0 <= word.start < word.end <= len(samples) / 16000 + 1e-3
            assert 0 < word.confidence <= 1
    codes = np.round(32767 * UTTERANCES[2]).astype(np.int16)
    assert either.transcribe(codes).text == served.alone(codes / np.float32(32768))


def test_files(either, served, tmp_path):
    samples = UTTERANCES[3]
    (tmp_path / "a.wav").write_bytes(wav(samples, "FLOAT"))
    soundfile.write(tmp_path / "a.flac", samples, 16000)
    expected = served.alone(samples)
    assert either.transcribe_file(tmp_path / "a.wav").text == expected
    codes = soundfile.read(tmp_path / "a.flac", dtype="float32")[0]
    assert either.transcribe_file(tmp_path / "a.flac").text == served.alone(codes)
    for name, content, complaint in [
        ("b.wav", None, "b.wav cannot be read"),
        ("b.mp3", b"<html>", "b.mp3"),
        ("c.wav", wav(samples)[:44], "audio"),
    ]:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(client.ClientError, match=complaint):
            either.transcribe_file(tmp_path / name)


def test_hypotheses(either):
    plain = either.beam(UTTERANCES[3])
    assert [x.score for x in plain] == sorted((x.score for x in plain), reverse=True)
    assert len({x.text for x in plain}) == len(plain) > 1
    (word, *_) = plain[-1].text.split()
    boosted = either.beam(UTTERANCES[3], [word, "ab"], 3.0)
    assert boosted[0].score > plain[0].score
    with pytest.raises(client.RecognitionError, match=r"^The phrase 'xyz' has a symbol"):
        either.beam(UTTERANCES[3], ["ab", "xyz"])


def test_rows_that_are_refused(either):
    for samples, complaint in [
        (np.tile(UTTERANCES[2], 3), "was exported for at most 3 s"),
        (np.float32([0, np.nan]), "NaN or infinite"),
        (9e3 * UTTERANCES[0], "holds a peak of"),
    ]:
        with pytest.raises(client.RecognitionError, match=complaint):
            either.transcribe(samples)
    for samples in (np.zeros([2, 9], np.float32), np.zeros([9]), np.zeros([0], np.float32)):
        with pytest.raises(client.ClientError, match="`samples`"):
            either.transcribe(samples)


def test_signatures(either, served):
    found = either.signatures()
    assert found.keys() == served.models.versions[1].signatures.keys()
    beam = found["beam"]
    assert beam.inputs["phrases"] == client.TensorSpec(shape=(-1, -1), dtype=np.object_)
    assert beam.inputs["length"] == client.TensorSpec(shape=(-1,), dtype=np.int32)
    assert beam.outputs["scores"].dtype == np.float32


def test_refusals_of_servers(served):
    def code(chosen, name="serving_default", **inputs):
        given = {"pcm": UTTERANCES[0][None]} | inputs
        with pytest.raises(client.ServerError) as refusal:
            chosen.predict(name, given)
        return refusal.value.code

    assert code(served.grpc(version=9)) == "NOT_FOUND"
    assert code(served.rest(version=9)) == "404"
    assert code(served.grpc(label="nobody")) == "INVALID_ARGUMENT"
    assert code(served.grpc(), "nothing") == "FAILED_PRECONDITION"
    assert code(served.rest(), "nothing") == "400"
    assert code(served.grpc(), more=np.zeros([1])) == "INVALID_ARGUMENT"
    assert code(served.grpc(), "first_pass") == "INVALID_ARGUMENT"
    # REST has no defaults.
    assert code(served.rest()) == "400"
    # A default has one row, which a batch of requests cannot take beside two.
    two = {"pcm": np.stack([UTTERANCES[0]] * 2)}
    assert code(served.grpc(label="stable"), **two) == "INVALID_ARGUMENT"
    assert served.grpc(label="canary").predict("serving_default", two)["text"].shape == (2,)
    with pytest.raises(client.ServerError, match="No answer from localhost:1"):
        client.GrpcClient("localhost:1").transcribe(UTTERANCES[0])
    with pytest.raises(client.ServerError, match="No answer from http://localhost:1;"):
        client.RestClient("http://localhost:1").transcribe(UTTERANCES[0])


def test_rows_and_columns(served):
    rest, samples = served.rest(version=2), UTTERANCES[1]
    codes = np.round(32767 * samples).astype(np.int16)
    expected = served.alone(codes / np.float32(32768))
    rows = [{"pcm": codes.tolist(), "length": len(codes)}] * 2
    found = rest.rows("transcribe_pcm16", rows)
    assert [row["text"] for row in found] == [expected] * 2
    # What JSON does not know: hypotheses that there are not.
    given = {"pcm": samples[None], "length": np.int32([len(samples)])}
    given |= {"phrases": np.array([[""]], np.object_), "bonus": np.float32([0.5])}
    scores = rest.predict("beam", given)["scores"]
    np.testing.assert_allclose(scores, served.grpc(version=2).predict("beam", given)["scores"])
    for rows, complaint in [([], "No values"), ([{"pcm": [1]}], "keys must be equal to")]:
        with pytest.raises(client.ServerError, match=complaint):
            rest.rows("transcribe_pcm16", rows)


def test_many_clients_at_once(served):
    """Good and bad requests of three signatures, in the same batches."""
    grpc = served.grpc(label="stable")
    good, texts = UTTERANCES, [served.alone(samples) for samples in UTTERANCES]
    codes = [np.round(32767 * samples).astype(np.int16) for samples in good]
    of_codes = [served.alone(x / np.float32(32768)) for x in codes]
    phrases = [(), ("ab",), ("ab", "c d")]
    single = served.grpc(version=2)
    beams = [single.beam(good[i], phrases[i], 1.0) for i in range(3)]

    def ask(index):
        kind, which = index % 8, index // 8 % 4
        if kind in (0, 1, 2):
            return grpc.transcribe(good[which]).text == texts[which]
        if kind == 3:
            return grpc.transcribe_bytes(wav(codes[which] / 32768)).text == of_codes[which]
        if kind == 4:
            # Without a length: its end is found behind what the server pads it with.
            pcm = {"pcm": good[which][None]}
            return grpc.predict("serving_default", pcm)["text"][0] == texts[which]
        if kind == 5:
            found = grpc.beam(good[which % 3], phrases[which % 3], 1.0)
            return [x.text for x in found] == [x.text for x in beams[which % 3]]
        audio, complaint = [
            (np.full([999], np.nan, np.float32), "NaN"),
            (np.tile(good[2], 3), "at most 3 s"),
            (9e3 * good[which], "peak"),
            (b"RIFF", "`audio_bytes` holds no WAV file"),
        ][(index // 2) % 4]
        send = grpc.transcribe_bytes if isinstance(audio, bytes) else grpc.transcribe
        with pytest.raises(client.RecognitionError, match=complaint):
            send(audio)
        return True

    batchers = served.models.versions[1].batchers
    before = len(batchers["serving_default"].sizes)
    with concurrent.futures.ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(ask, range(64)))
    assert answers == [True] * 64
    assert max(batchers["serving_default"].sizes[before:]) > 1


def test_the_server_has_warmed_up(served):
    signatures = served.models.versions[1].signatures
    assert served.models.versions[1].warmed >= len(signatures)


def test_the_program_for_files(served, tmp_path):
    samples = UTTERANCES[0]
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, samples, 16000)
    expected = served.alone(np.round(32768 * samples).astype(np.int16) / np.float32(32768))
    a, b = tmp_path / "a.wav", tmp_path / "b.wav"
    for address in (served.addresses.grpc, served.addresses.rest):
        assert run(kit.transcribe, address, a).out == f"{expected}\n"
    lines = run(kit.transcribe, served.addresses.grpc, a, b).out.splitlines()
    assert lines == [f"{a}\t{expected}", f"{b}\t{expected}"]
    words = run(kit.transcribe, served.addresses.grpc, "--words", a).out.splitlines()
    assert [line.split("\t")[3] for line in words] == expected.split()
    found = json.loads(run(kit.transcribe, served.addresses.grpc, "--json", a).out)
    assert (found["audio"], found["text"]) == (str(a), expected)
    ranked = run(kit.transcribe, served.addresses.grpc, "--phrase=ab", a).out.splitlines()
    assert len(ranked) > 1
    (tmp_path / "b.wav").write_bytes(b"nothing")
    result = run(kit.transcribe, served.addresses.grpc, b, a)
    assert (result.status, result.out) == (2, f"{a}\t{expected}\n")
    assert str(b) in result.err


@pytest.mark.parametrize(
    ("program", "arguments", "complaint"),
    [
        ("transcribe", [], "the following arguments are required: ADDRESS, FILE"),
        ("transcribe", ["localhost:1", "--timeout=0", "a.wav"], "it must be positive"),
        ("transcribe", ["localhost:1", "--version=1", "--label=x", "a.wav"], "not allowed with"),
        ("transcribe", ["localhost:1", "/nowhere/a.wav"], "/nowhere/a.wav cannot be read"),
        ("stream_client", ["localhost:1"], "Give either FILE or --microphone."),
        ("stream_client", ["localhost:1", "/nowhere/a.wav"], "There is no file /nowhere/a.wav"),
        ("load_client", ["localhost:1", "--clients=0", "a.wav"], "it must be at least 1"),
        ("smoke_test", ["http://localhost:1"], "ADDRESS must be that of gRPC"),
        ("smoke_test", ["localhost:1"], "No answer from localhost:1"),
    ],
)
def test_mistakes_are_told_in_a_sentence(program, arguments, complaint):
    result = run(getattr(kit, program), *arguments)
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert complaint in result.err


def test_load(served, tmp_path):
    soundfile.write(tmp_path / "a.wav", UTTERANCES[0], 16000)
    audio = [(tmp_path / "a.wav").read_bytes(), UTTERANCES[1]]
    assert kit.load_client.audio_seconds(audio[0]) == pytest.approx(len(UTTERANCES[0]) / 16000)
    load = kit.load_client.run_load(served.grpc(), audio, clients=4, seconds=0.5)
    assert not load.errors
    assert len(load.latencies) >= 4
    assert load.audio_seconds > 0
    result = run(
        *(kit.load_client, served.addresses.grpc, "--label=stable", "--seconds=0.2"),
        *("--clients=2", tmp_path / "a.wav"),
    )
    assert result.status == 0
    names = [line.split("\t")[0] for line in result.out.splitlines()]
    assert names == ["requests", "errors", "requests/s", "audio s/s", "p50", "p95", "p99"]


def test_a_program_says_nothing_but_its_sentence():
    """As a process of its own: TensorFlow is started, and not heard."""
    result = subprocess.run(
        [sys.executable, kit.FOLDER / "smoke_test.py", "localhost:1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("No answer from localhost:1 (")
    assert result.stderr.count("\n") == 1


def test_rest_needs_nothing_of_tensorflow():
    program = (
        f"import sys; sys.path.insert(0, {str(kit.FOLDER)!r}); import recognition_client as c\n"
        "c.RestClient('http://localhost:1')\n"
        "print(sorted({'tensorflow', 'grpc', 'int4_conformer'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout == b"[]\n"
