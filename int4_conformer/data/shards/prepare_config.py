"""How a corpus is prepared."""

import dataclasses
from typing import Literal

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.errors import UserError, require_at_least, require_one_of, require_positive
from int4_conformer.fields import setting

AudioEncoding = Literal["flac", "pcm"]

# Of FLAC against PCM, for speech, by which shards are cut; see benchmarks/RESULTS.md.
_FLAC_SHARE = 0.5
_BYTES_PER_SAMPLE = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Settings of `int4-conformer prepare`; each is a flag."""

    encoding: AudioEncoding = setting(
        "flac", "What audio is kept as: flac, or pcm, a WAV file of 16 bits. Both are lossless."
    )
    sample_rate: int = setting(SAMPLE_RATE, "Hz that audio is resampled to; training hears 16000.")
    shards: int = setting(0, "Shards of each split; 0: as many as --shard_megabytes makes them.")
    shard_megabytes: float = setting(25.0, "About how large a shard is, if --shards is not given.")

    def __post_init__(self) -> None:
        require_one_of(("flac", "pcm"), encoding=self.encoding)
        require_at_least(0, shards=self.shards)
        require_positive(shard_megabytes=self.shard_megabytes)
        if not 1000 <= self.sample_rate <= 192_000:
            raise UserError(
                "`sample_rate` must be from 1000 to 192000 Hz. Received: "
                f"sample_rate={self.sample_rate}"
            )

    def shard_count(self, utterances: int, seconds: float) -> int:
        """How many shards a split makes, of which none is empty.

        Args:
            utterances: of the split.
            seconds: of audio in it.
        """
        count = self.shards
        if not count:
            share = _FLAC_SHARE if self.encoding == "flac" else 1.0
            size = seconds * self.sample_rate * _BYTES_PER_SAMPLE * share
            count = round(size / (self.shard_megabytes * 1e6))
        return min(max(1, count), utterances)
