"""Geometry of the features, apart from the features so that it is known without TensorFlow."""

import dataclasses

from int4_conformer.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEndConfig:
    """Geometry of the features."""

    # Samples per second.
    sample_rate: int = 16000
    # Mel bands between 20 Hz and half the sample rate.
    mel_bins: int = 80
    # Window and hop in samples; the window is longer than 2 hops and at most 3.
    window: int = 400
    hop: int = 160
    # Frames that are stacked into one encoder frame.
    stack: int = 4

    def __post_init__(self) -> None:
        if not 2 * self.hop < self.window <= 3 * self.hop:
            raise UserError(
                "`window` must be longer than 2 hops and at most 3. "
                f"Received: window={self.window}, hop={self.hop}"
            )

    @property
    def block(self) -> int:
        """Samples of one encoder frame."""
        return self.hop * self.stack
