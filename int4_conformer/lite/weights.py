"""Trained integers on their way into a file."""

import dataclasses

import numpy as np


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
    # float32 [out].
    scale: np.ndarray = dataclasses.field(repr=False)
    # Width of the codes.
    bits: int
    # Successive inputs that share a scale; None where all of an output do.
    block: int | None = None
    # Scheme of the activations that meet the weight (`QuantConfig.activation`).
    activation: str

    @property
    def storage_bits(self) -> int:
        """Bits of the TFLite type: INT4 for up to 4, else INT8."""
        return 4 if self.bits <= 4 else 8

    @property
    def integer_kernel(self) -> bool:
        """Whether the runtime multiplies integers; otherwise it dequantizes the weight first.

        LiteRT quantizes activations to 8 bits and to nothing else.
        """
        return self.activation in ("int8", "int8_asymmetric")

    def dequantized(self) -> np.ndarray:
        """float32 [out, in]."""
        return self.codes.astype(np.float32) * self.scale[:, None]

    def equals(self, other: "DeployedWeight") -> bool:
        """Whether one can stand for the other in a file, whatever their names."""
        return (
            (self.bits, self.activation) == (other.bits, other.activation)
            and np.array_equal(self.codes, other.codes)
            and np.array_equal(self.scale, other.scale)
        )
