"""How training hears its corpus."""

import dataclasses
from typing import Literal, get_args

from int4_conformer.data.augmentation.augmentation_config import AugmentationConfig
from int4_conformer.data.service.wire import address_of
from int4_conformer.errors import require_one_of
from int4_conformer.fields import setting

Cache = Literal["auto", "memory", "disk", "none"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputConfig(AugmentationConfig):
    """Settings of an input pipeline, those of augmentation among them."""

    cache: Cache = setting(
        "auto",
        "Where decoded audio is kept: `memory`; `disk`, from the first time on that it is drawn "
        "and for further runs; `none`, decoded whenever it is drawn; `auto`, in memory if it takes "
        "less than a fifth of it, else on disk. A prepared corpus is read where it lies.",
    )
    cache_folder: str = setting(
        "",
        "Folder of what is kept on disk; if not given, int4_conformer/audio in the user's cache.",
    )
    data_service: str = setting(
        "",
        "HOST:PORT of a dispatcher (`int4-conformer data_worker --serve`) whose workers make the "
        "batches; they see the corpus at the same path. Batches are the same.",
    )
    seed: int = setting(0, "Seed of weights, order, augmentation and masks.")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of(get_args(Cache), cache=self.cache)
        if self.data_service:
            address_of(self.data_service, "data_service")
