"""Which layer is quantized how."""

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from int4_conformer.errors import UserError, did_you_mean
from int4_conformer.files import json_value
from int4_conformer.quant.spec.quant_config import QuantConfig

# Short names of the common schemes: their parts without what is usual, the "c" of a scale per
# channel and the "d" of dynamic activations.
PRESETS = {
    "w2a8": "w2c_a8d",
    "w4": "w4c",
    "w4a4sym": "w4c_a4dsym",
    "w4a8": "w4c_a8d",
    "w4a8sym": "w4c_a8dsym",
    "w6a8": "w6c_a8d",
    "w8a8": "w8c_a8d",
}
# Names of earlier versions: read, and written nowhere.
_OLD_PRESETS = {"w4a4": "w4a4sym", "w4a8s": "w4a8sym"}


def renamed_recipe(name: str) -> str:
    """Today's name of a recipe that an earlier version may have named after a scheme."""
    name = _OLD_PRESETS.get(name, name)
    try:
        return QuantConfig.from_name(name).name
    except UserError:
        return name


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
        if not isinstance(self.name, str):
            raise UserError(f"A recipe's `name` must be a text. Received: name={self.name!r}")
        if not self.rules:
            raise UserError(f"Recipe `{self.name}` has no rules; give at least one.")
        for pattern, _ in self.rules:
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                # The last two: brackets too deep, and counts that are too large.
                raise UserError(
                    f"Recipe `{self.name}`: {pattern[:200]!r} is no regular expression ({error})."
                ) from error

    @classmethod
    def preset(cls, name: str) -> "Recipe":
        """The recipe that gives every layer one config.

        Args:
            name: `float`; `w4` (4-bit weights, float activations); `w4a8` (4-bit weights,
                asymmetric int8 activations: the default for phones); `w4a8sym` (symmetric int8
                activations, the patent's max|x|/127); `w4a4sym` (4-bit weights and activations);
                `w2a8`; `w6a8`; `w8a8`; or any name of `QuantConfig`'s grammar, such as `w4b32_a8d`.

        Raises:
            UserError: there is no such preset.
        """
        name = renamed_recipe(name)
        try:
            config = QuantConfig.from_name(PRESETS.get(name, name))
        except UserError as error:
            raise UserError(
                f"Unknown recipe {name!r}{did_you_mean(name, ['float', *PRESETS])}; choose one of "
                f"float, {', '.join(PRESETS)}, or name a scheme such as w4b32_a8d."
            ) from error
        return cls(name=name, rules=((".*", config),))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Recipe":
        """Reads a recipe from a JSON file, as `from_config` takes it.

        Raises:
            UserError: the file cannot be read, or holds no recipe.
        """
        try:
            config = json_value(Path(path).read_text())
        except OSError as error:
            raise UserError(
                f"The recipe {path} cannot be read ({error.strerror}); check the path."
            ) from error
        except ValueError as error:
            raise UserError(
                f"The recipe {path} is not JSON ({error}); correct or write it anew."
            ) from error
        try:
            return cls.from_config(config)
        except UserError as error:
            raise UserError(f"The recipe {path} is refused: {error}") from error
        except (TypeError, ValueError, KeyError) as error:
            raise UserError(
                f"{path} holds no recipe ({type(error).__name__}: {error}); write "
                '{"name": "mine", "rules": [["encoder/.*", "w4c_a8d"], [".*", "float"]]}.'
            ) from error

    @classmethod
    def named(cls, name: str) -> "Recipe":
        """The recipe in the file `name`, if that ends with ".json", or the preset `name`.

        Raises:
            UserError: as `load` or `preset`.
        """
        return cls.load(name) if name.endswith(".json") else cls.preset(name)

    @classmethod
    def partial(cls, name: str, patterns: Sequence[str], scheme: str = "w4a8") -> "Recipe":
        """The patent's partial quantization: layers that a pattern matches get a scheme,
        all others stay float.

        Example: `Recipe.partial("encoders", ["encoder/.*"])`.
        """
        config = Recipe.preset(scheme).config()
        rules = tuple((pattern, config) for pattern in patterns)
        return cls(name=name, rules=(*rules, (".*", QuantConfig())))

    @classmethod
    def mixed(cls, name: str, int8_patterns: Sequence[str], scheme: str = "w4a8") -> "Recipe":
        """The mixed 4/8-bit models of arXiv 2203.15952: 8-bit weights where a pattern matches,
        and a scheme elsewhere."""
        config = Recipe.preset(scheme).config()
        int8 = dataclasses.replace(config, weight_bits=8)
        return cls(
            name=name, rules=(*((pattern, int8) for pattern in int8_patterns), (".*", config))
        )

    def require_used(self, paths: Iterable[str]) -> None:
        """Checks that each rule decides for at least one of the layers at `paths`.

        Raises:
            UserError: a rule matches none; a last rule ".*" may.
        """
        deciding = {self._rule(path) for path in paths}
        for index, (pattern, _) in enumerate(self.rules):
            if index not in deciding and pattern != ".*":
                raise UserError(
                    f"Recipe `{self.name}`: rule {pattern!r} decides for no layer; correct the "
                    "pattern, or move it before the rule that matches first."
                )

    def at(self, name: str) -> "Recipe":
        """This recipe as seen by the sublayer `name`."""
        return dataclasses.replace(self, path=f"{self.path}/{name}" if self.path else name)

    def config(self) -> QuantConfig:
        """The config for the layer at `path`.

        Raises:
            UserError: no rule matches the path.
        """
        return self.rules[self._rule(self.path)][1]

    def pattern(self) -> str | None:
        """The pattern of the rule for the layer at `path`, None if no rule matches."""
        return next((p for p, _ in self.rules if re.fullmatch(p, self.path)), None)

    def _rule(self, path: str) -> int:
        for index, (pattern, _) in enumerate(self.rules):
            if re.fullmatch(pattern, path):
                return index
        raise UserError(
            f"Recipe `{self.name}` has no rule for layer `{path}`; "
            "add one, or end its rules with '.*'."
        )

    def to_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "name": self.name,
            "rules": [[pattern, config.to_config()] for pattern, config in self.rules],
        } | ({"path": self.path} if self.path else {})

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Recipe":
        """Inverse of `to_config`; a rule may also give a scheme's name in place of its fields."""
        rules = tuple(
            (
                pattern,
                QuantConfig.from_name(rule)
                if isinstance(rule, str)
                else QuantConfig.from_config(rule),
            )
            for pattern, rule in config["rules"]
        )
        recipe = cls(name=config["name"], rules=rules, path=config.get("path", ""))
        return dataclasses.replace(recipe, name=renamed_recipe(recipe.name))


# What layers take for `quant`.
Quant = Recipe | QuantConfig | str | dict[str, Any] | None


def as_recipe(quant: Quant) -> Recipe:
    """What the `quant` of a layer of layers means, by the names of its parts.

    Args:
        quant: a recipe at the layer's path, or its `to_config`; else one config for all parts, as
            `resolve` takes it.
    """
    if isinstance(quant, Recipe):
        return quant
    if isinstance(quant, dict):
        return Recipe.from_config(quant)
    config = resolve(quant)
    return Recipe(name=config.name, rules=((".*", config),))


def resolve(quant: Recipe | QuantConfig | str | None) -> QuantConfig:
    """What a layer's `quant` argument means: a config, a recipe at the layer's path, a preset's
    name, or None for float."""
    if quant is None:
        return QuantConfig()
    if isinstance(quant, str):
        quant = Recipe.preset(quant)
    return quant.config() if isinstance(quant, Recipe) else quant
