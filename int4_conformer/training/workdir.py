"""The folder of a training run: configuration, checkpoints, metrics."""

import json
import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.files import write_beside
from int4_conformer.models.config import TransducerConfig
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.tokenizer import Tokenizer, tokenizer_from_config


class Workdir:
    """A training folder.

    `config.json` holds the model's sizes and recipe, the tokenizer and the training settings;
    `checkpoints/last-*` is where training goes on, `checkpoints/best-*` holds the weights with the
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

        Raises:
            UserError: the folder holds a run of another configuration.
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
            changed = [key for key in config if known.get(key) != config[key]]
            if changed:
                raise UserError(
                    f"{self.path} holds a run with other settings ({', '.join(changed)} differ); "
                    "choose another folder, or the same settings to resume."
                )
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_beside(file, json.dumps(config, indent=1).encode())

    def checkpoint_manager(self, checkpoint: tf.train.Checkpoint, kind: str) -> Any:
        """Keeps the newest checkpoint of a kind, "last" or "best"."""
        return tf.train.CheckpointManager(
            checkpoint, str(self.path / "checkpoints"), max_to_keep=1, checkpoint_name=kind
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
        found = [found for kind in kinds if (found := self.latest_checkpoint(kind))]
        if not found:
            raise UserError(
                f"{self.path} has no checkpoint yet ({' or '.join(kinds)}); "
                "train until its first evaluation."
            )
        model = Transducer(TransducerConfig.from_config(config["model"]))
        model.create_weights()
        tf.train.Checkpoint(model=model).restore(found[0]).expect_partial()
        return model, tokenizer_from_config(config["tokenizer"])

    def latest_checkpoint(self, kind: str) -> str | None:
        """Path prefix of the newest checkpoint of a kind, or None."""
        indices = sorted(
            (self.path / "checkpoints").glob(f"{kind}-*.index"),
            key=lambda file: int(file.stem.rsplit("-", 1)[1]),
        )
        return str(indices[-1].with_suffix("")) if indices else None

    def _config(self) -> dict[str, Any]:
        file = self.path / "config.json"
        if not file.is_file():
            raise UserError(
                f"{self.path} is no training folder: it has no config.json; "
                "give the folder that `int4-conformer train` wrote."
            )
        return json.loads(file.read_text())
