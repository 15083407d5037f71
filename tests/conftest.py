"""What tests of several folders share."""

import dataclasses
import gc
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import commands

# Programs of XLA that run once or twice are ready sooner if LLVM does not optimise them. Processes
# that tests start inherit it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# Fixtures that are dear: all tests that ask for one run on the same worker, where it is made once.
SHARED = ("trained", "cascade_exports")
# Groups of files that take longest, by the fixture that they share or by the file's name. They
# begin first, so that none of them is what the other workers wait for in the end.
LONGEST = (
    "trained",
    "cascade_exports",
    "test_training_step",
    "test_recognizer_tflite",
    "test_pairs",
    "test_docs",
    "test_survival",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Names the group of each test for `--dist loadgroup`, and sorts the groups."""
    shared = {item: fixture for item in items for fixture in SHARED if fixture in item.fixturenames}
    # A test that needs none of those runs where others of its file do, and shares theirs.
    files = {item.path: item.path.stem for item in items}
    files |= {item.path: fixture for item, fixture in shared.items()}
    groups = {item: shared.get(item, files[item.path]) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    places = {group: place for place, group in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(groups[item], len(places)))


def pytest_collection_finish(session):
    """What was imported stays: garbage is not looked for in it, neither when Python thinks it time
    nor when TensorFlow's converter does."""
    if getattr(session.config.option, "loadgroup", False):
        # By their names the groups reach the process that deals the tests out.
        assert all("@" in item.nodeid for item in session.items), "xdist sees no groups of tests"
    gc.collect()
    gc.freeze()


@pytest.fixture
def eagerly():
    """Runs `tf.function`s op by op."""
    from tests.support import running

    with running.eagerly():
        yield


@pytest.fixture
def without_pieces():
    """XLA compiles no pieces of graphs that are not its own; `tests/test_xla.py` is about them."""
    from int4_conformer import xla

    with xla.without_pieces():
        yield


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
    from tests.support import running, tiny

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
        patch.setattr(Trainer, "_save", interrupted)
        # XLA would take longer to compile the step than these two steps take without it.
        with running.eagerly():
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


@pytest.fixture(scope="session")
def cascade_exports(tmp_path_factory):
    """A recogniser of two passes that streams, as a SavedModel and as a `.tflite` file: to look at,
    not to change."""
    from tests.support import exports, pairs

    model = pairs.built("cascade", "averaged", pairs.W4A8)
    pairs.say_words(model, blank=0.3, space=2.0)
    return exports.exported(model, tmp_path_factory.mktemp("cascade"))


@pytest.fixture(scope="session")
def fixed_export(tmp_path_factory) -> tuple[Any, Path]:
    """A recogniser of one pass that streams, and its `.tflite` file, whose whole utterances are
    2 s: to look at, not to change."""
    from int4_conformer.export.recognizer_tflite import export_tflite
    from tests.support import pairs, tiny

    model = pairs.built("transformer", "averaged", pairs.W4A8)
    pairs.say_words(model, blank=1.5, space=1.5)
    path = tmp_path_factory.mktemp("fixed") / "model.tflite"
    export_tflite(model, tiny.TOKENIZER, path, fixed_seconds=2.0)
    return model, path
