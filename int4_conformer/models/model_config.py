"""Sizes of the recogniser's parts."""

import dataclasses
import math
from typing import Any, Literal, get_args

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import UserError
from int4_conformer.quant.spec.recipe import Recipe

# Audio that a stream waits for, unless it is told otherwise.
SEGMENT_SECONDS = 0.32

EncoderKind = Literal["conformer", "transformer", "lstm"]
Subsampling = Literal["stack", "convolution"]
PredictorKind = Literal["averaged", "lookup", "lstm", "transformer", "conformer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of an encoder, and what its frames see."""

    # What its blocks are made of.
    kind: EncoderKind = "conformer"
    # Width of the residual stream; a multiple of 2 * heads.
    dim: int
    # Number of blocks.
    blocks: int
    # Attention heads per block. An LSTM has none.
    heads: int = 1
    # Frames under the depthwise kernel of a Conformer block.
    kernel_size: int = 1
    # Hidden width of a feed-forward module, or units of an LSTM, in units of `dim`.
    expansion: int = 4
    # Dropout rate of every module.
    dropout: float = 0.1
    # Frames that see each other, from the start of the utterance: 1 is causal, n gives right
    # context to the end of the chunk, None the whole utterance (`layers.frames`).
    chunk: int | None = None
    # Frames before its chunk that attention sees; None: all of them, and no streaming. An LSTM
    # remembers what it does.
    left_context: int | None = None
    # Lower blocks of a Conformer without attention.
    convolution_blocks: int = 0
    # Blocks after which two neighbouring frames become one; None: they never do.
    reduce_after: int | None = None
    # How feature frames become encoder frames: stacked and projected, or by strided convolutions.
    subsampling: Subsampling = "stack"

    def __post_init__(self) -> None:
        for field, allowed in (
            ("kind", get_args(EncoderKind)),
            ("subsampling", get_args(Subsampling)),
        ):
            if getattr(self, field) not in allowed:
                raise UserError(
                    f"`{field}` must be one of {', '.join(allowed)}. "
                    f"Received: {field}={getattr(self, field)!r}"
                )
        if self.kind != "lstm" and self.dim % (2 * self.heads):
            raise UserError(
                "`dim` must be a multiple of 2 * heads (relative positions take sines and "
                f"cosines). Received: dim={self.dim}, heads={self.heads}"
            )
        if self.convolution_blocks and self.kind != "conformer":
            raise UserError(
                "Only a Conformer has blocks without attention. Received: "
                f"kind={self.kind!r}, convolution_blocks={self.convolution_blocks}"
            )
        if self.reduce_after is not None:
            if not 0 < self.reduce_after < self.blocks:
                raise UserError(
                    "`reduce_after` must leave blocks on both sides. Received: "
                    f"reduce_after={self.reduce_after}, blocks={self.blocks}"
                )
            if ((self.chunk or 2) % 2 and self.chunk != 1) or (self.left_context or 0) % 2:
                raise UserError(
                    "With `reduce_after`, a chunk above 1 and the left context must be even. "
                    f"Received: chunk={self.chunk}, left_context={self.left_context}"
                )

    @property
    def reduction(self) -> int:
        """Frames that go in for one that comes out."""
        return 1 if self.reduce_after is None else 2

    @property
    def is_streamable(self) -> bool:
        """Whether there is an end to what a frame sees."""
        return self.chunk is not None and (self.left_context is not None or self.kind == "lstm")

    @property
    def segment(self) -> int | None:
        """A stream's segments are multiples of so many frames; None if there is no streaming."""
        return None if self.chunk is None else math.lcm(self.chunk, self.reduction)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Sizes of a prediction network."""

    # What stands between the label embedding and the output (`models.predictors`).
    kind: PredictorKind = "averaged"
    # Width of the label embedding.
    embedding_dim: int
    # Averaged: N, the previous labels that it sees. Transformer and Conformer: labels before the
    # last that attention sees in each block.
    context: int = 2
    # Averaged: H, the position vectors per previous label; 1 is the form without averaging.
    # Transformer and Conformer: attention heads per block.
    heads: int = 4
    # Averaged: whether the position vectors train, or stay as they were drawn.
    train_positions: bool = True
    # LSTM: layers; Transformer and Conformer: blocks, of width `embedding_dim`.
    layers: int = 2
    # LSTM: width of a layer's memory.
    units: int = 2048
    # LSTM: width that a layer's outputs are projected to.
    projection: int = 640
    # Conformer: labels under the depthwise kernel, the last one included.
    kernel_size: int = 3
    # Transformer and Conformer: dropout rate of every module.
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in get_args(PredictorKind):
            raise UserError(
                f"`kind` must be one of {', '.join(get_args(PredictorKind))}. "
                f"Received: kind={self.kind!r}"
            )
        for field in (
            "embedding_dim",
            "context",
            "heads",
            "layers",
            "units",
            "projection",
            "kernel_size",
        ):
            if getattr(self, field) < 1:
                raise UserError(
                    f"`{field}` must be at least 1. Received: {field}={getattr(self, field)}"
                )
        if self.kind in ("transformer", "conformer"):
            # It checks what it is given.
            _ = self.encoder

    @property
    def encoder(self) -> EncoderConfig:
        """Of a Transformer or Conformer."""
        return EncoderConfig(
            kind=self.kind,
            dim=self.embedding_dim,
            blocks=self.layers,
            heads=self.heads,
            kernel_size=self.kernel_size,
            dropout=self.dropout,
            chunk=1,
            left_context=self.context,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointConfig:
    """Sizes of the joint network."""

    # Width in which encoder and prediction network meet.
    dim: int
    # Whether the output projection is the transposed label embedding.
    tied: bool = True


# Fields of earlier versions, which saved configs hold.
_OLD_FIELDS = {"max_symbols": "max_symbols_per_frame"}


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
    # Encoder on top of the first, for a second pass; None: there is one pass.
    second_pass: EncoderConfig | None = None
    # Whether both passes have the same prediction and joint network. Else the second has its own.
    shared_decoder: bool = True
    # How each layer is quantized.
    recipe: Recipe = dataclasses.field(default_factory=lambda: Recipe.preset("w4a8"))
    # Whether each encoder has a CTC head, which only training uses and no export has.
    ctc: bool = False
    # Most labels that a search emits in one encoder frame.
    max_symbols_per_frame: int = 4

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

        if self.second_pass is not None:
            self._require_second_pass(self.second_pass)

    def _require_second_pass(self, second: EncoderConfig) -> None:
        if second.subsampling != "stack" or second.reduction != 1:
            raise UserError(
                "A second pass is given the frames of the first one by one: it needs "
                "subsampling='stack' and no `reduce_after`. Received: "
                f"subsampling={second.subsampling!r}, reduce_after={second.reduce_after}"
            )
        if self.shared_decoder and second.dim != self.encoder.dim:
            raise UserError(
                "Passes with one decoder need encoders of the same `dim`. Received: "
                f"{self.encoder.dim} and {second.dim}"
            )

    @property
    def encoders(self) -> tuple[EncoderConfig, ...]:
        """Of each pass."""
        return (self.encoder,) if self.second_pass is None else (self.encoder, self.second_pass)

    @property
    def frame_samples(self) -> int:
        """Samples of one frame that leaves the encoder."""
        return self.front_end.block * self.encoder.reduction

    @property
    def block_samples(self) -> int:
        """Utterances are padded to multiples of so many samples: whole chunks of every pass."""
        first = self.encoder.segment or self.encoder.reduction
        second = 1 if self.second_pass is None else self.second_pass.segment or 1
        return self.front_end.block * math.lcm(first, self.encoder.reduction * second)

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self) | {"recipe": self.recipe.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TransducerConfig":
        """Inverse of `to_config`; configs of earlier versions are read, too."""
        config = {_OLD_FIELDS.get(name, name): value for name, value in config.items()}
        return cls(
            **config
            | {
                "encoder": EncoderConfig(**config["encoder"]),
                "second_pass": config.get("second_pass") and EncoderConfig(**config["second_pass"]),
                "predictor": PredictorConfig(**config["predictor"]),
                "joint": JointConfig(**config["joint"]),
                "front_end": FrontEndConfig(**config["front_end"]),
                "recipe": Recipe.from_config(config["recipe"]),
            }
        )
