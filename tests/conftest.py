"""What tests of several folders share."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import commands


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora beside the repository; skips where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real corpora of ../shared/data are absent")
    return folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run of `int4-conformer train`, interrupted at half its steps and resumed with a dev set."""

    manifest: Path
    workdir: Path
    # What the command was given.
    arguments: tuple[str, ...]
    # The folder as the interrupt left it.
    interrupted: Path
    # Every variable of its trainer at the interrupt.
    variables: list[np.ndarray]
    # How both commands ended.
    results: tuple[commands.Result, commands.Result]
    # The trainer of the second.
    trainer: Any


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> TrainedRun:
    """Four steps of the tiny recogniser, with XLA's compiling the dearest fixture there is."""
    from int4_conformer.models import presets
    from int4_conformer.training.trainer import Trainer
    from tests.support import tiny

    folder = tmp_path_factory.mktemp("trained")
    manifest = tiny.write_corpus(folder)
    arguments = (
        "train",
        f"--manifest={manifest}",
        f"--workdir={folder / 'run'}",
        *("--preset=test", "--steps=4", "--evaluate_every=2", "--warmup=1", "--average=1"),
        *("--batch_seconds=1", "--buckets=1"),
    )
    variables, trainers = [], []
    save, resume_or_start = Trainer._save, Trainer._resume_or_start

    def uncompiled(trainer):
        # XLA would take longer to compile the step than these two steps take without it.
        step = trainer.model.training_step
        step._run_replica = step._replica_step
        resume_or_start(trainer)

    def interrupted(trainer, step):
        save(trainer, step)
        variables.extend(variable.numpy() for variable in tiny.trained_variables(trainer))
        raise KeyboardInterrupt

    def observed(trainer):
        trainers.append(trainer)
        resume_or_start(trainer)

    with pytest.MonkeyPatch.context() as patch:
        test = presets.Preset(encoder=tiny.ENCODER, joint_dim=tiny.JOINT_DIM)
        patch.setitem(presets.PRESETS, "test", test)
        patch.setattr(Trainer, "_resume_or_start", uncompiled)
        patch.setattr(Trainer, "_save", interrupted)
        first = commands.run(*arguments, "--dev_split=")
        shutil.copytree(folder / "run", folder / "interrupted")
        patch.setattr(Trainer, "_save", save)
        patch.setattr(Trainer, "_resume_or_start", observed)
        second = commands.run(*arguments)
    (trainer,) = trainers
    return TrainedRun(
        manifest=manifest,
        workdir=folder / "run",
        arguments=arguments,
        interrupted=folder / "interrupted",
        variables=variables,
        results=(first, second),
        trainer=trainer,
    )


@pytest.fixture(scope="session")
def exported_run(trained, tmp_path_factory) -> tuple[Path, commands.Result]:
    """The file that `int4-conformer export` made of that run, and how the command ended."""
    output = tmp_path_factory.mktemp("exported") / "recognizer.tflite"
    output.write_bytes(b"an older file")
    return output, commands.run("export", trained.workdir, f"--output={output}")
