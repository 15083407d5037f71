"""The `config.json` of a training folder, which is read without TensorFlow."""

import json
from pathlib import Path
from typing import Any

from int4_conformer.errors import UserError

NAME = "config.json"
_PARTS = {"model", "tokenizer", "training"}


def read_run_config(folder: Path) -> dict[str, Any]:
    """What `model`, `tokenizer` and `training` of a run are, each as its `to_config` gave it.

    Raises:
        UserError: the folder is no training folder.
    """
    file = folder / NAME
    if not file.is_file():
        raise UserError(
            f"{folder} is no training folder: it has no {NAME}; "
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
