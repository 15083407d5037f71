"""Which layers are worth more bits."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.quant.spec.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """A way to quantize a layer."""

    config: QuantConfig
    # Bytes of the layer's weights in a file.
    nbytes: int
    # Relative error of the recogniser's logits when this layer alone is quantized so.
    error: float


Options = Mapping[str, Sequence[Option]]


def choose(options: Options, *, tolerance: float, budget: int | None = None) -> dict[str, Option]:
    """The option of each layer.

    All layers begin with their first option. Then, again and again, that layer gets another one
    whose error, squared, falls most for each byte more, until the error of all layers together is
    tolerable or nothing more fits. Errors count as independent: their squares add up.

    Args:
        options: by path, the smallest first.
        tolerance: relative error of the logits.
        budget: bytes for all layers; at least those of their first options.
    """
    chosen = {path: choices[0] for path, choices in options.items()}
    smallest = sum(option.nbytes for option in chosen.values())
    left = math.inf if budget is None else budget - smallest
    while combined_error(chosen.values()) > tolerance:
        better = [
            (path, option, option.nbytes - chosen[path].nbytes)
            for path, choices in options.items()
            for option in choices
            if option.error < chosen[path].error and option.nbytes - chosen[path].nbytes <= left
        ]
        if not better:
            break
        path, option, more = max(
            better,
            key=lambda step: (chosen[step[0]].error ** 2 - step[1].error ** 2) / max(1, step[2]),
        )
        chosen[path] = option
        left -= more
    return chosen


def combined_error(chosen: Iterable[Option]) -> float:
    """What independent errors of layers come to together."""
    return math.sqrt(sum(option.error**2 for option in chosen))


def recipe_of(chosen: Mapping[str, Option], name: str) -> Recipe:
    """The recipe with a rule for each layer that has not the commonest config."""
    counts = collections.Counter(option.config for option in chosen.values())
    default = counts.most_common(1)[0][0]
    rules = tuple(
        (re.escape(path), option.config)
        for path, option in chosen.items()
        if option.config != default
    )
    return Recipe(name=name, rules=(*rules, (".*", default)))
