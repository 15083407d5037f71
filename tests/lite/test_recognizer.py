import concurrent.futures

import numpy as np
import pytest

from int4_conformer import interface
from int4_conformer.audio import audio_files
from int4_conformer.errors import UserError
from int4_conformer.lite import model_input
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.recognizer_file import RecognizerFile
from tests.support import tflite_models


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer())
    return path


@pytest.fixture(scope="module")
def recognizer(path):
    return Recognizer(path)


def test_properties(recognizer):
    assert recognizer.sample_rate == 16000
    assert recognizer.vocabulary == tflite_models.VOCABULARY
    assert recognizer.metadata == tflite_models.facts()


@pytest.mark.parametrize("table_rows", [8, 20000], ids=["inline", "external"])
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_tokens_of_utterances_of_many_lengths(tmp_path, table_rows, delegate):
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer(delegate=delegate, table_rows=table_rows))
    recognizer = Recognizer(path)
    for utterance in [[1], [3, 0, 2, 2], [0, 0], [1, 2], [2, 1], [3] * 50, [1]]:
        tokens = recognizer.tokens(tflite_models.pcm(utterance))
        assert tokens.dtype == np.int32
        assert tokens.tolist() == [token for token in utterance if token]


def test_transcribe(recognizer):
    assert recognizer.transcribe(tflite_models.pcm([1, 2, 0, 3, 2])) == "ab cb"
    assert recognizer.transcribe(tflite_models.pcm([0, 0])) == ""


def test_words_have_times_and_confidence(recognizer):
    found = recognizer.recognize(tflite_models.pcm([1, 2, 0, 3, 2]))
    assert found.text == "ab cb"
    first, second = found.words
    assert (first.text, second.text) == ("ab", "cb")
    assert (first.start, first.end) == (0.0, pytest.approx(0.08))
    assert (second.start, second.end) == pytest.approx((0.12, 0.2))
    assert 0.9 < min(first.confidence, second.confidence) <= 1
    assert recognizer.recognize(tflite_models.pcm([0, 0])).words == ()


@pytest.mark.parametrize("rate", [8000, 48000])
def test_times_are_those_of_what_was_given(recognizer, rate):
    # The last block is padded; its word ends with the utterance.
    samples = audio_files.resample(tflite_models.pcm([0, 1, 3])[:-100], 16000, rate)
    first, second = recognizer.recognize(samples, rate).words
    assert (first.start, first.end) == pytest.approx((0.04, 0.08))
    assert second.end == pytest.approx(len(samples) / rate)


def test_a_file_of_before_tokens_had_frames_still_transcribes(tmp_path):
    path = tmp_path / "old.tflite"
    path.write_bytes(tflite_models.recognizer(timed=False))
    recognizer = Recognizer(path)
    assert recognizer.transcribe(tflite_models.pcm([1, 2])) == "ab"
    with pytest.raises(UserError, match="exported before words had times; export the model again"):
        recognizer.recognize(tflite_models.pcm([1, 2]))


def test_the_last_block_is_padded_with_silence(recognizer):
    # The cut leaves the second block just one sample of its second quarter.
    samples = np.abs(tflite_models.pcm([1, 1]))[: 640 + 160 + 1]
    samples[samples < 0.01] = 0
    assert recognizer.tokens(samples).tolist() == [1, 1]
    assert recognizer.tokens(samples[:-1]).tolist() == [1]
    assert recognizer.tokens(samples[160:161]).tolist() == []


def test_int16_sounds_as_its_float32(recognizer):
    samples = tflite_models.pcm([1, 3, 2])
    pcm16 = (samples * 32767).astype(np.int16)
    assert recognizer.tokens(pcm16).tolist() == [1, 3, 2]
    np.testing.assert_array_equal(
        model_input.mono(np.array([-32768, 16384], np.int16)), np.float32([-1.0, 0.5])
    )


def test_channels_are_averaged(recognizer):
    quiet, loud = tflite_models.pcm([1, 1], 0.1), tflite_models.pcm([2, 3], 0.6)
    assert recognizer.tokens(np.stack([quiet, loud], axis=1)).tolist() == [2, 3]


def test_channels_that_cancel_each_other_are_not_mixed(recognizer):
    samples = tflite_models.pcm([1, 3])
    # Its pulses are of one sign, and would be an offset without the silence between them.
    stereo = np.stack([0.5 * samples, -samples], axis=1)
    with pytest.warns(UserWarning, match="`samples` has channels that cancel each other"):
        pcm = model_input.mono(stereo)
    np.testing.assert_array_equal(pcm, -samples)


