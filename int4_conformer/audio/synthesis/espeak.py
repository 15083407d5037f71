"""English speech from espeak-ng, in process: a voice, a text, a waveform.

The library comes from the package `espeakng-loader`; no program is started and no file written.
It gives data to train and test on anywhere, not a substitute for recorded speech.
"""

import _ctypes
import contextlib
import ctypes
import dataclasses
import sys
import threading
from collections.abc import Iterator
from types import ModuleType

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE, resample
from int4_conformer.errors import UserError, require_in, require_one_of

# espeak-ng ships about a hundred voice variants. These are the clear, human ones. Left out beside
# the distorted ones below are: robots and monsters (robosoft*, UniRobot, anikaRobot, Demonic,
# kaukovalta, Storm, Tweaky, zac), overdriven voicing (antonio, iven*), a voice that never sounds
# the same twice (Reed), and twins that share another variant's formants, which would put one voice
# on both sides of a split (Diogo: Henrique, Hugo, michel, miguel; Gene: Gene2; Andy: AnxiousAndy;
# john: "Mr serious"; adam: klatt6; edward: edward2, klatt5; belinda: linda; steph: steph2, steph3;
# Mike: mike2; RicishayMax2: RicishayMax3; klatt2: klatt, klatt3).
CLEAR_VARIANTS = (
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Jacky", "Lee"),
    *("Marco", "Mario", "Michael", "Mike", "Nguyen", "adam", "anika", "aunty"),
    *("belinda", "benjamin", "boris", "david", "ed", "edward", "f1", "f2", "f3", "f4", "f5"),
    *("grandma", "grandpa", "gustave", "ian", "john", "klatt4", "m1", "m2", "m3", "m4", "m5"),
    *("m6", "m7", "m8", "marcelo", "max", "norbert", "pablo", "paul", "pedro", "quincy", "rob"),
    *("robert", "sandro", "shelby", "steph", "travis", "victor"),
)

# Whispers, creaks, echoing halls and a noisy synthesiser: hard to recognise, good to learn from.
DISTORTED_VARIANTS = (
    *("RicishayMax", "RicishayMax2", "announcer", "caleb", "croak", "klatt2"),
    *("whisper", "whisperf"),
)

# No voice is in two splits. Every fifth clear one is for testing, every tenth for development;
# training meets the distorted ones too.
VARIANTS = {
    "train": tuple(
        variant
        for variant in CLEAR_VARIANTS + DISTORTED_VARIANTS
        if variant not in CLEAR_VARIANTS[2::10] + CLEAR_VARIANTS[::5]
    ),
    "dev": CLEAR_VARIANTS[2::10],
    "test": CLEAR_VARIANTS[::5],
}

# Each accent's voice file: espeak-ng selects voices by file or full name, not by language code.
_ACCENT_FILES = {
    "en-gb": "gmw/en",
    "en-gb-rp": "gmw/en-GB-x-rp",
    "en-gb-scotland": "gmw/en-GB-scotland",
    "en-us": "gmw/en-US",
}
ACCENTS = tuple(_ACCENT_FILES)

# Constants of espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _VOLUME, _PITCH = 1, 2, 3
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1

# Percent of espeak's full volume: at 100 some variants clip.
_HEADROOM = 50

_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

# espeak-ng keeps its whole state in global variables.
_lock = threading.Lock()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voice:
    """Who speaks, and how."""

    # One of `CLEAR_VARIANTS` or `DISTORTED_VARIANTS`: the speaker's timbre.
    variant: str = "m3"
    # One of `ACCENTS`.
    accent: str = "en-us"
    # 0..99; 50 is the variant's own pitch.
    pitch: int = 50
    # Words per minute, 80..450.
    rate: int = 175

    def __post_init__(self) -> None:
        require_one_of(CLEAR_VARIANTS + DISTORTED_VARIANTS, variant=self.variant)
        require_one_of(ACCENTS, accent=self.accent)
        require_in("[0, 99]", pitch=self.pitch)
        require_in("[80, 450]", rate=self.rate)


def synthesize(text: str, voice: Voice) -> np.ndarray:
    """Speaks an English text; the same text and voice give the same samples in any process.

    Returns:
      float32 `[samples]` at 16 kHz in [-1, 1].

    Raises:
      UserError: nothing in the text can be spoken, or espeakng-loader is not installed.
    """
    with _lock, _fresh_library() as library:
        samples, rate = _speak(library, text, voice)
    if not samples.any():
        raise UserError(f"Nothing in the text {text!r} can be spoken; give it some words.")
    return resample(samples, rate, SAMPLE_RATE)


def _speak(library: ctypes.CDLL, text: str, voice: Voice) -> tuple[np.ndarray, int]:
    chunks: list[bytes] = []

    # The library calls back from inside espeak_Synth; the local name keeps the thunk alive.
    @_SynthCallback
    def collect(wave: int | None, count: int, events: int | None) -> int:
        if wave and count > 0:
            chunks.append(ctypes.string_at(wave, 2 * count))
        return 0

    data_path = _loader().get_data_path().encode()
    rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data_path, _DONT_EXIT)
    if rate <= 0:
        raise RuntimeError(f"espeak-ng could not read its data at {data_path.decode()}")
    library.espeak_SetSynthCallback(collect)
    name = f"{_ACCENT_FILES[voice.accent]}+{voice.variant}"
    _check(library.espeak_SetVoiceByName(name.encode()), f"select the voice {name}")
    for parameter, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_VOLUME, _HEADROOM)):
        _check(library.espeak_SetParameter(parameter, value, 0), f"set parameter {parameter}")
    # Otherwise breath and roughness draw from a generator seeded by the clock.
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    # A NUL would end the text early.
    encoded = ctypes.create_string_buffer(text.replace("\0", " ").encode())
    status = library.espeak_Synth(
        encoded,
        ctypes.c_size_t(len(encoded)),
        0,
        _POSITION_CHARACTER,
        0,
        _CHARS_UTF8,
        None,
        None,
    )
    _check(status, "synthesize")
    samples = np.frombuffer(b"".join(chunks), np.int16).astype(np.float32) / 32768
    return samples, rate


@contextlib.contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    """A copy of espeak-ng with its first state, unloaded afterwards.

    The phase of the pitch flutter lives in a static variable that even espeak_Terminate keeps, so
    that in one loaded library each utterance depends on those before it. A new copy costs about
    3 ms, most of it espeak-ng's listing of its voices.
    """
    library = ctypes.CDLL(_loader().get_library_path())
    try:
        yield library
    finally:
        library.espeak_Terminate()
        _unload(library._handle)


def _unload(handle: int) -> None:
    # ctypes loads libraries but publishes no way to unload one.
    unload = _ctypes.FreeLibrary if sys.platform == "win32" else _ctypes.dlclose
    unload(handle)


def _loader() -> ModuleType:
    try:
        import espeakng_loader
    except ImportError as error:
        raise UserError(
            "Speech synthesis needs the package espeakng-loader; pip install espeakng-loader."
        ) from error
    return espeakng_loader


def _check(status: int, action: str) -> None:
    if status != 0:
        raise RuntimeError(f"espeak-ng could not {action}: error {status}")
