"""Trained integers on their way into a file."""

import dataclasses

import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.quant.spec.quant_config import storage_bits


@dataclasses.dataclass(frozen=True, kw_only=True)
class StaticRange:
    """Scales and zero points of a matmul's int8 input and output, fixed before it runs.

    On either side, value = (code - zero_point) * scale.

    Raises:
        UserError: a scale is no positive float32, or a zero point no int8.
    """

    # Taken as float32.
    input_scale: float
    # -128..127.
    input_zero_point: int
    output_scale: float
    output_zero_point: int

    def __post_init__(self) -> None:
        float32 = np.finfo(np.float32)
        for field in ("input_scale", "output_scale"):
            scale = getattr(self, field)
            if not float(float32.tiny) <= scale <= float(float32.max):
                raise UserError(f"`{field}` must be a positive float32. Received: {scale}")
        for field in ("input_zero_point", "output_zero_point"):
            zero_point = getattr(self, field)
            if zero_point not in range(-128, 128):
                raise UserError(f"`{field}` must be in -128..127. Received: {zero_point}")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DeployedWeight:
    """A quantized weight as TFLite stores it: output channels first.

    `dequantized()` is the float weight that the float model holds; its bits identify the weight
    among that model's constants.
    """

    # Path of the variable, such as "encoder/block_0/ffn_start/up/kernel".
    name: str
    # int8 [out, in] in -L..L.
    codes: np.ndarray = dataclasses.field(repr=False)
    # float32 [out], or [out, in / block].
    scale: np.ndarray = dataclasses.field(repr=False)
    # Width of the codes.
    bits: int
    # Scheme of the activations that meet the weight: `QuantConfig.activation`, or "int8_static".
    activation: str
    # Neighbouring codes of a row that share a scale; None where the whole row does.
    block: int | None = None
    # Set where, and only where, `activation` is "int8_static".
    static: StaticRange | None = None
    # float32 [out]: the bias from which a static matmul's sums start, for `verify` to compare; None
    # where there is none, or where it is not known.
    bias: np.ndarray | None = dataclasses.field(default=None, repr=False)

    @property
    def storage_bits(self) -> int:
        """Bits of the TFLite type: INT2 for 2, INT4 for up to 4 and for blocks, else INT8."""
        return storage_bits(self.bits, self.block)

    @property
    def integer_kernel(self) -> bool:
        """Whether the runtime multiplies integers; otherwise it dequantizes the weight first.

        LiteRT quantizes activations to 8 bits and to nothing else.
        """
        return self.activation in ("int8_asymmetric", "int8_symmetric", "int8_static")

    @property
    def accumulator_scale(self) -> np.ndarray:
        """float32 [out]: what one step of a static matmul's int32 sums stands for."""
        return np.float32(self.static.input_scale) * self.scale

    def bias_codes(self, bias: np.ndarray) -> np.ndarray:
        """A bias in steps of `accumulator_scale`, the quotient in float32 rounded half to even.

        Args:
            bias: float32 [out].

        Returns:
            int32 [out].

        Raises:
            UserError: sums with the bias could leave the int32 range.
        """
        steps = np.rint(bias / self.accumulator_scale)
        largest_products = 255 * np.abs(self.codes).sum(axis=1, dtype=np.int64)
        fits = np.abs(steps) + largest_products < 2**31
        if not fits.all():
            channel = np.argmin(fits)
            raise UserError(
                f"The bias {bias[channel]} of {self.name}, channel {channel}, is {steps[channel]} "
                "steps of its accumulator, which holds 32 bits; widen the channel's weights or "
                "take dynamic activations."
            )
        return steps.astype(np.int32)

    def dequantized(self) -> np.ndarray:
        """float32 [out, in]."""
        scale = self.scale[:, None] if self.block is None else self.scale.repeat(self.block, axis=1)
        return self.codes.astype(np.float32) * scale

    def equals(self, other: "DeployedWeight") -> bool:
        """Whether one can stand for the other in a file, whatever their names."""
        return (
            (self.bits, self.activation, self.block, self.static)
            == (other.bits, other.activation, other.block, other.static)
            and np.array_equal(self.codes, other.codes)
            and np.array_equal(self.scale, other.scale)
        )
