"""What tests of several folders share."""

import contextlib
import dataclasses
import io
import shutil
from pathlib import Path
from typing import Any

import pytest

from int4_conformer.cli import main


def run_command(arguments) -> tuple[int, str]:
    """Exit status and standard output of `int4-conformer ARGUMENTS`, run in this process."""
    with pytest.raises(SystemExit) as exit_info, contextlib.redirect_stdout(io.StringIO()) as out:
        main.main([str(argument) for argument in arguments])
    return exit_info.value.code or 0, out.getvalue()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora beside the repository; skips where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real corpora of ../shared/data are absent")
    return folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run of `int4-conformer train`, interrupted at half its steps and begun again."""

    manifest: Path
    workdir: Path
    # What the command was given.
    arguments: tuple[str, ...]
    # The folder as the interrupt left it.
    interrupted: Path
    # Exit status of both commands.
    statuses: tuple[int, int]
    # What both commands printed.
    outputs: tuple[str, str]
    # The trainer of the second.
    trainer: Any


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> TrainedRun:
    """Four steps of the tiny recogniser, with XLA's compiling the dearest fixture there is."""
    from int4_conformer.models import config
    from int4_conformer.training.trainer import Trainer
    from tests import tiny

    folder = tmp_path_factory.mktemp("trained")
    manifest = tiny.write_corpus(folder)
    arguments = (
        "train",
        f"--manifest={manifest}",
        f"--workdir={folder / 'run'}",
        *("--preset=test", "--steps=4", "--evaluate_every=2", "--warmup=1", "--average=1"),
        *("--batch_seconds=1", "--buckets=1"),
    )
    trainers = []
    evaluate_and_save = Trainer._evaluate_and_save

    def interrupted(trainer, metrics):
        evaluate_and_save(trainer, metrics)
        raise KeyboardInterrupt

    def observed(trainer, metrics):
        trainers.append(trainer)
        return evaluate_and_save(trainer, metrics)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(config._PRESETS, "test", (tiny.ENCODER, tiny.JOINT_DIM))
        patch.setattr(Trainer, "_evaluate_and_save", interrupted)
        first = run_command(arguments)
        shutil.copytree(folder / "run", folder / "interrupted")
        patch.setattr(Trainer, "_evaluate_and_save", observed)
        second = run_command(arguments)
    (trainer,) = trainers
    return TrainedRun(
        manifest=manifest,
        workdir=folder / "run",
        arguments=arguments,
        interrupted=folder / "interrupted",
        statuses=(first[0], second[0]),
        outputs=(first[1], second[1]),
        trainer=trainer,
    )
