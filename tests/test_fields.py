import dataclasses

from int4_conformer.fields import help_of, markdown_table, required, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    kind: str = setting("plain", "Kind, a|b.")
    size: int = required("Size of it.")


def test_fields_have_defaults_and_help():
    assert Config(size=3) == Config(kind="plain", size=3)
    assert help_of(Config, "size") == "Size of it."


def test_table():
    assert markdown_table(Config).splitlines() == [
        "| field | default | what it is |",
        "|---|---|---|",
        r"| `kind` | `'plain'` | Kind, a\|b. |",
        "| `size` |  | Size of it. |",
    ]
