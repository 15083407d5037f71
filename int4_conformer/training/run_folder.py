"""What a training folder says of itself, without TensorFlow."""

from typing import Any

from int4_conformer.errors import UserError
from int4_conformer.files import json_value
from int4_conformer.remote_path import AnyPath

CONFIG = "config.json"
_PARTS = {"model", "tokenizer", "training"}


def read_run_config(folder: AnyPath) -> dict[str, Any]:
    """What `model`, `tokenizer` and `training` of a run are, each as its `to_config` gave it.

    Raises:
        UserError: the folder is no training folder.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise UserError(
            f"{folder} is no training folder: it has no {CONFIG}; "
            "give the folder that `int4-conformer train` wrote."
        )
    try:
        config = json_value(file.read_text())
    except ValueError:
        config = None
    if not isinstance(config, dict) or any(
        not isinstance(config.get(part), dict) for part in _PARTS
    ):
        raise UserError(
            f"{folder} is no training folder: {file} is not what `int4-conformer train` wrote; "
            "train in another folder."
        )
    return config


def checkpoint_steps(folder: AnyPath) -> dict[str, list[int]]:
    """The steps whose checkpoints a run keeps, of the kinds "best" and "last", oldest first."""
    return {
        kind: sorted(
            int(file.stem.removeprefix("step-"))
            for file in (folder / "checkpoints" / kind).glob("step-*.index")
        )
        for kind in ("best", "last")
    }
