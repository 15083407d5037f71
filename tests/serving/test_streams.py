import numpy as np
import pytest
import soundfile

from tests.serving import kit
from tests.support import tiny

Stream = kit.stream_client.Stream
SAMPLES = tiny.speech(60, seed=5)[: 640 * 60 - 333]


@pytest.mark.parametrize("size", [101, 4000, 10**6])
def test_a_stream_says_what_the_whole_does(served, size):
    if size == 101:
        samples = SAMPLES[:9999]
    else:
        samples = SAMPLES
    stream, found = Stream(served.grpc(label="canary")), []
    for start in range(0, len(samples), size):
        found.append(stream.feed(samples[start : start + size]))
    last = stream.finish()
    assert last.text == last.final == served.alone(samples) != ""
    assert last == stream.finish()
    for before, after in zip(found, [*found[1:], last], strict=True):
        assert after.final.startswith(before.final)
        assert before.text.startswith(before.final)
    with pytest.raises(kit.recognition_client.ClientError, match="utterance has ended"):
        stream.feed(samples)


def test_the_first_pass_is_shown_before_the_second(served):
    stream = Stream(served.grpc(label="canary"))
    found = [stream.feed(part) for part in np.array_split(SAMPLES, 30)]
    assert any(len(result.text) > len(result.final) for result in found)


def test_integer_samples_and_rest(served):
    codes = np.round(32767 * SAMPLES[:20000]).astype(np.int16)
    stream = Stream(served.rest(label="canary"))
    stream.feed(codes)
    stream.feed(codes[:0])
    assert stream.finish().text == served.alone(codes / np.float32(32768))


def test_the_program(served, tmp_path):
    path = tmp_path / "a.wav"
    codes = np.round(32767 * SAMPLES).astype(np.int16)
    soundfile.write(path, codes, 16000, subtype="PCM_16")
    result = kit.run(kit.stream_client, served.addresses.grpc, "--version=2", path)
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    assert lines[-1] == served.alone(codes / np.float32(32768))
    assert len(lines) > 2


def test_without_a_microphone(served):
    pytest.importorskip("grpc")
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError):
        result = kit.run(kit.stream_client, served.addresses.grpc, "--microphone")
        assert (result.status, result.err.count("\n")) == (2, 1)
        assert "sounddevice" in result.err or "PortAudio" in result.err
