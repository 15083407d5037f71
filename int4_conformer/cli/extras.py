"""The packages that extras bring, as the metadata of the installed package says."""

import dataclasses
import importlib.metadata
import re

DISTRIBUTION = "int4-conformer"
# For whoever works on the package itself.
_DEVELOPMENT = "dev"
# Those whose TensorFlow is another one.
_APART = ("io", "tpu")
# Modules whose packages have other names.
_PACKAGES = {"multipart": "python-multipart", "tensorflow_serving": "tensorflow-serving-api"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extra:
    """Packages that are installed together."""

    # As in `int4-conformer[NAME]`; empty: what the package cannot do without.
    name: str
    packages: tuple[str, ...]

    @property
    def stands_apart(self) -> bool:
        """Whether it needs an environment of its own."""
        return self.name in _APART

    @property
    def missing(self) -> tuple[str, ...]:
        """Those that are not installed."""
        return tuple(package for package in self.packages if version_of(package) is None)

    @property
    def command(self) -> str:
        """The command line that installs what is missing beside what is there."""
        whole = f"'{DISTRIBUTION}[{self.name}]'" if self.name else DISTRIBUTION
        return f"pip install {whole}"


def extras() -> list[Extra]:
    """What is needed, then all extras by name, those that stand apart at the end; nothing if the
    package is not installed but only found."""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found: dict[str, list[str]] = {}
    for requirement in requirements:
        package = re.match(r"[\w.-]+", requirement)[0]
        extra = re.search(r"""extra == ['"](.+?)['"]""", requirement)
        found.setdefault(extra[1] if extra else "", []).append(package)
    found.pop(_DEVELOPMENT, None)
    made = [Extra(name=name, packages=tuple(packages)) for name, packages in found.items()]
    return sorted(made, key=lambda extra: (extra.stands_apart, extra.name))


def extra_of(module: str) -> Extra | None:
    """The first extra that brings a module, by its name as it is imported."""
    package = _PACKAGES.get(module, module.replace("_", "-")).lower()
    for extra in extras():
        if package in (name.replace("_", "-").lower() for name in extra.packages):
            return extra
    return None


def version_of(package: str) -> str | None:
    """The version of a package that is installed, without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
