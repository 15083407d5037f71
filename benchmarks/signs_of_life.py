"""What a user sees of `int4-conformer train`, and when.

    python benchmarks/signs_of_life.py --manifest=PATH/fsdd

starts a new run of each preset and prints, as rows for RESULTS.md, the seconds from the command to
its first line and to the end of its first step, the longest silence between two lines, and what was
being done then. A silence during work of ours should not be over 2 s; while the program compiles or
loads TensorFlow, a line says so every few seconds.
"""

import itertools
import subprocess
import sys
import tempfile
import time

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_list("presets", ["tiny", "conformer_s"], "Models to train.")
flags.DEFINE_integer("steps", 20, "Steps of each run.")


def timed_lines(preset: str, folder: str) -> list[tuple[float, str]]:
    """What a run prints, each line with the seconds since the command."""
    command = [
        *(sys.executable, "-m", "int4_conformer.cli.main", "train", f"--preset={preset}"),
        *(f"--manifest={FLAGS.manifest}", f"--workdir={folder}", "--dev_split="),
        *("--dev_fraction=0.05", "--batch_seconds=24", f"--steps={FLAGS.steps}"),
    ]
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        found = [(time.monotonic() - begun, line.decode().rstrip("\n")) for line in process.stdout]
    if process.returncode:
        raise SystemExit("\n".join(line for _, line in found))
    return found


def main(_: list[str]) -> None:
    print("| preset | first line | first step | longest silence | while |")
    print("|---|---|---|---|---|")
    for preset in FLAGS.presets:
        with tempfile.TemporaryDirectory() as folder:
            lines = timed_lines(preset, folder)
        first_step = next(
            moment for moment, line in lines if "the step for audio" in line and "done in" in line
        )
        moments = [0.0, *(moment for moment, _ in lines)]
        said = ["the program starts", *(line for _, line in lines)]
        silences = [(after - before) for before, after in itertools.pairwise(moments)]
        longest = max(range(len(silences)), key=silences.__getitem__)
        print(
            f"| `{preset}` | {lines[0][0]:.1f} s | {first_step:.0f} s | {silences[longest]:.1f} s "
            f"| {said[longest]} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
