import numpy as np
import pytest

from int4_conformer.cli.evaluation_page import calibration, calibration_error, level_range
from int4_conformer.lite.words import Word


def words(**confidences):
    return [Word(text=text, start=0, end=0, confidence=x) for text, x in confidences.items()]


def test_calibration():
    heard = [words(Ab=0.97, d=0.3, c=0.99), words(f=0.96), []]
    found = calibration(["ab b c", "e", "g"], heard)
    assert [row[:3] for row in found] == [(0.0, 0.5, 1), (0.95, 0.99, 2), (0.99, 1.0, 1)]
    assert [row[3] for row in found] == [0.0, 0.5, 1.0]
    assert [row[4] for row in found] == pytest.approx([0.3, 0.965, 0.99])
    # A certain word is in the last range.
    assert calibration(["a"], [words(a=1.0)])[0][:2] == (0.99, 1.0)
    assert calibration([], []) == []


def test_calibration_of_what_counts_as_several_words():
    heard = [words(**{"a-b": 0.6, "...": 0.6, "c-d": 0.6, "e": 0.6})]
    assert calibration(["a b c x e"], heard) == [(0.5, 0.7, 3, 2 / 3, pytest.approx(0.6))]
    by_characters = calibration(["今 天 好"], [words(今天=0.6, 不好=0.6)], " ".join)
    assert by_characters == [(0.5, 0.7, 2, 0.5, pytest.approx(0.6))]


def test_calibration_error():
    # Three of four words right at 0.9, none of one at 0.4.
    found = [(0.0, 0.5, 1, 0.0, 0.4), (0.9, 0.95, 4, 0.75, 0.9)]
    assert calibration_error(found) == pytest.approx((1 * 0.4 + 4 * 0.15) / 5)
    assert calibration_error([]) == 0


@pytest.mark.parametrize("noise", [0, 3, 300])
def test_noise_makes_levels_alike(noise):
    rng = np.random.default_rng(0)
    pcm = rng.normal(scale=noise, size=16000)
    pcm[4000:12000] += rng.normal(scale=3000, size=8000)
    expected = 20 * np.log10(3000 / np.hypot(noise, 1))
    pcm = np.round(pcm).astype(np.int16)
    assert level_range(pcm) == pytest.approx(expected, abs=1.5)
    assert level_range(pcm[:100]) >= 0
