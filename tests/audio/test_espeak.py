import concurrent.futures
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from int4_conformer.audio.synthesis.espeak import ACCENTS, CLEAR_VARIANTS, Voice, synthesize
from int4_conformer.errors import UserError

pytest.importorskip("espeakng_loader")


def test_speaks_at_16_khz():
    samples = synthesize("turn on the kitchen light", Voice())
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert 1.0 < samples.size / 16000 < 1.6
    assert 0.1 < np.abs(samples).max() <= 1


@pytest.mark.parametrize("variant", ["m3", "f2", "klatt4", "grandpa"])
def test_repeats_exactly_whatever_was_said_before(variant):
    voice = Voice(variant=variant)
    first = synthesize("one two three", voice)
    synthesize("something else entirely", Voice(variant="f5"))
    np.testing.assert_array_equal(synthesize("one two three", voice), first)


def test_repeats_exactly_in_another_process():
    program = (
        "import sys; from int4_conformer.audio.synthesis.espeak import *;"
        "sys.stdout.buffer.write(synthesize('one two', Voice(variant='f2')).tobytes())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    here = synthesize("one two", Voice(variant="f2")).tobytes()
    assert hashlib.sha256(other).digest() == hashlib.sha256(here).digest()


def test_threads_do_not_disturb_each_other():
    voices = [Voice(variant=variant) for variant in ("m1", "f1", "steph", "max")] * 4
    alone = [synthesize("five six", voice) for voice in voices[:4]] * 4
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda voice: synthesize("five six", voice), voices))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_variants_are_sorted():
    variants = CLEAR_VARIANTS
    assert variants == tuple(sorted(set(variants)))
    assert len(variants) >= 40


def test_variants_are_distinct_voices_that_repeat_and_do_not_clip():
    def speak_all():
        return [synthesize("call home", Voice(variant=variant)) for variant in CLEAR_VARIANTS]

    spoken = speak_all()
    assert len({samples.tobytes() for samples in spoken}) == len(spoken)
    assert all(0.05 < np.abs(samples).max() < 1 for samples in spoken)
    for one, other in zip(spoken, speak_all(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_accents_differ():
    spoken = {synthesize("not after dark", Voice(accent=accent)).tobytes() for accent in ACCENTS}
    assert len(spoken) == len(ACCENTS)


def test_a_higher_rate_is_shorter():
    slow, fast = (synthesize("good morning", Voice(rate=rate)).size for rate in (120, 240))
    assert fast < 0.7 * slow


def test_a_higher_pitch_has_a_higher_fundamental():
    def fundamental(pitch):
        samples = synthesize("oh", Voice(pitch=pitch))
        middle = samples[samples.size // 4 :][:2048]
        correlation = np.correlate(middle, middle, "full")[2047:]
        return 16000 / (40 + np.argmax(correlation[40:250]))

    assert fundamental(80) > 1.15 * fundamental(20)


@pytest.mark.parametrize("text", ["", "   ", "\0"])
def test_refuses_a_text_without_words(text):
    with pytest.raises(UserError, match="Nothing in the text"):
        synthesize(text, Voice())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "nobody"}, "Received: variant='nobody'"),
        ({"accent": "fr"}, "Received: accent='fr'"),
        ({"pitch": 100}, "Received: pitch=100"),
        ({"rate": 79}, "Received: rate=79"),
    ],
)
def test_a_voice_names_what_it_refuses(arguments, message):
    with pytest.raises(UserError, match=message):
        Voice(**arguments)
