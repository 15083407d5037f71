"""How training hears its corpus."""

import dataclasses

from int4_conformer.fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputConfig:
    """Settings of an input pipeline."""

    seed: int = setting(0, "Seed of weights, order and masks.")
