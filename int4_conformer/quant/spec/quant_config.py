"""How one layer is quantized."""

import dataclasses
import re
from typing import Any, Literal, get_args

from int4_conformer.errors import UserError, require_in, require_not_negative, require_one_of
from int4_conformer.fields import setting

Granularity = Literal["channel", "tensor", "block32", "block64", "block128"]
Activation = Literal["float", "int8_asymmetric", "int8_symmetric", "int4_symmetric", "int8_static"]
Backend = Literal["auto", "native", "xla", "exact_float", "onednn"]
BackwardDtype = Literal["float32", "bfloat16"]

_GRANULARITY_NAMES = {
    "channel": "c",
    "tensor": "t",
    "block32": "b32",
    "block64": "b64",
    "block128": "b128",
}
_ACTIVATION_NAMES = {
    "int8_asymmetric": "a8d",
    "int8_symmetric": "a8dsym",
    "int4_symmetric": "a4dsym",
    "int8_static": "a8static",
}
# Names of earlier versions: read wherever a name or a config is, and written nowhere.
_OLD_ACTIVATIONS = {"int8": "int8_symmetric", "int4": "int4_symmetric"}
_OLD_ACTIVATION_NAMES = {"a8ds": "int8_symmetric", "a4d": "int4_symmetric", "a8s": "int8_static"}


def renamed_activation(name: str | None) -> str | None:
    """Today's name of a scheme of activations that a config of an earlier version may hold."""
    return _OLD_ACTIVATIONS.get(name, name)


def levels(bits: int) -> int:
    """Largest code of a symmetric grid: 2^(bits-1) - 1, so 7 for 4 bits and 127 for 8.

    Raises:
        UserError: `bits` is no whole number in 2..8.
    """
    if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= 8:
        raise UserError(f"`bits` must be a whole number in 2..8. Received: bits={bits!r}")
    return 2 ** (bits - 1) - 1


