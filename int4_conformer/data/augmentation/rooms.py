"""Speech as a room gives it back."""

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.augmentation.filters import convolved
from int4_conformer.data.augmentation.levels import limited, power

# A response is cut off here: beyond, echoes are far softer than speech.
_MOST_SECONDS = 1.5
# Of the direct sound to all echoes, in dB: near a microphone to across the room.
_DIRECT_DB = (-3.0, 12.0)
# Seconds in which the first echo comes: ways of 1 to 5 m.
_FIRST_ECHO = (0.003, 0.015)


def in_room(speech: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Speech in a room, as loud as before unless it would clip.

    The direct sound, the largest of a response, stays where it is in time, so that words do.

    Args:
        speech: float32 [samples].
        response: float32 [taps], of the room to an impulse.

    Returns:
        float32 [samples] in [-1, 1]; the speech as it is if the response is silent.
    """
    if not power(response) or not power(speech):
        return speech
    response = response[int(np.argmax(np.abs(response))) :][: int(_MOST_SECONDS * SAMPLE_RATE)]
    heard = convolved(speech, response)
    return limited(heard * np.float32(np.sqrt(power(speech) / max(power(heard), 1e-12))))


def synthetic_response(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """The response of a room whose echoes die away exponentially; float32 [taps].

    Gaussian noise whose power falls by 60 dB in `seconds`, behind the direct sound.

    Args:
        seconds: the room's reverberation time.
        rng: gives the noise, and how loud it is.
    """
    count = min(max(2, round(seconds * SAMPLE_RATE)), int(_MOST_SECONDS * SAMPLE_RATE))
    times = np.arange(count) / SAMPLE_RATE
    echoes = rng.standard_normal(count) * 10 ** (-3.0 * times / seconds)
    echoes[: min(count - 1, int(rng.uniform(*_FIRST_ECHO) * SAMPLE_RATE))] = 0.0
    echoes *= np.sqrt(10 ** (-rng.uniform(*_DIRECT_DB) / 10) / max(np.sum(echoes**2), 1e-12))
    # However loud the echoes are together, the direct sound is the largest.
    echoes = np.clip(echoes, -0.99, 0.99)
    echoes[0] = 1.0
    return echoes.astype(np.float32)
