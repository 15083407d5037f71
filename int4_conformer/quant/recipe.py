"""Which layer is quantized how."""

import dataclasses
import re
from typing import Any

from int4_conformer.errors import UserError
from int4_conformer.quant.config import QuantConfig

_W4A8 = QuantConfig(weight_bits=4, activation="int8_asymmetric")

_PRESETS = {
    "float": QuantConfig(),
    "w4": QuantConfig(weight_bits=4),
    "w4a4": QuantConfig(weight_bits=4, activation="int4"),
    "w4a8": _W4A8,
    "w4a8s": dataclasses.replace(_W4A8, activation="int8"),
    "w6a8": dataclasses.replace(_W4A8, weight_bits=6),
    "w8a8": dataclasses.replace(_W4A8, weight_bits=8),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """An ordered list of rules: the first pattern that matches a layer's path decides.

    A path names the layer from the model down, such as `encoder/block_3/ffn_start/up`. A pattern
    matches if `re.fullmatch` does. A layer that no rule matches is an error, never silence: end
    the rules with `(".*", ...)` to have a default.

    Example, the patent's partial quantization (encoders only):

        Recipe(name="encoder_w4a8", rules=(
            ("encoder/.*", QuantConfig(weight_bits=4, activation="int8_asymmetric")),
            (".*", QuantConfig())))
    """

    # What reports and exported files call it.
    name: str
    # (pattern, config) pairs.
    rules: tuple[tuple[str, QuantConfig], ...]
    # Path of the layer that holds this recipe; grows through `at`.
    path: str = ""

    def __post_init__(self) -> None:
        if not self.rules:
            raise UserError(f"Recipe `{self.name}` has no rules; give at least one.")
        for pattern, _ in self.rules:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UserError(
                    f"Recipe `{self.name}`: {pattern!r} is no regular expression ({error})."
                ) from error

    @classmethod
    def preset(cls, name: str) -> "Recipe":
        """The recipe that gives every layer one config.

        `float`; `w4` (4-bit weights, float activations); `w4a8` (4-bit weights, asymmetric int8
        activations: the default for phones); `w4a8s` (symmetric int8 activations, the patent's
        max|x|/127); `w4a4` (4-bit weights and activations); `w6a8`; `w8a8`.

        Raises:
            UserError: there is no such preset.
        """
        if name not in _PRESETS:
            raise UserError(f"Unknown recipe {name!r}; choose one of {', '.join(_PRESETS)}.")
        return cls(name=name, rules=((".*", _PRESETS[name]),))

    def at(self, name: str) -> "Recipe":
        """This recipe as seen by the sublayer `name`."""
        return dataclasses.replace(self, path=f"{self.path}/{name}" if self.path else name)

    def config(self) -> QuantConfig:
        """The config for the layer at `path`.

        Raises:
            UserError: no rule matches the path.
        """
        for pattern, config in self.rules:
            if re.fullmatch(pattern, self.path):
                return config
        raise UserError(
            f"Recipe `{self.name}` has no rule for layer `{self.path}`; "
            "add one, or end its rules with '.*'."
        )

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "name": self.name,
            "rules": [[pattern, config.to_config()] for pattern, config in self.rules],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Recipe":
        """Inverse of `to_config`."""
        rules = tuple((pattern, QuantConfig.from_config(rule)) for pattern, rule in config["rules"])
        return cls(name=config["name"], rules=rules)


def resolve(quant: "Recipe | QuantConfig | str | None") -> QuantConfig:
    """What a layer's `quant` argument means: a config, a recipe at the layer's path, a preset's
    name, or None for float."""
    if quant is None:
        return QuantConfig()
    if isinstance(quant, str):
        quant = Recipe.preset(quant)
    return quant.config() if isinstance(quant, Recipe) else quant
