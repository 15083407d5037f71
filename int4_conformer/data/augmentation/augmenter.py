"""All of augmentation, in the order in which sound meets it."""

import numpy as np

from int4_conformer.data.augmentation.augmentation_config import SYNTHESISED, AugmentationConfig
from int4_conformer.data.augmentation.codecs import require_codec, through_codec
from int4_conformer.data.augmentation.filters import low_passed
from int4_conformer.data.augmentation.levels import clipped, played_at, with_volume
from int4_conformer.data.augmentation.noise_mixing import mixed, synthetic_noise
from int4_conformer.data.augmentation.pauses import with_pauses
from int4_conformer.data.augmentation.rooms import in_room, synthetic_response
from int4_conformer.data.augmentation.sound_folder import SoundFolder


class Augmenter:
    """Makes of a recording what training hears.

    Another speed, pauses before and behind, a room, noise beside the speech, a microphone that
    clips or hears no treble, a codec, and how loud it is played.

    Args:
        config: what of that is on.
        seed: of all draws.

    Raises:
        UserError: a folder holds no sound, or a codec is not there.

    Example:

        >>> augmenter = Augmenter(AugmentationConfig(noise="synthetic", volume_db=6.0), seed=0)
        >>> speech = np.sin(np.arange(16000) / 20).astype(np.float32)
        >>> heard = augmenter(speech, speed=0.9, batch=7, row=3)
        >>> heard.size, np.array_equal(heard, augmenter(speech, speed=0.9, batch=7, row=3))
        (17778, True)
    """

    def __init__(self, config: AugmentationConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._noise = self._rooms = None
        if config.noise and config.noise != SYNTHESISED:
            self._noise = SoundFolder(config.noise, "noise")
        if config.rooms and config.rooms != SYNTHESISED:
            self._rooms = SoundFolder(config.rooms, "rooms")
        for name in config.codec_names:
            require_codec(name)

    def __call__(
        self,
        samples: np.ndarray,
        *,
        speed: float,
        pauses: tuple[int, int] = (0, 0),
        batch: int,
        row: int,
    ) -> np.ndarray:
        """The samples as they are heard in a row of a batch.

        Args:
            samples: float32 [samples] in [-1, 1].
            speed: that they are played at.
            pauses: samples of those before and behind them.
            batch: its number.
            row: of the whole batch.

        Returns:
            float32 [round(samples / speed) + pauses] in [-1, 1]; the same whenever it is asked for.

        Raises:
            UserError: a sound of a folder cannot be decoded.
        """
        samples = played_at(samples, speed)
        config = self._config

        def draws(effect: int, probability: float) -> np.random.Generator | None:
            # Each has draws of its own, which are the same whatever else is on.
            rng = np.random.default_rng([self._seed, batch, row, effect])
            return rng if rng.random() < probability else None

        if any(pauses) and (rng := draws(7, 1.0)):
            samples = with_pauses(samples, *pauses, rng)
        if not config.changes_samples:
            return samples
        if config.rooms and (rng := draws(1, config.room_probability)):
            samples = in_room(samples, self._response(rng))
        if config.noise and (rng := draws(2, config.noise_probability)):
            snr_db = rng.uniform(*config.snr_range)
            samples = mixed(samples, self._noise_of(samples.size, rng), snr_db)
        if rng := draws(3, config.clipping_probability):
            samples = clipped(samples, rng)
        if rng := draws(4, config.low_pass_probability):
            samples = low_passed(samples, rng)
        if config.codecs and (rng := draws(5, config.codec_probability)):
            samples = through_codec(samples, str(rng.choice(config.codec_names)), rng)
        if config.volume_db and (rng := draws(6, 1.0)):
            samples = with_volume(samples, config.volume_db, rng)
        # Filters overshoot.
        return np.clip(samples, -1.0, 1.0)

    def _response(self, rng: np.random.Generator) -> np.ndarray:
        if self._rooms is not None:
            return self._rooms.whole(rng)
        return synthetic_response(rng.uniform(*self._config.room_range), rng)

    def _noise_of(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if self._noise is not None:
            return self._noise.stretch(count, rng)
        return synthetic_noise(count, rng)
