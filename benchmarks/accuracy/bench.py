"""Makes runs: trains, exports and measures, by the commands that a user would give."""

import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from experiments import CORPORA, VARIANTS, Run

from int4_conformer.errors import UserError
from int4_conformer.files import json_lines, write_beside
from int4_conformer.text.metrics import word_errors

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "accuracy" / "results"
# Seconds in which a command that is stopped has to end.
_PATIENCE = 60.0
_CLI = (sys.executable, "-m", "int4_conformer.cli.main")


class OutOfTimeError(Exception):
    """The minutes are over, or the user has stopped it."""


class Bench:
    """Makes runs.

    Args:
        data: folder of the corpora.
        output: folder for manifests, trainings and files.
        results: folder for a JSON file of each run.
        minutes: until `OutOfTimeError`; never if None.
        held_back: whether to measure on sets that are held back, too.
        train_flags: more for `int4-conformer train`.
    """

    def __init__(
        self,
        *,
        data: Path,
        output: Path,
        results: Path,
        minutes: float | None = None,
        held_back: bool = False,
        train_flags: list[str] | None = None,
    ):
        self._data, self._output, self._results = data.resolve(), output.resolve(), results
        self._end = None if minutes is None else time.monotonic() + 60 * minutes
        self._held_back = held_back
        self._train_flags = train_flags or []

    def make(self, run: Run) -> None:
        """Trains, exports and measures, unless that is done.

        Raises:
            OutOfTimeError: the minutes are over; what there is of a training is kept.
            UserError: a command failed.
        """
        corpus = CORPORA[run.corpus]
        file = self._results / run.corpus / f"{run.name}.json"
        result: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        measured = result.get("sets", {})
        wanted = [
            name
            for name in corpus.sets
            if name not in measured and (self._held_back or name not in corpus.held_back)
        ]
        if not wanted:
            return
        self._require_time()
        print(
            f"{datetime.datetime.now(datetime.timezone.utc):%H:%M} {run.corpus} {run.name}",
            flush=True,
        )
        self._write_manifest(run.corpus)
        if not result:
            result = self._made(run)
        for name in wanted:
            result["sets"][name] = self._measured(run, name, result["commands"])
        file.parent.mkdir(parents=True, exist_ok=True)
        write_beside(file, (_json(result) + "\n").encode())

    def _made(self, run: Run) -> dict[str, Any]:
        """Makes the file of a run, and says what it is."""
        variant, commands = VARIANTS[run.variant], []
        self._folder(run).mkdir(parents=True, exist_ok=True)
        workdir, file = self._folder(run) / "run", self._file(run)
        result = {
            "corpus": run.corpus,
            "variant": run.variant,
            "seed": run.seed,
            "commit": _commit(),
            "commands": commands,
        }
        if variant.needs_float and not self._file(run.float_run).exists():
            # Its words are counted when its turn comes.
            self._made(run.float_run)
        if variant.after_training:
            command = [sys.executable, "benchmarks/ptq.py", str(self._file(run.float_run))]
            self._call([*command, variant.recipe, str(file)], run, commands)
        else:
            self._call([*_CLI, "train", *self._training(run, workdir)], run, commands)
            self._call(
                [*_CLI, "export", str(workdir), "--checkpoint=last", f"--output={file}"],
                run,
                commands,
            )
            *_, last = json_lines(workdir / "metrics.jsonl")
            result |= {"training_seconds": round(last["seconds"]), "training_loss": last["loss"]}
        return result | {"bytes": file.stat().st_size, "sets": {}}

    def _training(self, run: Run, workdir: Path) -> list[str]:
        corpus, variant = CORPORA[run.corpus], VARIANTS[run.variant]
        steps = corpus.steps_from_float if variant.from_float else corpus.steps
        given = [
            f"--manifest={self._manifest(run.corpus)}",
            f"--workdir={workdir}",
            "--preset=tiny",
            f"--recipe={variant.recipe}",
            f"--seed={run.seed}",
            "--dev_split=",
            f"--steps={steps}",
            f"--evaluate_every={steps}",
            f"--warmup={steps // 5}",
            f"--batch_seconds={corpus.batch_seconds}",
            f"--buckets={corpus.buckets}",
            f"--average={corpus.average}",
            *corpus.augmentation,
        ]
        rate = corpus.learning_rate
        if variant.from_float:
            float_workdir = self._folder(run.float_run) / "run"
            given.append(f"--init_from={float_workdir}")
            rate = 5e-4
        if rate is not None:
            given.append(f"--learning_rate={rate:g}")
        return [*given, *self._train_flags]

    def _measured(self, run: Run, name: str, commands: list[str]) -> dict[str, Any]:
        """Words of a set: for each utterance its id, its words, the errors, and what was heard."""
        folder = self._folder(run)
        figures, heard = folder / f"{name}.json", folder / f"{name}.tsv"
        self._call(
            [
                *(*_CLI, "evaluate", str(self._file(run))),
                *(f"--manifest={self._manifest(run.corpus)}", f"--split={name}"),
                *(f"--json={figures}", f"--hypotheses={heard}"),
            ],
            run,
            commands,
        )
        utterances = []
        for line in heard.read_text().splitlines():
            place, reference, hypothesis = line.split("\t")
            errors = word_errors([reference], [hypothesis])
            utterances.append([_name(place), errors.words, errors.errors, hypothesis])
        return {"rtf": json.loads(figures.read_text())["rtf"], "utterances": utterances}

    def _call(self, command: list[str], run: Run, commands: list[str]) -> None:
        """Runs a command and notes it; its output goes into a log."""
        shown = (
            ["int4-conformer", *command[3:]] if command[:3] == [*_CLI] else ["python", *command[1:]]
        )
        line = " ".join(shown).replace(str(self._output), "OUTPUT").replace(str(self._data), "DATA")
        log = self._folder(run) / "log.txt"
        with log.open("a") as stream:
            print(f"$ {line}", file=stream, flush=True)
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=stream, stderr=stream
            )
            try:
                status = process.wait(self._time_left())
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                # A training saves what it has, unless it is compiling.
                process.terminate()
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise OutOfTimeError from None
        if status:
            raise UserError(f"{run.corpus} {run.name}: a command ended with {status}; see {log}.")
        commands.append(line)

    def _time_left(self) -> float | None:
        return None if self._end is None else max(self._end - time.monotonic(), 0.0)

    def _require_time(self) -> None:
        if self._time_left() == 0.0:
            raise OutOfTimeError

    def _folder(self, run: Run) -> Path:
        return self._output / run.corpus / run.name

    def _file(self, run: Run) -> Path:
        return self._folder(run) / "model.tflite"

    def _manifest(self, corpus: str) -> Path:
        return self._output / corpus / "manifest.jsonl"

    def _write_manifest(self, corpus: str) -> None:
        path = self._manifest(corpus)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_beside(path, CORPORA[corpus].manifest(self._data, path.parent).encode())


def _name(place: str) -> str:
    """An utterance's id without folders of this machine."""
    return "/".join(Path(place).parts[-2:])


def _commit() -> str:
    """The commit of the package, "+" behind it if it has been changed since."""

    def git(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )

    commit = git("rev-parse", "--short=12", "HEAD").stdout.strip()
    changed = git("diff", "--quiet", "HEAD", "--", "int4_conformer").returncode
    return commit + ("+" if changed else "")


def _json(result: dict[str, Any]) -> str:
    """JSON with a line for each utterance."""
    sets = result["sets"]
    shown = json.dumps(result | {"sets": {}}, indent=1)
    parts = []
    for name, found in sets.items():
        lines = ",\n   ".join(json.dumps(utterance) for utterance in found["utterances"])
        parts.append(
            f'  {json.dumps(name)}: {{"rtf": {found["rtf"]:.5f}, "utterances": [\n   {lines}]}}'
        )
    return shown.replace('"sets": {}', '"sets": {\n' + ",\n".join(parts) + "\n }")
