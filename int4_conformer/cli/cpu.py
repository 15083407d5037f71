"""What the CPU of this machine is."""

import dataclasses
import os
import platform
import re
from pathlib import Path

from int4_conformer.cores import available_cores

# Instructions that matter to matmuls of few bits, as Linux spells them: of x86, of Arm.
_FEATURES = (
    *("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8"),
    *("asimddp", "i8mm", "bf16", "sve", "sme"),
)
_DOT_PRODUCTS = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cpu:
    """A CPU, as far as the operating system tells."""

    name: str
    # That this process may use, and of the machine.
    cores: int
    all_cores: int
    # Of those that matter to matmuls of few bits; None if unknown.
    features: tuple[str, ...] | None

    @property
    def multiplies_integers(self) -> bool | None:
        """Whether it has instructions for 8-bit products; None if unknown."""
        return None if self.features is None else bool(_DOT_PRODUCTS & {*self.features})


def this_cpu(info: Path = Path("/proc/cpuinfo")) -> Cpu:
    """The CPU that this runs on.

    Args:
        info: what Linux tells of it.
    """
    cores = {"cores": available_cores(), "all_cores": os.cpu_count() or 1}
    try:
        text = info.read_text()
    except OSError:
        name = platform.processor() or platform.machine()
        return Cpu(name=name, features=None, **cores)
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    known = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    has = set(known[1].split()) if known else set()
    return Cpu(
        name=named[1] if named else platform.machine(),
        features=tuple(feature for feature in _FEATURES if feature in has) if known else None,
        **cores,
    )
