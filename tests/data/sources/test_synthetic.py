import itertools

import numpy as np
import pytest

from int4_conformer.audio.audio_files import resample
from int4_conformer.audio.synthesis.espeak import CLEAR_VARIANTS, DISTORTED_VARIANTS, synthesize
from int4_conformer.data.sources.synthetic import COMMANDS, DIGITS, VARIANTS, synthetic_corpus
from int4_conformer.errors import UserError
from int4_conformer.text.normalize import normalize

pytest.importorskip("espeakng_loader")


def test_no_speaker_is_in_two_splits():
    for one, other in itertools.combinations(VARIANTS.values(), 2):
        assert not set(one) & set(other)
    assert sorted(itertools.chain(*VARIANTS.values())) == sorted(
        CLEAR_VARIANTS + DISTORTED_VARIANTS
    )
    for split, variants in VARIANTS.items():
        corpus = synthetic_corpus(split, 300)
        assert {u.speaker for u in corpus} <= set(variants)
        assert {u.split for u in corpus} == {split}
        assert len({u.speaker for u in corpus}) > 0.9 * len(variants)


def test_texts_are_digits_and_commands():
    assert 40 <= len(COMMANDS) == len(set(COMMANDS)) <= 60
    texts = [u.text for u in synthetic_corpus("train", 400)]
    assert all(text == normalize(text) for text in texts)
    digits = [text.split() for text in texts if text not in COMMANDS]
    assert 0.4 < len(digits) / len(texts) < 0.6
    assert {len(words) for words in digits} == {1, 2, 3, 4, 5}
    assert set(itertools.chain(*digits)) == set(DIGITS)
    assert len(set(texts) & set(COMMANDS)) > 0.9 * len(COMMANDS)


def test_a_corpus_repeats_and_a_smaller_one_begins_it():
    corpus = synthetic_corpus("train", 20)
    assert corpus == synthetic_corpus("train", 20)
    assert corpus[:5] == synthetic_corpus("train", 5)
    assert corpus != synthetic_corpus("train", 20, seed=1)
    assert [u.text for u in corpus] != [u.text for u in synthetic_corpus("dev", 20)]


def test_the_waveform_repeats():
    (one,), (other,) = synthetic_corpus("train", 1), synthetic_corpus("train", 1)
    samples = one.samples()
    np.testing.assert_array_equal(samples, other.samples())
    np.testing.assert_array_equal(samples, one.samples())
    assert samples.dtype == np.float32
    assert one.duration == samples.size / 16000
    assert one.samples(8000).size == pytest.approx(samples.size / 2, abs=1)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_noise_and_level_are_as_drawn(split):
    for utterance in synthetic_corpus(split, 8):
        speech = synthesize(utterance.text, utterance.voice) * 10 ** (utterance.gain_db / 20)
        speech = resample(speech, round(16000 * utterance.speed), 16000)
        samples = utterance.samples()
        assert np.abs(samples).max() < 1
        lead = np.argmax(np.correlate(samples, speech, "valid"))
        noise = samples.copy()
        noise[lead : lead + speech.size] -= speech
        snr = 10 * np.log10(np.mean(speech**2) / np.mean(noise**2))
        assert snr == pytest.approx(utterance.snr_db, abs=0.5)
        assert utterance.snr_db >= {"train": 15, "dev": 25, "test": 25}[split]


def test_only_training_changes_the_speed():
    speeds = {
        split: [utterance.speed for utterance in synthetic_corpus(split, 200)]
        for split in ("train", "dev", "test")
    }
    assert set(speeds["dev"] + speeds["test"]) == {1.0}
    assert min(speeds["train"]) < 0.9 < 1.1 < max(speeds["train"])


def test_refuses_other_splits():
    with pytest.raises(UserError, match="no split 'all'; it has 'dev', 'test', 'train'"):
        synthetic_corpus("all", 1)
