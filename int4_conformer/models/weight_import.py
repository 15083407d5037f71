"""Gives a model the weights of another, whatever their names were."""

import dataclasses
import re
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.layers.paths import by_path, quantization_variables
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.weight_mapping import WeightMapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightImport:
    """What became of the weights."""

    # Paths of the model's weights that were set.
    taken: tuple[str, ...]
    # Paths of those that stayed as they were.
    missing: tuple[str, ...]
    # Names of the given ones that are none of the model's.
    unused: tuple[str, ...]

    def lines(self) -> list[str]:
        """For people: a count, then a line for each group of names that found no partner."""
        return [
            f"{len(self.taken)} weights taken",
            *(f"starts afresh: {group}" for group in grouped(self.missing)),
            *(f"not used: {group}" for group in grouped(self.unused)),
        ]


def import_weights(
    model: Transducer,
    values: Mapping[str, np.ndarray],
    mapping: WeightMapping | None = None,
    *,
    may_miss: str = "",
) -> WeightImport:
    """Sets all weights of a model, or none.

    What need not be given: the front end's statistics, which are taken from the corpus; and CTC
    heads and what quantization adds to the weights, as learned clips, which start afresh.

    Args:
        model: has its weights.
        values: weights by name, as `mapping` expects them.
        mapping: from their names to paths below the model such as
            "encoder/block_0/ffn_start/up/kernel"; None: they have these names.
        may_miss: regular expression of paths that need not be given, either.

    Raises:
        UserError: a weight is not given, has another shape, or comes from two names.
    """
    variables = by_path(model)
    renamed = (mapping or WeightMapping()).renamed(values)
    taken = {path: renamed[path] for path in variables if path in renamed}
    missing = [path for path in variables if path not in renamed]
    unused = [name for path, (name, _) in renamed.items() if path not in variables]
    _require_shapes(variables, taken)
    _require_no_other(missing, _optional(model), may_miss, unused)
    converted = {path: _numbers(*taken[path], variables[path].dtype) for path in taken}
    for path, value in converted.items():
        variables[path].assign(value)
    return WeightImport(taken=tuple(taken), missing=tuple(missing), unused=tuple(unused))


def grouped(names: Iterable[str]) -> list[str]:
    """Names that differ in their numbers alone as one: `["block_*/norm/gamma (16)", "bias"]`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.sub(r"\d+", "*", name), []).append(name)
    return [
        f"{pattern} ({len(members)})" if len(members) > 1 else members[0]
        for pattern, members in groups.items()
    ]


def _numbers(name: str, value: np.ndarray, dtype: str) -> np.ndarray:
    try:
        return value.astype(dtype)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{name} holds no numbers but {value.dtype}; leave it out by the mapping."
        ) from error


def _optional(model: Transducer) -> set[str]:
    added = quantization_variables(model)
    parts = tuple(f"{part.name}/" for part in (model.front_end, *model.ctc_heads))
    return {
        path
        for path, variable in by_path(model).items()
        if id(variable) in added or path.startswith(parts)
    }


def _require_shapes(
    variables: Mapping[str, keras.Variable], taken: Mapping[str, tuple[str, np.ndarray]]
) -> None:
    wrong = [
        f"{name} {list(value.shape)} for {path} {list(variables[path].shape)}"
        for path, (name, value) in taken.items()
        if value.shape != tuple(variables[path].shape)
    ]
    if wrong:
        raise UserError(
            f"{len(wrong)} weights have another shape than the model's ({_some(wrong)}); give "
            "the model the same sizes, or the mapping a transpose or reshape."
        )


def _require_no_other(
    missing: Iterable[str], optional: set[str], may_miss: str, unused: Iterable[str]
) -> None:
    try:
        allowed = re.compile(may_miss)
    except re.error as error:
        raise UserError(f"{may_miss!r} is no regular expression ({error}).") from error
    lacking = [path for path in missing if path not in optional and not allowed.fullmatch(path)]
    if lacking:
        without = grouped(unused)
        raise UserError(
            f"{len(lacking)} weights of the model are not given ({_some(grouped(lacking))}); map "
            "names to them, or allow them to be missing."
            + (f" Names that are not used: {_some(without)}" if without else "")
        )


def _some(items: list[str], limit: int = 8) -> str:
    """A list that fits into a sentence."""
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")