def storage_bits(bits: int, block: int | None = None) -> int:
    """Bits of the type that holds weight codes in a `.tflite` file: 2, 4 or 8 (INT2, INT4, INT8).

    Rows of codes fill whole bytes of it, perhaps with zeros after their last: LiteRT's XNNPACK
    multiplies no others.

    Args:
        bits: width of the codes.
        block: inputs that share a scale; LiteRT multiplies blocks in INT4 alone.
    """
    if bits <= 2 and block is None:
        return 2
    return 4 if bits <= 4 else 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantConfig:
    """How one weight and the activations that meet it are quantized.

    The default is float throughout. `from_name` reads the short form of a scheme:

        name        = "float" | weights | activations | weights "_" activations
        weights     = "w" bits granularity      bits 2..8; "c" per channel, "t" per tensor,
                                                "b32" "b64" "b128" per block of inputs
        activations = "a8d"                     8 bits, dynamic, asymmetric
                    | "a8dsym" | "a4dsym"       8 or 4 bits, dynamic, symmetric
                    | "a8static"                8 bits, static

    as in `w4c_a8d`, `w4b32_a8d`, `w8c_a8static`, `w4t`.
    """

    weight_bits: int | None = setting(
        None, "Width of the weight codes in bits, 2 to 8; `None` keeps the weight in float32."
    )
    granularity: Granularity = setting(
        "channel",
        "What shares a weight's scale: `channel` is all inputs of an output, `tensor` the whole "
        "weight, `block32` (`64`, `128`) that many successive inputs of an output.",
    )
    activation: Activation = setting(
        "float",
        "Scheme of the activations. At run time, one scale per row (token) over the contraction "
        "axis: `int8_asymmetric` (256 codes between min and max: what LiteRT's XNNPACK kernels "
        "compute), `int8_symmetric` and `int4_symmetric` (max|x|/127 and max|x|/7: the patent). "
        "Learned in training, one for the layer: `int8_static` (for accelerators of whole integer "
        "models; the layer's outputs are then int8 too). `float` is none.",
    )
    backend: Backend = setting(
        "auto",
        "Which kernel multiplies the codes; all give the same int32 accumulators.",
    )
    backward_dtype: BackwardDtype = setting(
        "float32",
        "Type of the two matmuls of the backward pass, `float32` or `bfloat16`; sums are kept in "
        "float32.",
    )
    scale_gradient: bool = setting(
        False,
        "Whether the weight's gradient also flows through its scale max|w|/L into the largest "
        "weight of each channel (the chain rule, with the derivative by the scale of LSQ, arXiv "
        "1902.08153); `False` takes the scale for a constant, as plain straight-through does "
        "(Bengio et al., arXiv 1308.3432; US20230298569A1).",
    )
    clip_gradient: bool = setting(
        True,
        "Whether values beyond the largest code get no gradient (PACT, arXiv 1805.06085). Scales "
        "from the maximum clip nothing; learned clipping and static ranges do.",
    )
    learned_clip: bool = setting(
        False,
        "Whether scales are multiplied by a learned factor per channel (LSQ, arXiv 1902.08153, "
        "with the maximum as the unit), so that rare large weights may be clipped.",
    )
    stochastic_rounding: bool = setting(
        False,
        "Whether training rounds weights up or down at random, with the mean at the weight (arXiv "
        "1502.02551). Evaluation and export round to nearest.",
    )
    weight_noise: float = setting(
        0.0,
        "Standard deviation, in units of the scale, of Gaussian noise on the weights in training "
        "(arXiv 2104.09987).",
    )
    start_step: int = setting(
        0,
        "Training step at which quantization sets in; before it the layer computes in float. Give "
        "rules different ones to start layer by layer (arXiv 1806.08342).",
    )
    range_decay: float = setting(
        0.99,
        "Decay of the running averages of a static range's ends, per training step (arXiv "
        "1712.05877).",
    )

    def __post_init__(self) -> None:
        if self.weight_bits is not None:
            levels(self.weight_bits)
        require_one_of(get_args(Granularity), granularity=self.granularity)
        require_one_of(get_args(Activation), activation=self.activation)
        require_one_of(get_args(Backend), backend=self.backend)
        require_one_of(get_args(BackwardDtype), backward_dtype=self.backward_dtype)
        for field in ("scale_gradient", "clip_gradient", "learned_clip", "stochastic_rounding"):
            if not isinstance(getattr(self, field), bool):
                raise UserError(
                    f"`{field}` must be true or false. Received: {field}={getattr(self, field)!r}"
                )
        require_not_negative(weight_noise=self.weight_noise, start_step=self.start_step)
        require_in("[0, 1)", range_decay=self.range_decay)
        if self.activation == "int8_static" and self.weight_bits is None:
            raise UserError(
                "Static int8 activations need integer weights: int8_static exists for whole "
                "integer matmuls. Received: weight_bits=None"
            )
        if self.activation == "int8_static" and self.block is not None:
            raise UserError(
                "No runtime multiplies static int8 activations by weights with block scales; use "
                f"granularity `channel`. Received: granularity={self.granularity!r}"
            )

    @property
    def block(self) -> int | None:
        """Inputs that share a scale; None where all do."""
        return int(self.granularity[5:]) if self.granularity.startswith("block") else None

    @property
    def is_integer(self) -> bool:
        """Whether the matmul itself runs on integers: weight and activations both quantized."""
        return self.weight_bits is not None and self.activation != "float"

    def stored_bytes(self, weights: int, inputs: int) -> int:
        """Bytes of a weight matrix in a `.tflite` file: its codes, as `storage_bits` has them, and
        its scales.

        Args:
            weights: number of its elements.
            inputs: number of those that an output is summed over.
        """
        if self.weight_bits is None:
            return 4 * weights
        outputs = weights // inputs
        row = (inputs + self.padding(inputs)) * storage_bits(self.weight_bits, self.block) // 8
        return outputs * (row + (4 if self.block is None else inputs // self.block * 2))

    def padding(self, inputs: int) -> int:
        """Zeros that a `.tflite` file has after each row of so many weights."""
        if self.weight_bits is None:
            return 0
        return -inputs % (8 // storage_bits(self.weight_bits, self.block))

    @property
    def name(self) -> str:
        """The scheme's short form, which `from_name` reads; options of training are not in it."""
        parts = []
        if self.weight_bits is not None:
            parts.append(f"w{self.weight_bits}{_GRANULARITY_NAMES[self.granularity]}")
        if self.activation != "float":
            parts.append(_ACTIVATION_NAMES[self.activation])
        return "_".join(parts) or "float"

    @classmethod
    def from_name(cls, name: str) -> "QuantConfig":
        """The scheme of a short form such as `w4c_a8d`; old spellings are read, too.

        Raises:
            UserError: `name` does not follow the grammar.
        """
        if name == "float":
            return cls()
        schemes = {short: long for long, short in _ACTIVATION_NAMES.items()}
        schemes |= _OLD_ACTIVATION_NAMES
        match = re.fullmatch(rf"(?:w(\d)(c|t|b32|b64|b128))?(_?)({'|'.join(schemes)})?", name)
        weights, activations = match and match[1], match and match[4]
        if not (weights or activations) or bool(match[3]) != bool(weights and activations):
            raise UserError(
                f"{name!r} names no scheme; write weights and activations as in w4c_a8d, "
                "w4b32_a8d, w8c_a8static, w4c or float."
            )
        fields: dict[str, Any] = {}
        if weights:
            granularities = {short: long for long, short in _GRANULARITY_NAMES.items()}
            fields |= {"weight_bits": int(weights), "granularity": granularities[match[2]]}
        if activations:
            fields["activation"] = schemes[activations]
        return cls(**fields)

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "QuantConfig":
        """Inverse of `to_config`; fields left out have their defaults, old values are read, too.

        Raises:
            UserError: there is no such field, or it does not allow the value.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = [name for name in config if name not in names]
        if unknown:
            raise UserError(
                f"A quantization config has no field {unknown[0]!r}; it has {', '.join(names)}."
            )
        if "activation" in config:
            config = config | {"activation": renamed_activation(config["activation"])}
        return cls(**config)
