"""Licences of the packages that the base install and each extra bring, and of what those bring.

    python benchmarks/licences.py --write

reads the metadata of the packages that are installed here, and prints a table of those that
int4-conformer asks for itself. Of the packages that these bring in turn, it prints how many they
are and which call for a look. `--write` puts both tables into docs/licences.md, which keeps what it
said of packages that are not installed here. Exits with 1 if a package of the base install is under
the GPL, or does not say its licence.
"""

import dataclasses
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from absl import app, flags
from packaging.requirements import Requirement

FLAGS = flags.FLAGS
flags.DEFINE_bool("write", False, "Puts the tables into docs/licences.md.")

PAGE = Path(__file__).parents[1] / "docs" / "licences.md"
DISTRIBUTION = "int4-conformer"
BASE = "base"
UNKNOWN, ABSENT = "unknown", "not installed"
# Names that projects give, and those of SPDX.
_NAMES = (
    (r"apache", "Apache-2.0"),
    (r"\bmit\b|expat", "MIT"),
    (r"mozilla|mpl", "MPL-2.0"),
    (r"lesser general|lgpl", "LGPL"),
    (r"affero|agpl", "AGPL"),
    (r"general public|gpl", "GPL"),
    (r"bsd", "BSD"),
    (r"python software|psf", "PSF-2.0"),
    (r"isc", "ISC"),
    (r"unlicense", "Unlicense"),
    (r"cc0", "CC0-1.0"),
)
_WEAK, _COPYLEFT = re.compile(r"LGPL|MPL"), re.compile(r"GPL")
_SERIOUS = ("copyleft", UNKNOWN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """What the metadata of a package say."""

    name: str
    version: str
    licence: str

    @property
    def remark(self) -> str:
        """What to look at, or nothing."""
        if self.licence in (UNKNOWN, ABSENT):
            return self.licence
        if _WEAK.search(self.licence):
            return "weak copyleft"
        return "copyleft" if _COPYLEFT.search(self.licence) else ""


def package(name: str) -> Package:
    """A package by its name."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return Package(name=name, version="", licence=ABSENT)
    return Package(name=name, version=metadata["Version"], licence=_licence(metadata))


def _licence(metadata: importlib.metadata.PackageMetadata) -> str:
    """What packages say in one of three fields, the newest first."""
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = metadata.get_all("Classifier") or []
    told = [x.rpartition("::")[2] for x in classifiers if x.startswith("License ::")]
    # Some write the whole text into this field.
    texts = [*told, (metadata.get("License") or "").strip().split("\n")[0]]
    found = {name for text in texts if (name := _named(text))}
    return " and ".join(sorted(found)) or UNKNOWN


def _named(text: str) -> str:
    return next((name for pattern, name in _NAMES if re.search(pattern, text, re.IGNORECASE)), "")


def asked_for(distribution: str) -> dict[str, list[str]]:
    """The packages that one asks for, by extra; `BASE` for what it cannot do without."""
    found: dict[str, list[str]] = {}
    try:
        texts = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        texts = []
    for text in texts:
        requirement = Requirement(text)
        marker = str(requirement.marker or "")
        extra = re.search(r'extra == "(.+?)"', marker)
        if extra is None and marker and not requirement.marker.evaluate():
            continue
        found.setdefault(extra[1] if extra else BASE, []).append(requirement.name)
    return found


def brought(names: list[str]) -> Iterator[str]:
    """Packages that these bring in turn, by their names in lower case."""
    seen, waiting = {_plain(name) for name in names}, list(names)
    while waiting:
        for name in asked_for(waiting.pop()).get(BASE, []):
            if _plain(name) not in seen:
                seen.add(_plain(name))
                waiting.append(name)
                yield _plain(name)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct_table(extras: dict[str, list[str]], page: str) -> str:
    """A row for each package that is asked for; of those that are not here, what a page says."""
    known = dict(re.findall(r"^\| \S+ \| (\S+) \| (.+?) \|", page, re.MULTILINE))
    rows = ["| extra | package | licence | look at |", "|---|---|---|---|"]
    for extra, names in extras.items():
        for found in map(package, sorted(set(names), key=str.lower)):
            if found.licence == ABSENT:
                found = dataclasses.replace(found, licence=known.get(found.name, ABSENT))
            rows.append(f"| {extra} | {found.name} | {found.licence} | {found.remark} |")
    return "\n".join(rows)


def brought_table(extras: dict[str, list[str]]) -> str:
    """A row for each extra: how many packages come with it, and those to look at."""
    rows = ["| extra | further packages | of them to look at |", "|---|---|---|"]
    for extra, names in extras.items():
        found = [package(name) for name in sorted(brought(names))]
        installed = [one for one in found if one.licence != ABSENT]
        odd = [f"{one.name} ({one.licence})" for one in installed if one.remark]
        rows.append(f"| {extra} | {len(installed)} | {', '.join(odd)} |")
    return "\n".join(rows)


def updated(page: str, extras: dict[str, list[str]]) -> str:
    """A page with the tables of today between its marks."""
    tables = {"asked for": direct_table(extras, page), "brought": brought_table(extras)}
    for name, table in tables.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page = re.sub(pattern, lambda m, t=table: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL)
    return page


def main(arguments: list[str]) -> None:
    found = asked_for(DISTRIBUTION)
    # Base first; what only who works on the package needs is in nobody's install.
    extras = {BASE: found.pop(BASE)} | {
        name: names for name, names in sorted(found.items()) if name not in ("dev", "docs")
    }
    page = updated(PAGE.read_text(), extras)
    print(*re.findall(r"(?<= -->\n)\|.*?(?=\n<!-- end)", page, re.DOTALL), sep="\n\n")
    if FLAGS.write:
        PAGE.write_text(page)
    base = [*extras[BASE], *brought(extras[BASE])]
    if wrong := [one.name for one in map(package, base) if one.remark in _SERIOUS]:
        sys.exit(f"The base install has packages to look at: {', '.join(wrong)}.")


if __name__ == "__main__":
    app.run(main)
