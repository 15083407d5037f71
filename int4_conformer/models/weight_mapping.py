"""From another project's names of weights to ours."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from int4_conformer.errors import UserError

_EXAMPLE = r'[["l\\.(\\d+)\\.w", "encoder/block_\\1/ffn_end/up/kernel", {"transpose": [1, 0]}]]'


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightRule:
    """What happens to the weights whose whole name a pattern matches."""

    # Regular expression.
    pattern: str
    # Our name for it, with \\1, \\2, .. for the pattern's groups; None leaves the weight out.
    replacement: str | None
    # Order of its axes in ours.
    transpose: tuple[int, ...] | None = None
    # Shape of ours, taken after `transpose`; one size may be -1.
    reshape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise UserError(f"{self.pattern!r} is no regular expression ({error}).") from error
        if self.replacement is not None:
            try:
                re.sub(self.pattern, self.replacement, "")
            except (re.error, IndexError, TypeError) as error:
                raise UserError(
                    f"{self.replacement!r} is no replacement for {self.pattern!r} ({error})."
                ) from error
        for field in ("transpose", "reshape"):
            axes = getattr(self, field)
            if axes is not None and not all(type(axis) is int for axis in axes):
                raise UserError(
                    f"`{field}` must be a list of whole numbers. Received: {field}={list(axes)}"
                )

    def value(self, name: str, value: np.ndarray) -> np.ndarray:
        """The weight as we have it.

        Raises:
            UserError: it has not as many axes or values.
        """
        try:
            if self.transpose is not None:
                value = np.transpose(value, self.transpose)
            return value if self.reshape is None else np.reshape(value, self.reshape)
        except ValueError as error:
            raise UserError(
                f"The rule {self.pattern!r} does not fit {name} of shape {list(value.shape)} "
                f"({error}); correct its transpose or reshape."
            ) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightMapping:
    """An ordered list of rules: the first whose pattern matches a name decides.

    A name that no rule matches stays as it is.
    """

    rules: tuple[WeightRule, ...] = ()

    @classmethod
    def load(cls, path: str | os.PathLike) -> "WeightMapping":
        """Reads a JSON list of `[pattern, replacement]` and `[pattern, replacement, options]`.

        Options are the other fields of a `WeightRule`, by name.

        Raises:
            UserError: the file cannot be read, or holds no mapping.
        """
        try:
            content = json.loads(Path(path).read_text())
            rules = tuple(
                WeightRule(
                    pattern=pattern,
                    replacement=replacement,
                    **{name: tuple(value) for options in more for name, value in options.items()},
                )
                for pattern, replacement, *more in content
            )
        except OSError as error:
            raise UserError(
                f"The mapping {path} cannot be read ({error.strerror}); check the path."
            ) from error
        except UserError as error:
            raise UserError(f"The mapping {path} is refused: {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path} holds no mapping ({type(error).__name__}: {error}); write {_EXAMPLE}."
            ) from error
        return cls(rules=rules)

    def renamed(self, values: Mapping[str, np.ndarray]) -> dict[str, tuple[str, np.ndarray]]:
        """The weights by our names, each with the name that it had.

        Raises:
            UserError: a rule does not fit a weight, or two weights come to the same name.
        """
        renamed: dict[str, tuple[str, np.ndarray]] = {}
        for name, value in values.items():
            path, value = self._renamed(name, value)
            if path is None:
                continue
            if path in renamed:
                raise UserError(
                    f"{renamed[path][0]} and {name} would both be {path}; correct the mapping."
                )
            renamed[path] = name, value
        return renamed

    def _renamed(self, name: str, value: np.ndarray) -> tuple[str | None, np.ndarray]:
        for rule in self.rules:
            if match := re.fullmatch(rule.pattern, name):
                if rule.replacement is None:
                    return None, value
                return match.expand(rule.replacement), rule.value(name, value)
        return name, value
