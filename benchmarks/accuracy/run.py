"""Trains and measures what benchmarks/accuracy/experiments.py names, as long as there is time.

    python benchmarks/accuracy/run.py --data=PATH --output=FOLDER --corpus=fsdd --minutes=100

Each run is a few commands: `int4-conformer train` (or benchmarks/ptq.py), `export` and, for each
set, `evaluate` of the exported file, one utterance after the other on one thread. What came of it
is one JSON file in benchmarks/accuracy/results/CORPUS, with the commands, the seed, the commit of
the code and what was heard of each utterance; PATH and FOLDER stand in it as DATA and OUTPUT.
benchmarks/accuracy/table.py makes tables of them.

Runs that have their file are not made again, and one that was stopped goes on. When the minutes are
over, the training that runs is stopped. What stands behind `--` is given to all trainings.
"""

import signal
from pathlib import Path

from absl import app, flags
from bench import RESULTS, Bench, OutOfTimeError
from experiments import CORPORA, VARIANTS, queue

from int4_conformer.cli.app import exits
from int4_conformer.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "Folder of the corpora.", required=True)
flags.DEFINE_string("output", None, "Folder for runs and files.", required=True)
flags.DEFINE_string("results", str(RESULTS), "Folder for what came of them.")
flags.DEFINE_multi_enum("corpus", ["fsdd"], list(CORPORA), "Corpora; several take turns.")
flags.DEFINE_multi_enum("only", [], list(VARIANTS), "Variants; all if none is given.")
flags.DEFINE_multi_integer("seed", [], "Seeds; all that the corpora have if none is given.")
flags.DEFINE_float("minutes", None, "No run is started after so long; no end if not given.")
flags.DEFINE_boolean("held_back", False, "Measure on the sets that are held back, too.")


def main(argv: list[str]) -> None:
    bench = Bench(
        data=Path(FLAGS.data),
        output=Path(FLAGS.output),
        results=Path(FLAGS.results),
        minutes=FLAGS.minutes,
        held_back=FLAGS.held_back,
        train_flags=argv[1:],
    )
    seeds = FLAGS.seed or sorted({seed for name in FLAGS.corpus for seed in CORPORA[name].seeds})
    # As Ctrl-C: what it has started ends, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with exits():
        failures = []
        for run in queue(FLAGS.corpus, FLAGS.only or list(VARIANTS), seeds):
            try:
                bench.make(run)
            except UserError as error:
                # The others can be made all the same.
                print(error, flush=True)
                failures.append(f"{run.corpus} {run.name}")
            except OutOfTimeError:
                print("stopped; the same command goes on", flush=True)
                break
        if failures:
            raise UserError(f"These runs failed: {', '.join(failures)}.")


if __name__ == "__main__":
    app.run(main)
