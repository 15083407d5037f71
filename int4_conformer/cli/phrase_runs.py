"""Trainings on phrases alone: what is usual for them, and the file that they end with."""

import os
from typing import TYPE_CHECKING, Any

from int4_conformer.cli import app
from int4_conformer.cli.library_noise import held_back
from int4_conformer.errors import UserError
from int4_conformer.pretrained.registry import named_file
from int4_conformer.progress import waiting
from int4_conformer.remote_path import is_remote

if TYPE_CHECKING:
    from int4_conformer.training.workdir import Workdir

# In the folder of the run.
FILE = "model.tflite"
# Minutes of training on two cores, and a model that hears streams.
FROM_NOTHING = {
    "preset": "cascaded_tiny",
    "steps": 1200,
    "batch_seconds": 32.0,
    "learning_rate": 3e-3,
    "warmup": 200,
    "average": 50,
    "evaluate_every": 400,
    # Synthesisers speak as loud as each other; people and their microphones do not.
    "volume_db": 20.0,
}
# Where it begins with weights.
FROM_WEIGHTS = {"steps": 800, "learning_rate": 1e-3, "warmup": 100}


def usual_settings(init_from: str | None) -> dict[str, Any]:
    """Flags of `train` that stand for its own defaults with `--phrases`, by their names.

    Args:
        init_from: weights that the run begins with; a `.tflite` file brings its sizes.

    Example:

        >>> usual_settings(None)["preset"], usual_settings("model.tflite")["preset"]
        ('cascaded_tiny', None)
    """
    if init_from is None:
        return FROM_NOTHING
    usual = FROM_NOTHING | FROM_WEIGHTS
    return usual | {"preset": None} if named_file(init_from).endswith(".tflite") else usual


def exported(workdir: "Workdir") -> str | None:
    """Writes the recogniser of a run as a file into its folder.

    Returns:
        its path; None, and the user is told, if there can be none: the training is not lost by it.
    """
    from int4_conformer.export import export_tflite

    if is_remote(workdir.path):
        app.tell(f"{workdir.path} is in the cloud, where no {FILE} is written; export it here.")
        return None
    file = os.path.join(workdir.path, FILE)
    try:
        with held_back() as stderr, waiting("exporting", file=stderr):
            export_tflite(*workdir.load(), file)
    except UserError as error:
        app.complain(f"No {FILE} was written: {error}")
        return None
    return file
