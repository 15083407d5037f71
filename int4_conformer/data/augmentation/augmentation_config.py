"""What is done to recordings before training hears them."""

import dataclasses

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.errors import UserError, require_in, require_not_negative
from int4_conformer.fields import setting

SYNTHESISED = "synthetic"
CODECS = ("telephone", "mulaw", "vorbis", "opus", "mp3")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Settings of augmentation; all is off by default.

    Example:

        >>> config = AugmentationConfig(speed_perturbation="0.9,1.0,1.1")
        >>> config.slowest, config.fastest
        (0.9, 1.1)
        >>> config.speeds(np.random.default_rng(0), 3)
        array([1.1, 1. , 1. ])
    """

    speed_perturbation: str = setting(
        "",
        "Speeds that recordings are played at, drawn anew each epoch: some with commas between "
        "them, such as 0.9,1.0,1.1, or all of a range, such as 0.9..1.1. Pitch goes with it.",
    )
    pause_seconds: float = setting(
        0.0,
        "Up to this many seconds of the recording's own silence before and behind it, together, "
        "drawn anew each epoch: microphones are on before anyone speaks.",
    )
    pause_probability: float = setting(0.5, "Share of the recordings that get such pauses.")
    volume_db: float = setting(
        0.0, "Recordings are made louder or softer by up to this many dB, without clipping."
    )
    noise: str = setting(
        "",
        "Noise that is mixed into recordings: a folder of audio files, or `synthetic` for noise of "
        "several colours that is made here.",
    )
    noise_probability: float = setting(0.5, "Share of the recordings that get such noise.")
    noise_snr: str = setting("5..30", "Range of the ratio of speech to noise, in dB.")
    rooms: str = setting(
        "",
        "Rooms that recordings are played in: a folder of impulse responses, or `synthetic` for "
        "echoes that die away exponentially.",
    )
    room_probability: float = setting(0.3, "Share of the recordings that are played in a room.")
    room_seconds: str = setting(
        "0.1..0.8", "Range of the time in which a synthetic room's echo falls by 60 dB, in seconds."
    )
    codecs: str = setting(
        "",
        "Codecs that recordings are sent through, with commas between them: telephone (300 to "
        "3400 Hz, G.711), mulaw (8 bits), vorbis, opus, mp3; or `all`.",
    )
    codec_probability: float = setting(0.3, "Share of the recordings that go through a codec.")
    low_pass_probability: float = setting(
        0.0, "Share of the recordings whose treble is cut, from somewhere between 2 and 7 kHz on."
    )
    clipping_probability: float = setting(
        0.0, "Share of the recordings that are clipped, as if played 3 to 15 dB too loud."
    )

    def __post_init__(self) -> None:
        if self.speed_perturbation:
            require_in("[0.5, 2]", speed_perturbation=self.slowest)
            require_in("[0.5, 2]", speed_perturbation=self.fastest)
        require_in("[0, 30]", pause_seconds=self.pause_seconds)
        require_not_negative(volume_db=self.volume_db)
        require_in(
            "[0, 1]",
            pause_probability=self.pause_probability,
            noise_probability=self.noise_probability,
            room_probability=self.room_probability,
            codec_probability=self.codec_probability,
            low_pass_probability=self.low_pass_probability,
            clipping_probability=self.clipping_probability,
        )
        range_of("noise_snr", self.noise_snr)
        require_in("[0.01, 5]", room_seconds=self.room_range[0])
        require_in("[0.01, 5]", room_seconds=self.room_range[1])
        unknown = set(self.codec_names) - set(CODECS)
        if unknown:
            raise UserError(
                f"`codecs` must be of {', '.join(CODECS)}, or `all`. Received: "
                f"codecs={self.codecs!r}"
            )

    @property
    def slowest(self) -> float:
        """The least speed; 1 if speeds are left alone."""
        return min(self._speeds)

    @property
    def fastest(self) -> float:
        """The highest speed; 1 if speeds are left alone."""
        return max(self._speeds)

    def speeds(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draws as many speeds, float64 [count]."""
        if ".." in self.speed_perturbation:
            return rng.uniform(*self._speeds, count)
        return rng.choice(np.array(self._speeds), count)

    def pauses(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draws pauses before and behind as many recordings, int64 [count, 2], in samples."""
        most = int(self.pause_seconds * SAMPLE_RATE)
        both = rng.integers(most, size=count, endpoint=True)
        both *= rng.random(count) < self.pause_probability
        before = (both * rng.random(count)).astype(np.int64)
        return np.stack([before, both - before], axis=1)

    @property
    def snr_range(self) -> tuple[float, float]:
        """Of the noise, in dB."""
        return range_of("noise_snr", self.noise_snr)

    @property
    def room_range(self) -> tuple[float, float]:
        """Of the synthetic rooms' echoes, in seconds."""
        return range_of("room_seconds", self.room_seconds)

    @property
    def codec_names(self) -> tuple[str, ...]:
        """Of those to draw from."""
        if self.codecs == "all":
            return CODECS
        return tuple(name.strip() for name in self.codecs.split(",") if name.strip())

    @property
    def changes_samples(self) -> bool:
        """Whether anything but the speed and pauses is on."""
        return bool(
            self.volume_db
            or (self.noise and self.noise_probability)
            or (self.rooms and self.room_probability)
            or (self.codecs and self.codec_probability)
            or self.low_pass_probability
            or self.clipping_probability
        )

    @property
    def _speeds(self) -> tuple[float, ...]:
        given = self.speed_perturbation
        if not given:
            return (1.0,)
        if ".." in given:
            return range_of("speed_perturbation", given)
        return _numbers("speed_perturbation", given, given.split(","))


def range_of(name: str, given: str) -> tuple[float, float]:
    """The ends of a range such as "5..30".

    Raises:
        UserError: it is none.

    Example:

        >>> range_of("noise_snr", "-5..20")
        (-5.0, 20.0)
    """
    ends = _numbers(name, given, given.split(".."))
    if len(ends) != 2 or ends[0] > ends[1]:
        raise UserError(
            f"`{name}` must be a range such as 5..30, the lower end first. Received: "
            f"{name}={given!r}"
        )
    return ends


def _numbers(name: str, given: str, parts: list[str]) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in parts)
    except ValueError as error:
        raise UserError(f"`{name}` must hold numbers. Received: {name}={given!r}") from error
