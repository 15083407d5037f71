"""The folder of a training run: configuration, checkpoints, metrics."""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.files import append_json_line, json_lines, write_beside, write_json_lines
from int4_conformer.layers.paths import by_path
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.remote_path import AnyPath, is_remote, path_of
from int4_conformer.text.tokenizer import Tokenizer, tokenizer_from_config
from int4_conformer.training.checkpoints import Checkpoints, step_of
from int4_conformer.training.run_folder import CONFIG, read_run_config
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.weight_average import WeightAverage

# What runs of earlier versions, which do not know some settings, are taken to have.
_DEFAULTS = TrainingConfig().to_config()

# Settings that a run may go on with others of.
_FREE = {
    f"training.{name}"
    for name in (
        *("steps", "evaluate_every", "checkpoint_minutes", "steps_per_loop", "log_every"),
        *("profile", "cache", "cache_folder", "data_service"),
    )
}


class Workdir:
    """A training folder.

    `config.json` holds the model's sizes and recipe, the tokenizer and the training settings;
    `checkpoints/last/` is where training goes on, `checkpoints/best/` holds the weights with the
    fewest word errors on the dev set; `metrics.jsonl` has a line per evaluation, `progress.jsonl`
    one every few steps, `transcripts.jsonl` one per utterance of the newest evaluation,
    `commands.jsonl` one per start; `skipped/` has manifests of batches that were skipped; `logs/`
    is TensorBoard's; `lock` is held by the training that writes.

    Args:
        path: the folder, on this machine or in the cloud (gs://bucket/run).
        writes: whether anything is written; of several workers that train together, all read and
            one writes.
    """

    def __init__(self, path: str | os.PathLike, writes: bool = True):
        self.path = path_of(path)
        self.writes = writes
        # By which a training knows that it still holds a folder in the cloud.
        self._claim: str | None = None

    @property
    def logs(self) -> AnyPath:
        return self.path / "logs"

    def create(
        self, model: TransducerConfig, tokenizer: Tokenizer, training: dict[str, Any]
    ) -> None:
        """Makes the folder, or takes one that holds the same configuration, to resume.

        A run that has not come to its first checkpoint is replaced.

        Raises:
            UserError: the folder holds a run of another configuration, or cannot be made.
        """
        if not self.writes:
            return
        config = {
            "model": model.to_config(),
            "tokenizer": tokenizer.to_config(),
            "training": _DEFAULTS | training,
        }
        config = json.loads(json.dumps(config))
        file = self.path / CONFIG
        if file.exists():
            known = read_run_config(self.path)
            # As this version writes it, so that names of an earlier one do not differ.
            model = TransducerConfig.from_config(known["model"]).to_config()
            known["model"] = json.loads(json.dumps(model))
            known["training"] = _DEFAULTS | known["training"]
            changed = {
                f"{part}.{name}": (known[part].get(name), config[part].get(name))
                for part in config
                for name in sorted(config[part].keys() | known[part].keys())
                if config[part].get(name) != known[part].get(name)
            }
            if not changed:
                return
            fixed = [
                f"{name} was {_short(old)} and is {_short(new)}"
                for name, (old, new) in changed.items()
                if name not in _FREE
            ]
            if fixed and self.steps_done:
                raise UserError(
                    f"{self.path} holds a run with other settings ({'; '.join(fixed)}). Give those "
                    f"to go on, or train in another folder, with --init_from={self.path} to start "
                    "from its weights."
                )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The folder {self.path} cannot be made ({error.strerror}); choose another."
            ) from error
        write_beside(file, json.dumps(config, indent=1).encode())

    def as_begun(self, model: TransducerConfig) -> TransducerConfig:
        """The model with what no flag says and a run in the folder was begun with.

        Runs of earlier versions have a front end that keeps an offset of the microphone.
        """
        if not self.steps_done:
            return model
        begun = TransducerConfig.from_config(read_run_config(self.path)["model"]).front_end
        front_end = dataclasses.replace(model.front_end, remove_dc_offset=begun.remove_dc_offset)
        return dataclasses.replace(model, front_end=front_end)

    def metrics(self) -> list[dict[str, Any]]:
        """What each evaluation of the run found, oldest first."""
        return list(json_lines(self.path / "metrics.jsonl"))

    def forget_after(self, step: int) -> None:
        """Removes what later steps wrote into curves and metrics, and lines not finished."""
        for file in (self.path / "metrics.jsonl", self.path / "progress.jsonl"):
            if self.writes and file.exists():
                write_json_lines(file, [row for row in json_lines(file) if row["step"] <= step])

    def note_command(self, argv: Sequence[str], settings: Mapping[str, Any]) -> None:
        """Adds to `commands.jsonl` by which command, and so which settings, the run starts or goes
        on."""
        if not self.writes:
            return
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        row = {"time": now, "step": self.steps_done, "argv": list(argv), "settings": dict(settings)}
        append_json_line(self.path / "commands.jsonl", row)

    def compile_seconds(self) -> dict[str, float]:
        """How long programs took to compile when this was last done, by name."""
        file = self.path / "compile_seconds.json"
        with contextlib.suppress(OSError, ValueError):
            return json.loads(file.read_text())
        return {}

    def keep_compile_seconds(self, seconds: Mapping[str, float]) -> None:
        """Keeps that."""
        if self.writes:
            write_beside(self.path / "compile_seconds.json", json.dumps(seconds).encode())

    def checkpoints(self, kind: str) -> Checkpoints:
        """Those of a kind: of "last" the two newest, of "best" one.

        Raises:
            UserError: this training held the folder, and another has taken it over.
        """
        if self._claim is not None and self._holder() != self._claim:
            raise UserError(
                f"Another training has taken over {self.path} ({self._holder()}); this one ends. "
                "Give each a folder of its own."
            )
        keep = 2 if kind == "last" else 1
        return Checkpoints(self.path / "checkpoints" / kind, keep=keep, writes=self.writes)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other trainings out of the folder for a while.

        Folders in the cloud have no locks that end with a process: there a training takes the
        folder over, and one that held it finds out before its next checkpoint (`checkpoints`).

        Raises:
            UserError: one is at work in it.
        """
        if not self.writes:
            yield
            return
        if is_remote(self.path):
            self._claim = f"process {os.getpid()} of {socket.gethostname()}, {uuid.uuid4()}"
            write_beside(self.path / "lock", self._claim.encode())
            try:
                yield
            finally:
                self._claim = None
            return
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                raise UserError(
                    f"Another training writes into {self.path} (process {file.read().strip()}); "
                    "wait for it, stop it, or choose another folder."
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def _holder(self) -> str:
        """Of a folder in the cloud, the training that took it last."""
        try:
            return (self.path / "lock").read_text()
        except FileNotFoundError:
            return "nobody knows which"

    def load(
        self, which: str | None = None, blank_penalty: float | None = None
    ) -> tuple[Transducer, Tokenizer]:
        """The trained model and its tokenizer.

        Args:
            which: "best" or "last"; None takes the best if there is one.
            blank_penalty: of the model; None for that of training.

        Raises:
            UserError: the folder is no training folder, or has no such checkpoint.
        """
        config = read_run_config(self.path)
        kinds = ("best", "last") if which is None else (which,)
        found = ((kind, self.latest_checkpoint(kind)) for kind in kinds)
        kind, prefix = next((pair for pair in found if pair[1] is not None), (None, None))
        if prefix is None:
            raise UserError(
                f"{self.path} has no checkpoint yet ({' or '.join(kinds)}); "
                "train until its first evaluation."
            )
        model_config = TransducerConfig.from_config(config["model"])
        if blank_penalty is not None:
            model_config = dataclasses.replace(model_config, blank_penalty=blank_penalty)
        model = Transducer(model_config)
        model.build()
        # The best weights are an average already, the last come with theirs.
        half_life = config["training"]["average"] if kind == "last" else 0
        average = WeightAverage(model.trainable_variables, half_life)
        checkpoint = tf.train.Checkpoint(model=weights_of(model), average=average)
        status = checkpoint.read(prefix).expect_partial()
        status.assert_existing_objects_matched()
        average.take_over()
        return model, tokenizer_from_config(config["tokenizer"])

    def latest_checkpoint(self, kind: str) -> str | None:
        """Path prefix of the newest checkpoint of a kind, or None."""
        prefix = self.checkpoints(kind).latest()
        return None if prefix is None else str(prefix)

    @property
    def steps_done(self) -> int:
        """Steps after which training goes on."""
        last = self.checkpoints("last").latest()
        return 0 if last is None else step_of(last)


def _short(value: Any) -> str:
    """A setting as a sentence has room for it."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]} ..."


def weights_of(model: Transducer) -> tf.train.Checkpoint:
    """All weights of the model by path, as a part of a checkpoint.

    The model itself will not do: TensorFlow does not look into the lists that Keras tracks.
    """
    return tf.train.Checkpoint(**{path: weight.value for path, weight in by_path(model).items()})


def random_state_of(model: Transducer) -> tf.train.Checkpoint:
    """Where the generators of dropout and noise are, as a part of a checkpoint."""
    known = {id(weight) for weight in model.weights}
    states = [variable for variable in model.variables if id(variable) not in known]
    return tf.train.Checkpoint(**{f"state_{i}": state.value for i, state in enumerate(states)})
