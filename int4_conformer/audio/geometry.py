"""Geometry of the features, apart from the features so that it is known without TensorFlow."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from int4_conformer.errors import UserError, require_at_least
from int4_conformer.fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEndConfig:
    """Geometry of the features, and what is done before."""

    sample_rate: int = setting(16000, "Samples per second.")
    mel_bins: int = setting(80, "Mel bands between 20 Hz and half the sample rate.")
    window: int = setting(400, "Samples of a window; more than 2 hops and at most 3.")
    hop: int = setting(160, "Samples from one window to the next.")
    stack: int = setting(4, "Feature frames that are stacked into one encoder frame.")
    remove_dc_offset: bool = setting(
        True, "Whether each window has its mean taken away: microphones add a constant voltage."
    )

    def __post_init__(self) -> None:
        require_at_least(
            1,
            sample_rate=self.sample_rate,
            mel_bins=self.mel_bins,
            hop=self.hop,
            stack=self.stack,
        )
        if not 2 * self.hop < self.window <= 3 * self.hop:
            raise UserError(
                "`window` must be longer than 2 hops and at most 3. "
                f"Received: window={self.window}, hop={self.hop}"
            )
        if not isinstance(self.remove_dc_offset, bool):
            raise UserError(
                "`remove_dc_offset` must be true or false. "
                f"Received: remove_dc_offset={self.remove_dc_offset!r}"
            )

    @property
    def block(self) -> int:
        """Samples of one encoder frame."""
        return self.hop * self.stack

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "FrontEndConfig":
        """Of the fields as JSON values; configs of before an offset was removed keep it."""
        return cls(**{"remove_dc_offset": False} | dict(config))
