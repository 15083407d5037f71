"""Shows what this machine has for recognising and training, and what is missing.

It lists versions, the CPU, the kernel that LiteRT multiplies 4-bit weights with (a small product is
run), optional parts of the package, room on the disk, and microphones. --measure also starts
TensorFlow, to list the devices that it sees and the time of each backend of its integer products.

The exit status is 0 if words can be recognised here at full speed, and 1 if something is missing
for that.
"""

import dataclasses
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from absl import flags

from int4_conformer import __version__
from int4_conformer.audio import microphone
from int4_conformer.cli import app
from int4_conformer.cli.cpu import Cpu, this_cpu
from int4_conformer.cli.extras import Extra, extras, version_of
from int4_conformer.cli.flag_groups import MACHINE, group
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.data.sources.phrases import speech_cache
from int4_conformer.errors import UserError
from int4_conformer.progress import waiting

# Whose versions a report of a defect needs.
_PACKAGES = ("numpy", "ai-edge-litert", "tensorflow", "keras", "ai-edge-quantizer")
# Rows, width and columns of a product that is typical of training: 20 s of a wide model.
_PRODUCT = (500, 512, 512)


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, MACHINE):
        flags.DEFINE_boolean(
            "measure",
            False,
            "Start TensorFlow, too, and time its integer products.",
            flag_values=values,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Finding:
    """A line of what was found."""

    name: str
    text: str
    facts: Any
    # What keeps words from being recognised at full speed; empty: nothing.
    problem: str = ""


def _doctor(values: flags.FlagValues, arguments: list[str]) -> Result:
    if arguments:
        raise UserError(f"doctor takes flags only. Received: {arguments[0]!r}")
    parts = list(map(_extra, extras()))
    others = [_versions(), _cpu(this_cpu()), _int4_kernel(), _disk(), _microphones()]
    if values.measure:
        others.append(_backends())
    findings = [*others, *parts]
    problems = [finding.problem for finding in findings if finding.problem]
    width = max(len(finding.name) for finding in findings)
    lines = [f"{finding.name:{width}}  {finding.text}" for finding in findings]
    return Result(
        text="\n".join([*lines, "", *(problems or ["Words can be recognised here."])]),
        facts={finding.name: finding.facts for finding in others}
        | {"parts": {part.name.strip("[]"): part.facts for part in parts}, "problems": problems},
        status=1 if problems else 0,
    )


def _versions() -> _Finding:
    facts = {
        app.PROGRAM: __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    facts |= {name: version for name in _PACKAGES if (version := version_of(name)) is not None}
    return _Finding(
        name="versions",
        text=", ".join(f"{name} {version}" for name, version in facts.items()),
        facts=facts,
    )


def _cpu(cpu: Cpu) -> _Finding:
    cores = f"{cpu.cores} cores"
    if cpu.cores != cpu.all_cores:
        cores = f"{cpu.cores} of {cpu.all_cores} cores"
    products = {
        None: "instructions unknown",
        True: ", ".join(cpu.features or ()),
        False: "no instructions for 8-bit products: integers are slower here than elsewhere",
    }[cpu.multiplies_integers]
    return _Finding(
        name="cpu", text=f"{cpu.name}, {cores}, {products}", facts=dataclasses.asdict(cpu)
    )


def _int4_kernel() -> _Finding:
    try:
        from int4_conformer.tflite.kernel_trial import try_int4_kernel

        with held_back() as stderr, waiting("running LiteRT", file=stderr, at_once=False):
            found = try_int4_kernel()
    except (UserError, ImportError) as error:
        return _Finding(name="int4", text="unknown", facts=None, problem=str(error))
    problem = "" if found.is_integer else "LiteRT has no kernel for 4-bit weights here."
    return _Finding(
        name="int4",
        text=f"{found.kernel}: {found.milliseconds:.2f} ms for {_shape(found.shape)} on one thread",
        facts=dataclasses.asdict(found),
        problem=problem,
    )


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))


def _extra(extra: Extra) -> _Finding:
    missing = extra.missing
    text = "installed"
    if missing:
        text = f"without {', '.join(missing)}: {extra.command}"
        if extra.stands_apart:
            text += ", in an environment of its own"
    return _Finding(
        name=f"[{extra.name}]" if extra.name else "needed",
        text=text,
        facts={"missing": missing, "command": extra.command},
        problem=f"There is no {missing[0]}; {extra.command}" if missing and not extra.name else "",
    )


def _backends() -> _Finding:
    if version_of("tensorflow") is None:
        return _Finding(name="training", text="TensorFlow is not installed", facts=None)
    start_tensorflow()
    import tensorflow as tf

    from int4_conformer.quant.products.backend_times import backend_times

    with waiting("timing integer products", file=sys.stderr):
        found = backend_times(*_PRODUCT)
    devices = [device.name for device in tf.config.list_logical_devices()]
    times = ", ".join(f"{name} {taken:.2f} ms" for name, taken in found.milliseconds.items())
    return _Finding(
        name="training",
        text=f"{', '.join(devices)}; {_shape(_PRODUCT)} by {times}; auto takes "
        f"{found.with_xla} with XLA, {found.without_xla} without",
        facts={"devices": devices, "product": _PRODUCT, **dataclasses.asdict(found)},
    )


def _disk() -> _Finding:
    cache = speech_cache().parent
    parts = {}
    with waiting(f"measuring {cache}", file=sys.stderr, at_once=False):
        for folder in sorted(path for path in cache.glob("*") if path.is_dir()):
            files = (path for path in folder.rglob("*") if path.is_file())
            parts[folder.name] = sum(path.stat().st_size for path in files)
    free = shutil.disk_usage(_existing(cache)).free
    kept = ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in parts.items())
    return _Finding(
        name="cache",
        text=f"{cache}: {kept or 'empty'}; {free / 1e9:,.1f} GB free",
        facts={"folder": str(cache), "bytes": parts, "free_bytes": free},
    )


def _existing(path: Path) -> Path:
    """The path, or the folder above it that there is."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _microphones() -> _Finding:
    try:
        found = microphone.devices()
    except UserError as error:
        return _Finding(name="microphone", text=str(error), facts=[])
    return _Finding(
        name="microphone",
        text=", ".join(device.name for device in found),
        facts=[dataclasses.asdict(device) for device in found],
    )


COMMAND = app.Command(
    name="doctor",
    usage="[flags]",
    description=__doc__,
    examples=("", "--measure --json=machine.json"),
    define_flags=_define_flags,
    main=_doctor,
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
