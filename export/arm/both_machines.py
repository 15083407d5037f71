"""What files give on this machine and on Arm."""

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from arm_root import ArmRoot

from int4_conformer.errors import UserError

_PROGRAM = Path(__file__).with_name("run_files.py")

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BothMachines:
    """This machine, and a core of an Arm root."""

    root: ArmRoot
    # One of `arm_root.CPUS`.
    cpu: str = "neoverse-n1"

    def outputs(
        self, content: bytes, calls: Sequence[Arrays], xnnpack: bool = True
    ) -> list[tuple[Arrays, Arrays]]:
        """The outputs of a file's signature `serving_default`, here and on Arm, for each call.

        Args:
            content: the file.
            calls: inputs by name.
            xnnpack: whether XNNPACK's kernels compute it; otherwise LiteRT's builtin ones do.

        Raises:
            UserError: the file does not run.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "model.tflite").write_bytes(content)
            (folder / "job.json").write_text(json.dumps({"xnnpack": xnnpack}))
            np.savez(
                folder / "inputs.npz",
                **{f"{i}/{name}": x for i, call in enumerate(calls) for name, x in call.items()},
            )
            arguments = [str(_PROGRAM), str(folder)]
            here = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
            if here.returncode:
                raise UserError(f"The file does not run here: {here.stderr.strip()}")
            found_here = _calls(folder / "outputs.npz")
            self.root.run(arguments, self.cpu)
            return list(zip(found_here, _calls(folder / "outputs.npz"), strict=True))


def _calls(file: Path) -> list[Arrays]:
    """Arrays by call and name, as `run_files` reads and writes them."""
    calls: dict[str, dict[str, np.ndarray]] = {}
    with np.load(file) as arrays:
        for key, value in arrays.items():
            call, _, name = key.partition("/")
            calls.setdefault(call, {})[name] = value
    return [calls[call] for call in sorted(calls, key=int)]
