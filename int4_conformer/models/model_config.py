"""Sizes of the recogniser's parts."""

import dataclasses
import math
from typing import Any, Literal, get_args

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import (
    UserError,
    require_at_least,
    require_finite,
    require_in,
    require_one_of,
)
from int4_conformer.fields import required, setting
from int4_conformer.quant.spec.recipe import Recipe

# Audio that a stream waits for, unless it is told otherwise.
SEGMENT_SECONDS = 0.32
# Longest utterance that a server recognises as a whole: memory grows with its square where frames
# see without limit.
MAX_SECONDS = 60.0

EncoderKind = Literal["conformer", "transformer", "lstm"]
Subsampling = Literal["stack", "convolution"]
PredictorKind = Literal["averaged", "lookup", "lstm", "transformer", "conformer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of an encoder, and what its frames see."""

    kind: EncoderKind = setting(
        "conformer", "What its blocks are made of: `conformer`, `transformer` or `lstm`."
    )
    dim: int = required("Width of the residual stream; a multiple of 2 * `heads`.")
    blocks: int = required("Number of blocks.")
    heads: int = setting(1, "Attention heads per block. An LSTM has none.")
    kernel_size: int = setting(1, "Frames under the depthwise kernel of a Conformer block.")
    expansion: int = setting(
        4, "Hidden width of a feed-forward module, or units of an LSTM, in units of `dim`."
    )
    dropout: float = setting(0.1, "Dropout rate of every module.")
    stochastic_depth: float = setting(
        0.0,
        "Part of the utterances that training leaves the last block out of; of blocks before it "
        "fewer, in proportion to their number (arXiv 1603.09382).",
    )
    chunk: int | None = setting(
        None,
        "Frames that see each other, from the start of the utterance: 1 is causal, n gives right "
        "context to the end of the chunk, `None` the whole utterance.",
    )
    left_context: int | None = setting(
        None,
        "Frames before its chunk that attention sees in each block; `None`: all of them, and no "
        "streaming. An LSTM remembers what it does.",
    )
    convolution_blocks: int = setting(0, "Lower blocks of a Conformer without attention.")
    reduce_after: int | None = setting(
        None, "Blocks after which two neighbouring frames become one; `None`: they never do."
    )
    subsampling: Subsampling = setting(
        "stack",
        "How feature frames become encoder frames: `stack`, stacked and projected, or "
        "`convolution`, by strided convolutions.",
    )

    def __post_init__(self) -> None:
        require_one_of(get_args(EncoderKind), kind=self.kind)
        require_one_of(get_args(Subsampling), subsampling=self.subsampling)
        require_in("[0, 1)", stochastic_depth=self.stochastic_depth)
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

    kind: PredictorKind = setting(
        "averaged", "What stands between the label embedding and the output."
    )
    embedding_dim: int = required("Width of the label embedding.")
    context: int = setting(
        2,
        "`averaged`: N, the previous labels that it sees. `transformer` and `conformer`: labels "
        "before the last that attention sees in each block.",
    )
    heads: int = setting(
        4,
        "`averaged`: H, the position vectors per previous label; 1 is the form without averaging. "
        "`transformer` and `conformer`: attention heads per block.",
    )
    train_positions: bool = setting(
        True, "`averaged`: whether the position vectors train, or stay as they were drawn."
    )
    layers: int = setting(
        2,
        "`lstm`: layers; `transformer` and `conformer`: blocks, of width `embedding_dim`.",
    )
    units: int = setting(2048, "`lstm`: width of a layer's memory.")
    projection: int = setting(640, "`lstm`: width that a layer's outputs are projected to.")
    kernel_size: int = setting(
        3, "`conformer`: labels under the depthwise kernel, the last one included."
    )
    dropout: float = setting(0.1, "`transformer` and `conformer`: dropout rate of every module.")

    def __post_init__(self) -> None:
        require_one_of(get_args(PredictorKind), kind=self.kind)
        require_at_least(
            1,
            embedding_dim=self.embedding_dim,
            context=self.context,
            heads=self.heads,
            layers=self.layers,
            units=self.units,
            projection=self.projection,
            kernel_size=self.kernel_size,
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

    dim: int = required("Width in which encoder and prediction network meet.")
    tied: bool = setting(True, "Whether the output layer is the label embedding, transposed.")


# Fields of earlier versions, which saved configs hold.
_OLD_FIELDS = {"max_symbols": "max_symbols_per_frame"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransducerConfig:
    """A whole recogniser."""

    name: str = required("What reports call it.")
    vocab_size: int = required("Output symbols, the blank (id 0) included.")
    encoder: EncoderConfig = required("Of the first pass.")
    predictor: PredictorConfig = required("Sizes of the prediction network.")
    joint: JointConfig = required("Sizes of the joint network.")
    front_end: FrontEndConfig = setting(FrontEndConfig(), "Geometry of the features.")
    second_pass: EncoderConfig | None = setting(
        None, "Encoder on top of the first, for a second pass; `None`: there is one pass."
    )
    shared_decoder: bool = setting(
        True,
        "Whether both passes have the same prediction and joint network. Else the second has its "
        "own.",
    )
    recipe: Recipe = setting(Recipe.preset("w4a8"), "How each layer is quantized.")
    ctc: bool = setting(
        False, "Whether each encoder has a CTC head, which only training uses and no export has."
    )
    max_symbols_per_frame: int = setting(4, "Most labels that a search emits in one encoder frame.")
    blank_penalty: float = setting(
        0.0,
        "What searches take off the blank's logit, in nats: with more, fewer words are left out "
        "and more are made up. The loss knows nothing of it.",
    )

    def __post_init__(self) -> None:
        if self.vocab_size < 2:
            raise UserError(
                "`vocab_size` must count the blank and at least one symbol. "
                f"Received: vocab_size={self.vocab_size}"
            )
        require_finite(blank_penalty=self.blank_penalty)
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
                "front_end": FrontEndConfig.from_config(config["front_end"]),
                "recipe": Recipe.from_config(config["recipe"]),
            }
        )
