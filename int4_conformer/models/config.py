"""Sizes of the recogniser's parts, and the named presets."""

import dataclasses
from typing import Any

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import UserError
from int4_conformer.quant.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of a Conformer encoder."""

    # Width of the residual stream; a multiple of 2 * heads.
    dim: int
    # Number of Conformer blocks.
    blocks: int
    # Attention heads per block.
    heads: int
    # Frames under the depthwise kernel.
    kernel_size: int
    # Hidden width of a feed-forward module, in units of `dim`.
    expansion: int = 4
    # Dropout rate of every module.
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads):
            raise UserError(
                "`dim` must be a multiple of 2 * heads (relative positions take sines and "
                f"cosines). Received: dim={self.dim}, heads={self.heads}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Sizes of the averaged multi-head embedding prediction network."""

    # Width of the label embedding.
    embedding_dim: int
    # N, the previous labels that it sees.
    context: int = 2
    # H, the position vectors per previous label.
    heads: int = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointConfig:
    """Sizes of the joint network."""

    # Width in which encoder and prediction network meet.
    dim: int
    # Whether the output projection is the transposed label embedding.
    tied: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransducerConfig:
    """A whole recogniser."""

    # What reports call it.
    name: str
    # Output symbols, the blank (id 0) included.
    vocab_size: int
    encoder: EncoderConfig
    predictor: PredictorConfig
    joint: JointConfig
    front_end: FrontEndConfig = dataclasses.field(default_factory=FrontEndConfig)
    # How each layer is quantized.
    recipe: Recipe = dataclasses.field(default_factory=lambda: Recipe.preset("w4a8"))
    # Most labels that greedy search emits in one encoder frame.
    max_symbols: int = 4

    def __post_init__(self) -> None:
        if self.vocab_size < 2:
            raise UserError(
                "`vocab_size` must count the blank and at least one symbol. "
                f"Received: vocab_size={self.vocab_size}"
            )
        if self.joint.tied and self.joint.dim != self.predictor.embedding_dim:
            raise UserError(
                "A tied output projection needs `joint.dim` equal to `predictor.embedding_dim`. "
                f"Received: {self.joint.dim} and {self.predictor.embedding_dim}"
            )

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self) | {"recipe": self.recipe.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TransducerConfig":
        """Inverse of `to_config`."""
        return cls(
            **config
            | {
                "encoder": EncoderConfig(**config["encoder"]),
                "predictor": PredictorConfig(**config["predictor"]),
                "joint": JointConfig(**config["joint"]),
                "front_end": FrontEndConfig(**config["front_end"]),
                "recipe": Recipe.from_config(config["recipe"]),
            }
        )


# Encoder sizes of Conformer S, M and L: arXiv 2005.08100, table 1. An odd kernel (31 for 32)
# centres on its frame. Prediction network and tied joint: arXiv 2109.07513.
_PRESETS = {
    "tiny": (EncoderConfig(dim=96, blocks=4, heads=4, kernel_size=15), 128),
    "conformer_s": (EncoderConfig(dim=144, blocks=16, heads=4, kernel_size=31), 320),
    "conformer_m": (EncoderConfig(dim=256, blocks=16, heads=4, kernel_size=31), 640),
    "conformer_l": (EncoderConfig(dim=512, blocks=17, heads=8, kernel_size=31), 640),
}


def preset(
    name: str, *, vocab_size: int, recipe: Recipe | str = "w4a8", tied: bool = True
) -> TransducerConfig:
    """A named size: `tiny` (1 M parameters), `conformer_s` (10 M), `conformer_m` (30 M),
    `conformer_l` (118 M).

    Args:
        name: one of the above.
        vocab_size: output symbols, the blank included.
        recipe: quantization recipe or a preset recipe's name.
        tied: whether the output projection is the transposed label embedding.

    Raises:
        UserError: there is no such preset.
    """
    if name not in _PRESETS:
        raise UserError(f"Unknown preset {name!r}; choose one of {', '.join(_PRESETS)}.")
    encoder, joint_dim = _PRESETS[name]
    return TransducerConfig(
        name=name,
        vocab_size=vocab_size,
        encoder=encoder,
        predictor=PredictorConfig(embedding_dim=joint_dim),
        joint=JointConfig(dim=joint_dim, tied=tied),
        recipe=Recipe.preset(recipe) if isinstance(recipe, str) else recipe,
    )
