import numpy as np
import pytest
import soundfile

from int4_conformer.data.recordings import decoded, with_noise
from int4_conformer.data.sources.noise import KINDS, noise_utterances
from int4_conformer.data.sources.utterance import Utterance


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    for i in range(30):
        soundfile.write(folder / f"{i}.wav", rng.uniform(-0.3, 0.3, 3200 + 160 * i), 16000)
    return [
        Utterance(audio=str(folder / f"{i}.wav"), text="a", duration=0.2 + 0.01 * i)
        for i in range(30)
    ]


def test_noise_has_the_length_and_the_level_that_it_says(speech):
    drawn = noise_utterances([0.5, 2.0] * len(KINDS), speech, seed=1)
    assert {noise.kind for noise in drawn} == set(KINDS)
    for noise in drawn:
        samples = noise.samples()
        assert samples.dtype == np.float32
        assert samples.shape == (round(noise.duration * 16000),)
        assert np.abs(samples).max() <= 1
        np.testing.assert_array_equal(samples, noise.samples())
        if noise.kind not in ("silence", "clicks"):
            power = 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))
            assert power == pytest.approx(noise.level_db, abs=1.5)
    assert len({n.seed for n in drawn}) == len(drawn)


@pytest.mark.parametrize("kind", ["white", "pink", "brown"])
def test_colours_fall_as_their_names_say(kind):
    (noise,) = [n for n in noise_utterances([60.0] * 4, [], 0) if n.kind == kind]
    spectrum = np.abs(np.fft.rfft(noise.samples())) ** 2
    hertz = np.arange(len(spectrum)) / 60
    octaves = [spectrum[(hertz >= f) & (hertz < 2 * f)].mean() for f in (100, 200, 400, 800, 1600)]
    falls = -np.diff(10 * np.log10(octaves))
    np.testing.assert_allclose(falls, {"white": 0, "pink": 3, "brown": 6}[kind], atol=1.0)


@pytest.mark.parametrize("hold", [True, False])
def test_a_share_of_the_utterances_is_noise(speech, hold):
    recordings = decoded(speech, hold=hold)
    both = with_noise(recordings, 0.25, seed=0)
    assert len(both) == 40
    assert [u.text for u in both] == ["a"] * 30 + [""] * 10
    for place, pcm in enumerate(both.pcm(range(40))):
        assert pcm.size == both.lengths[place]
    again = with_noise(recordings, 0.25, seed=0)
    for one, other in zip(both.pcm(range(40)), again.pcm(range(40)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert with_noise(recordings, 0.0, seed=0) is recordings