def test_overshoot_is_clipped():
    pcm = model_input.mono(np.float32([1.5, -1.01, 0.25]))
    np.testing.assert_array_equal(pcm, np.float32([1, -1, 0.25]))


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_other_rates_are_resampled(recognizer, rate):
    samples = tflite_models.pcm([1, 3, 2, 1])
    resampled = audio_files.resample(samples, 16000, rate)
    assert recognizer.tokens(resampled, rate).tolist() == [1, 3, 2, 1]


def test_a_model_of_another_rate(tmp_path):
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer(sample_rate=8000))
    recognizer = Recognizer(path)
    samples = tflite_models.pcm([1, 3, 2, 1])
    assert recognizer.tokens(samples, 8000).tolist() == [1, 3, 2, 1]
    assert recognizer.tokens(audio_files.resample(samples, 8000, 16000)).tolist() == [1, 3, 2, 1]


def test_threads_may_share_a_recogniser(recognizer):
    utterances = [[1] * (1 + n % 7) + [2, 3] for n in range(60)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        tokens = pool.map(
            lambda ids: recognizer.tokens(tflite_models.pcm(ids)).tolist(), utterances
        )
        assert list(tokens) == utterances


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(640), 16000, "must be float32 in .* or int16. Received: float64; make"),
        (np.zeros(640, np.uint8), 16000, "Received: uint8"),
        (np.zeros([1, 640, 1], np.float32), 16000, r"Received: shape \[1, 640, 1\]"),
        (np.zeros([2, 640], np.float32), 16000, r"at most 8 channels. Received: shape \[2, 640\]"),
        (np.float32(1), 16000, r"Received: shape \[\]"),
        (np.zeros(0, np.float32), 16000, r"holds no sample. Received: shape \[0\]"),
        (np.zeros([640, 0], np.int16), 16000, "holds no sample"),
        (np.float32([0, np.nan]), 16000, "NaN or infinite"),
        (np.float32([0, -np.inf]), 16000, "NaN or infinite"),
        (
            np.float32([0, -12000]),
            16000,
            "a peak of 12000, and float samples must be in .-1, 1.; divide",
        ),
        (np.zeros(640, np.float32), 0, "must be positive, a number of Hz. Received: sample_rate=0"),
        (np.zeros(640, np.float32), "16000", "a number of Hz. Received: sample_rate='16000'"),
        (bytes(640), 16000, r"Received: bytes; make samples of 16-bit PCM with numpy.frombuffer"),
    ],
)
def test_refused_samples(recognizer, samples, rate, message):
    with pytest.raises(UserError, match=message):
        recognizer.tokens(samples, rate)


def test_refused_models(tmp_path, path):
    with pytest.raises(
        UserError, match=r"`num_threads` must be at least 1. Received: num_threads=0"
    ):
        Recognizer(path, num_threads=0)
    with pytest.raises(UserError, match=r"absent\.tflite cannot be read"):
        Recognizer(tmp_path / "absent.tflite")
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(tflite_models.float_model())
    with pytest.raises(UserError, match=r"foreign\.tflite is a TFLite model but not"):
        Recognizer(foreign)
    truncated = tmp_path / "truncated.tflite"
    truncated.write_bytes(tflite_models.recognizer()[:-1])
    with pytest.raises(UserError, match=r"truncated\.tflite is"):
        Recognizer(truncated)


@pytest.mark.parametrize(("delegate", "delegated"), [("xnnpack", True), ("none", False)])
def test_the_kernels_are_those_of_training(tmp_path, delegate, delegated):
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer(delegate=delegate))
    file = RecognizerFile(path)
    file.run(interface.SERVING_DEFAULT)(pcm=tflite_models.pcm([1]))
    operators = {details["op_name"] for details in file._interpreter._get_ops_details()}
    assert ("DELEGATE" in operators) == delegated


def test_whole_utterances_are_cut_out_of_what_is_heard(path):
    recognizer = Recognizer(path, gated=False)
    assert not recognizer.hears_streams
    audio = np.concatenate([tflite_models.pcm([1, 2, 3] * 8), np.zeros(32000, np.float32)])
    said = list(recognizer.listen(np.array_split(audio, 8)))
    ended = [(result.text, result.endpoint) for result in said if result.endpoint]
    assert ended == [(" ".join(["ab c"] * 8), "after_words"), ("", "without_words")]
    with pytest.raises(UserError, match="exported before it had other searches"):
        recognizer.listen([], phrases=["ab"])
