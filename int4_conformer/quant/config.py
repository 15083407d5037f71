"""How one layer is quantized."""

import dataclasses
from typing import Any, Literal, get_args

from int4_conformer.errors import UserError

Activation = Literal["float", "int8", "int8_asymmetric", "int4"]
Backend = Literal["auto", "native", "xla", "exact_float"]
BackwardDtype = Literal["float32", "bfloat16"]


def levels(bits: int) -> int:
    """Largest code of a symmetric grid: 2^(bits-1) - 1, so 7 for 4 bits and 127 for 8.

    Raises:
        UserError: `bits` is no whole number in 2..8.
    """
    if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= 8:
        raise UserError(f"`bits` must be a whole number in 2..8. Received: bits={bits!r}")
    return 2 ** (bits - 1) - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantConfig:
    """How one weight and the activations that meet it are quantized.

    The default is float throughout; the named presets are in `quant.recipe`.
    """

    # Width of the weight codes in bits, 2..8; None keeps the weight in float32.
    weight_bits: int | None = None
    # Scheme of the activations, one scale per row (token) over the contraction axis, taken at run
    # time: "float" (none), "int8" and "int4" (symmetric, max|x|/127 and max|x|/7: the patent),
    # "int8_asymmetric" (256 codes between min and max: what LiteRT's XNNPACK kernels compute).
    activation: Activation = "float"
    # Which kernel multiplies the codes; all give the same int32 accumulators (`quant.matmul`).
    backend: Backend = "auto"
    # Type of the two matmuls of the backward pass; sums are kept in float32.
    backward_dtype: BackwardDtype = "float32"
    # Whether the weight's gradient also flows through its scale max|w|/L into the largest weight
    # of each channel; False takes the scale for a constant, as plain straight-through does.
    scale_gradient: bool = False

    def __post_init__(self) -> None:
        if self.weight_bits is not None:
            levels(self.weight_bits)
        for field, allowed in (
            ("activation", get_args(Activation)),
            ("backend", get_args(Backend)),
            ("backward_dtype", get_args(BackwardDtype)),
        ):
            value = getattr(self, field)
            if value not in allowed:
                raise UserError(
                    f"`{field}` must be one of {', '.join(allowed)}. Received: {field}={value!r}"
                )

    @property
    def is_integer(self) -> bool:
        """Whether the matmul itself runs on integers: weight and activations both quantized."""
        return self.weight_bits is not None and self.activation != "float"

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "QuantConfig":
        """Inverse of `to_config`."""
        return cls(**config)
