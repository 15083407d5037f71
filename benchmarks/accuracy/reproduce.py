"""Makes the digits experiment anew with one seed, and says whether it comes to the same.

    python benchmarks/accuracy/reproduce.py --data=PATH/data --output=build/accuracy

trains float32 and w4a8 on FSDD, quantizes the float32 file after training, counts word errors of
the exported files, and compares: each must lie in the 95% interval of the committed runs
(utterances and seeds drawn again). Exit status 1 if one does not. Two trainings of 1500 steps take
some 25 minutes on two free cores.
"""

import sys
from pathlib import Path

import table
from absl import app, flags
from bench import Bench
from experiments import Run

from int4_conformer.cli.app import exits
from int4_conformer.errors import UserError

CORPUS, SET, SEED = "fsdd", "test", 0
VARIANTS = ("float", "w4a8", "ptq_int8", "ptq_int4")

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "Folder of the corpora.", required=True)
flags.DEFINE_string("output", "build/accuracy", "Folder for runs, files and results.")


def main(_: list[str]) -> None:
    with exits():
        committed = table.read(table.RESULTS, CORPUS).get(SET, {})
        if absent := [variant for variant in VARIANTS if variant not in committed]:
            raise UserError(
                f"There are no committed results of {', '.join(absent)} to compare with; make them "
                "with benchmarks/accuracy/run.py."
            )
        output = Path(FLAGS.output)
        bench = Bench(data=Path(FLAGS.data), output=output, results=output / "results")
        for variant in VARIANTS:
            bench.make(Run(corpus=CORPUS, variant=variant, seed=SEED))
        made = table.read(output / "results", CORPUS)[SET]
        lines, alike = verdict(committed, made)
        print(*lines, sep="\n")
        if not alike:
            sys.exit(1)


def verdict(
    committed: dict[str, table.Measured], made: dict[str, table.Measured]
) -> tuple[list[str], bool]:
    """A line on each variant, and whether all lie in the intervals of the committed runs."""
    lines, alike = [], True
    for variant in VARIANTS:
        known, rate = committed[variant].wer, made[variant].wer.value
        # Draws from no errors have none, while n words without one allow for a rate of 3 / n.
        high = max(known.high, 3 / int(committed[variant].words.sum()))
        fits = known.low <= rate <= high
        alike &= fits
        lines.append(
            f"{variant:9} WER {100 * rate:.2f}%, committed {100 * known.value:.2f}% "
            f"({100 * known.low:.2f} .. {100 * high:.2f}): "
            f"{'the same' if fits else 'NOT the same'}"
        )
    lines.append("reproduced" if alike else "not reproduced")
    return lines, alike


if __name__ == "__main__":
    app.run(main)
