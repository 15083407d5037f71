"""Recognisers by name.

    tiny              4 blocks of 96, for tests and small corpora
    conformer_s       16 blocks of 144 (arXiv 2005.08100, table 1)
    conformer_m       16 blocks of 256 (the same)
    conformer_l       17 blocks of 512 (the same)
    streaming_s       conformer_s in chunks of 320 ms, with 2.56 s of left context per block
    cascaded_tiny     2 causal blocks of 96, and 3 on top in chunks of 640 ms
    cascaded_150m     7 causal blocks of 512, and 10 on top in chunks of 960 ms (arXiv 2203.15952,
                      section 3.2)

Odd kernels (31 for 32) are centred on their frame. All have the prediction network and the tied
joint of arXiv 2109.07513 (US20230298569A1, FIG. 3).

`cascaded_150m` has the shape of the production model: its first pass is causal; the second sees on
to the end of a chunk of 24 frames, 920 ms at most, where cascades are given 900 ms (arXiv
2211.15432, section 1). The left contexts are ours. With all layers of width 512 it comes to 111 M
parameters, not 150 M.
"""

import dataclasses

from int4_conformer.errors import UserError, did_you_mean
from int4_conformer.models.model_config import (
    EncoderConfig,
    JointConfig,
    PredictorConfig,
    TransducerConfig,
)
from int4_conformer.quant.spec.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """What a name stands for."""

    encoder: EncoderConfig
    # Of a cascade, the encoder on top.
    second_pass: EncoderConfig | None = None
    # Width of the joint network and of the label embedding.
    joint_dim: int
    # Symbols of the model that it comes from; a size is quoted with these.
    vocab_size: int = 1024


_CONFORMER_S = EncoderConfig(dim=144, blocks=16, heads=4, kernel_size=31)
_TINY = EncoderConfig(dim=96, blocks=4, heads=4, kernel_size=15)
_PRODUCTION = EncoderConfig(dim=512, blocks=7, heads=8, kernel_size=15, chunk=1, left_context=64)

PRESETS = {
    "tiny": Preset(encoder=_TINY, joint_dim=128),
    "conformer_s": Preset(encoder=_CONFORMER_S, joint_dim=320),
    "conformer_m": Preset(
        encoder=EncoderConfig(dim=256, blocks=16, heads=4, kernel_size=31), joint_dim=640
    ),
    "conformer_l": Preset(
        encoder=EncoderConfig(dim=512, blocks=17, heads=8, kernel_size=31), joint_dim=640
    ),
    "streaming_s": Preset(
        encoder=dataclasses.replace(_CONFORMER_S, chunk=8, left_context=64), joint_dim=320
    ),
    "cascaded_tiny": Preset(
        encoder=dataclasses.replace(_TINY, blocks=2, chunk=1, left_context=32),
        second_pass=dataclasses.replace(_TINY, blocks=3, chunk=16, left_context=32),
        joint_dim=128,
    ),
    "cascaded_150m": Preset(
        encoder=_PRODUCTION,
        second_pass=dataclasses.replace(_PRODUCTION, blocks=10, chunk=24),
        joint_dim=640,
        vocab_size=4096,
    ),
}


def preset(
    name: str,
    *,
    vocab_size: int | None = None,
    recipe: Recipe | str = "w4a8",
    tied: bool = True,
) -> TransducerConfig:
    """The recogniser of a name; see the module's docstring.

    Args:
        name: one of `PRESETS`.
        vocab_size: output symbols, the blank included; None: as the preset's source.
        recipe: quantization recipe or a preset recipe's name.
        tied: whether the output projection is the transposed label embedding.

    Raises:
        UserError: there is no such preset.
    """
    if name not in PRESETS:
        meant = did_you_mean(name, PRESETS)
        raise UserError(f"Unknown preset {name!r}{meant}; choose one of {', '.join(PRESETS)}.")
    sizes = PRESETS[name]
    return TransducerConfig(
        name=name,
        vocab_size=sizes.vocab_size if vocab_size is None else vocab_size,
        encoder=sizes.encoder,
        second_pass=sizes.second_pass,
        predictor=PredictorConfig(embedding_dim=sizes.joint_dim),
        joint=JointConfig(dim=sizes.joint_dim, tied=tied),
        recipe=Recipe.preset(recipe) if isinstance(recipe, str) else recipe,
    )
