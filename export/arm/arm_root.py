"""A 64-bit Arm Linux in a folder, whose Python programs QEMU runs here.

Nothing is installed: Debian's packages and the wheels of NumPy and LiteRT are unpacked into the
folder, and QEMU's user mode looks there first for whatever a program opens.
"""

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from int4_conformer.errors import UserError, require_one_of
from int4_conformer.progress import waiting

DEFAULT = Path.home() / ".cache" / "int4_conformer" / "arm"

# What /proc/cpuinfo of a core says: without it LiteRT takes it for none that it knows, and dies of
# signal 11. The first has products of 8-bit integers (asimddp), the second has not.
CPUS = {
    "neoverse-n1": (
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
        "dcpop asimddp ssbs",
        "0xd0c",
    ),
    "cortex-a72": ("fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid", "0xd08"),
}
_WHEELS = ("numpy", "ai-edge-litert")
# Manylinux wheels name the oldest glibc that they run on.
_GLIBC = range(17, 37)


class ArmRoot:
    """A folder that `make` has filled.

    Raises:
        UserError: it has not.
    """

    def __init__(self, folder: Path = DEFAULT):
        self._root = folder / "root"
        self._cpuinfo = self._root / "proc" / "cpuinfo"
        if not self.is_made(folder):
            raise UserError(
                f"There is no Arm root in {folder}; python export/arm/compare.py makes one, on "
                "Debian for x86-64."
            )
        self._qemu = folder / "host" / "usr" / "bin" / "qemu-aarch64-static"
        self._python = _python_of(self._root)

    @staticmethod
    def is_made(folder: Path = DEFAULT) -> bool:
        """Whether `make` has filled a folder."""
        return (folder / "complete").exists()

    def run(self, arguments: Sequence[str], cpu: str = "neoverse-n1") -> None:
        """Runs Python to its end. It sees the files of this machine, too.

        Args:
            arguments: Python's; a program may import NumPy and LiteRT.
            cpu: one of `CPUS`.

        Raises:
            UserError: it failed.
        """
        require_one_of(CPUS, cpu=cpu)
        features, part = CPUS[cpu]
        self._cpuinfo.parent.mkdir(exist_ok=True)
        self._cpuinfo.write_text("".join(_core(index, features, part) for index in range(2)))
        emulator = [str(self._qemu), "-L", str(self._root), "-cpu", cpu]
        variables = {"PYTHONHOME": self._root / "usr", "PYTHONPATH": self._root / "site"}
        settings = [x for name, value in variables.items() for x in ("-E", f"{name}={value}")]
        _run([*emulator, *settings, str(self._python), "-S", *arguments], env={})


def make(folder: Path) -> ArmRoot:
    """Fills a folder, if it is not yet, from the registries that apt-get and pip know here.

    Raises:
        UserError: something cannot be had.
    """
    root = folder / "root"
    if not ArmRoot.is_made(folder):
        with waiting(f"making an Arm root in {folder}"):
            downloads = folder / "downloads"
            host = _run(["dpkg", "--print-architecture"]).strip()
            _unpack_packages(downloads / host, host, ["qemu-user-static"], folder / "host")
            _unpack_packages(downloads / "arm64", "arm64", ["python3", "libstdc++6"], root)
            _unpack_wheels(downloads / "wheels", root)
            shutil.rmtree(downloads)
        (folder / "complete").touch()
    return ArmRoot(folder)


def _unpack_packages(
    downloads: Path, architecture: str, packages: Sequence[str], target: Path
) -> None:
    """Unpacks packages of Debian and all that they need, with an apt of its own."""
    for place in ("state/lists/partial", "cache/archives/partial"):
        (downloads / place).mkdir(parents=True, exist_ok=True)
    (downloads / "status").touch()
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Cache": downloads / "cache",
        "Dir::State": downloads / "state",
        "Dir::State::status": downloads / "status",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    _run([*apt, "update"])
    _run([*apt, "--yes", "--no-install-recommends", "--download-only", "install", *packages])
    for package in sorted(downloads.glob("cache/archives/*.deb")):
        _run(["dpkg", "-x", str(package), str(target)])


def _unpack_wheels(downloads: Path, root: Path) -> None:
    """Unpacks wheels of the versions that are installed here."""
    version = _python_of(root).name.removeprefix("python")
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in _GLIBC]
    wheels = [f"{name}=={importlib.metadata.version(name)}" for name in _WHEELS]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    options = ["--only-binary=:all:", f"--python-version={version}", f"--dest={downloads}"]
    _run([*pip, *options, *platforms, "--platform=manylinux2014_aarch64", *wheels])
    for wheel in downloads.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(root / "site")


def _python_of(root: Path) -> Path:
    """Such as usr/bin/python3.11."""
    (python,) = [p for p in root.glob("usr/bin/python3.*") if p.name[len("python3.") :].isdigit()]
    return python


def _core(index: int, features: str, part: str) -> str:
    return (
        f"processor\t: {index}\nBogoMIPS\t: 50.00\nFeatures\t: {features}\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\n"
        f"CPU part\t: {part}\nCPU revision\t: 1\n\n"
    )


def _run(command: Sequence[str], **options: Any) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, **options)
    except FileNotFoundError as error:
        raise UserError(
            f"There is no {command[0]} here; an Arm root is made on Debian for x86-64."
        ) from error
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise UserError(
            f"{Path(command[0]).name} ended with status {result.returncode} "
            f"({said[-1] if said else 'and said nothing'}); see to that, and try again."
        )
    return result.stdout
