"""Fields of configs that say what they are: in the code, and to flags and docs as well."""

import dataclasses
from typing import Any


def setting(default: Any, description: str) -> Any:
    """A field of a dataclass, with its default and what `help_of` gives."""
    return dataclasses.field(default=default, metadata={"help": description})


def required(description: str) -> Any:
    """A field without a default."""
    return dataclasses.field(metadata={"help": description})


def help_of(config: type, name: str) -> str:
    """What a field of a config class says of itself."""
    (field,) = (field for field in dataclasses.fields(config) if field.name == name)
    return field.metadata["help"]


def markdown_table(config: type) -> str:
    """The fields of a config class with their defaults, a row each."""
    rows = ["| field | default | what it is |", "|---|---|---|"]
    for field in dataclasses.fields(config):
        default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        description = field.metadata["help"].replace("|", r"\|")
        rows.append(f"| `{field.name}` | {default} | {description} |")
    return "\n".join(rows)
