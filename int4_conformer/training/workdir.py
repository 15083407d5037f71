"""The folder of a training run: configuration, checkpoints, metrics."""

import json
import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.files import write_beside
from int4_conformer.layers.paths import by_path
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.tokenizer import Tokenizer, tokenizer_from_config
from int4_conformer.training.weight_average import WeightAverage

_PARTS = {"model", "tokenizer", "training"}


class Workdir:
    """A training folder.

    `config.json` holds the model's sizes and recipe, the tokenizer and the training settings;
    `checkpoints/last/` is where training goes on, `checkpoints/best/` holds the weights with the
    fewest word errors on the dev set; `metrics.jsonl` has a line per evaluation; `logs/` is
    TensorBoard's.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def create(
        self, model: TransducerConfig, tokenizer: Tokenizer, training: dict[str, Any]
    ) -> None:
        """Makes the folder, or takes one that holds the same configuration, to resume.

        A run that has not come to its first checkpoint is replaced.

        Raises:
            UserError: the folder holds a run of another configuration, or cannot be made.
        """
        config = {
            "model": model.to_config(),
            "tokenizer": tokenizer.to_config(),
            "training": training,
        }
        config = json.loads(json.dumps(config))
        file = self.path / "config.json"
        if file.exists():
            known = self._config()
            # As this version writes it, so that names of an earlier one do not differ.
            model = TransducerConfig.from_config(known["model"]).to_config()
            known["model"] = json.loads(json.dumps(model))
            changed = [
                f"{part}.{name}"
                for part in config
                for name in sorted(config[part].keys() | known[part].keys())
                if config[part].get(name) != known[part].get(name)
            ]
            if not changed:
                return
            if self.steps_done:
                raise UserError(
                    f"{self.path} holds a run with other settings ({', '.join(changed)} differ); "
                    "choose another folder, or the same settings to resume."
                )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The folder {self.path} cannot be made ({error.strerror}); choose another."
            ) from error
        write_beside(file, json.dumps(config, indent=1).encode())

    def metrics(self) -> list[dict[str, Any]]:
        """What each evaluation of the run found, oldest first."""
        file = self.path / "metrics.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def checkpoint_manager(self, checkpoint: tf.train.Checkpoint, kind: str) -> Any:
        """Keeps the newest checkpoint of a kind, "last" or "best"."""
        # A folder each: a manager takes all checkpoints that its folder records for its own, and
        # would delete those of the other kind.
        return tf.train.CheckpointManager(
            checkpoint, str(self._folder(kind)), max_to_keep=1, checkpoint_name="step"
        )

    def load(self, which: str | None = None) -> tuple[Transducer, Tokenizer]:
        """The trained model and its tokenizer.

        Args:
            which: "best" or "last"; None takes the best if there is one.

        Raises:
            UserError: the folder is no training folder, or has no such checkpoint.
        """
        config = self._config()
        kinds = ("best", "last") if which is None else (which,)
        kind = next((kind for kind in kinds if self.latest_checkpoint(kind)), None)
        if kind is None:
            raise UserError(
                f"{self.path} has no checkpoint yet ({' or '.join(kinds)}); "
                "train until its first evaluation."
            )
        model = Transducer(TransducerConfig.from_config(config["model"]))
        model.build()
        # The best weights are an average already, the last come with theirs.
        half_life = config["training"]["average"] if kind == "last" else 0
        average = WeightAverage(model.trainable_variables, half_life)
        checkpoint = tf.train.Checkpoint(model=weights_of(model), average=average)
        status = checkpoint.restore(self.latest_checkpoint(kind)).expect_partial()
        status.assert_existing_objects_matched()
        average.take_over()
        return model, tokenizer_from_config(config["tokenizer"])

    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the run.

        Raises:
            UserError: the folder is no training folder.
        """
        return tokenizer_from_config(self._config()["tokenizer"])

    def latest_checkpoint(self, kind: str) -> str | None:
        """Path prefix of the newest checkpoint of a kind, or None."""
        prefixes = [file.with_suffix("") for file in self._folder(kind).glob("step-*.index")]
        return str(max(prefixes, key=_step)) if prefixes else None

    @property
    def steps_done(self) -> int:
        """Steps after which training goes on."""
        last = self.latest_checkpoint("last")
        return 0 if last is None else _step(Path(last))

    def _folder(self, kind: str) -> Path:
        return self.path / "checkpoints" / kind

    def _config(self) -> dict[str, Any]:
        file = self.path / "config.json"
        if not file.is_file():
            raise UserError(
                f"{self.path} is no training folder: it has no config.json; "
                "give the folder that `int4-conformer train` wrote."
            )
        try:
            config = json.loads(file.read_text())
        except ValueError:
            config = None
        if not isinstance(config, dict) or not config.keys() >= _PARTS:
            raise UserError(
                f"{file} is not what `int4-conformer train` wrote; train in another folder."
            )
        return config


def weights_of(model: Transducer) -> tf.train.Checkpoint:
    """All weights of the model by path, as a part of a checkpoint.

    The model itself will not do: TensorFlow does not look into the lists that Keras tracks.
    """
    return tf.train.Checkpoint(**{path: weight.value for path, weight in by_path(model).items()})


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))
