"""The weights that a new run starts from."""

import dataclasses
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf

from int4_conformer.errors import UserError, did_you_mean
from int4_conformer.layers.paths import by_path, quantization_variables
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.weight_import import WeightImport, import_weights
from int4_conformer.models.weight_mapping import WeightMapping
from int4_conformer.pretrained.registry import pretrained_models
from int4_conformer.remote_path import path_of
from int4_conformer.training.exported_model import load_exported
from int4_conformer.training.workdir import Workdir

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitialWeights:
    """Where the weights come from."""

    # As `read_weights` takes it.
    path: str
    # From the names there to ours.
    mapping: WeightMapping = dataclasses.field(default_factory=WeightMapping)
    # Regular expression of our weights that need not be there.
    may_miss: str = ""

    def give_to(self, model: Transducer) -> WeightImport:
        """Sets the weights of a model.

        Raises:
            UserError: as `read_weights` or `import_weights`.
        """
        try:
            return import_weights(
                model, read_weights(self.path), self.mapping, may_miss=self.may_miss
            )
        except UserError as error:
            raise UserError(f"{self.path} cannot be started from: {error}") from error


def read_weights(path: str) -> dict[str, np.ndarray]:
    """Weights by name.

    Args:
        path: a folder that `int4-conformer train` wrote (its best weights, or else its last); a
            `.tflite` file that `int4-conformer export` wrote; an `.npz` file; a `.weights.h5` or
            `.keras` file of Keras, whose names are the paths of its datasets, such as
            "encoder/blocks/0/norm/vars/0"; or the prefix of a TensorFlow checkpoint.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    file = path_of(path)
    if file.is_dir():
        return {name: weight.numpy() for name, weight in by_path(Workdir(path).load()[0]).items()}
    if file.name.endswith(".tflite"):
        return _tflite(path)
    if Path(f"{path}.index").is_file():
        return _read(path, _checkpoint)
    for suffix, reader in _READERS.items():
        if file.name.endswith(suffix):
            if not file.is_file():
                raise UserError(f"There is no file {path}; check the path.")
            return _read(path, reader)
    raise UserError(
        f"{path} holds no weights that can be read; give a training folder, a .tflite, .npz, .h5 "
        "or .keras file, the prefix of a TensorFlow checkpoint, or a name that `int4-conformer "
        f"models` lists{did_you_mean(path, pretrained_models())}."
    )


def _read(path: str, reader: Callable[[str], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    try:
        return reader(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, tf.errors.OpError) as error:
        raise UserError(
            f"{path} is damaged, or not what its name says ({type(error).__name__}); write it anew."
        ) from error


def _tflite(path: str) -> dict[str, np.ndarray]:
    model, _ = load_exported(path)
    added = quantization_variables(model)
    return {name: x.numpy() for name, x in by_path(model).items() if id(x) not in added}


def _npz(path: str) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def _h5(file: str | io.BytesIO) -> dict[str, np.ndarray]:
    values: dict[str, np.ndarray] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            values[name] = item[()]

    with h5py.File(file) as root:
        root.visititems(visit)
    return values


def _keras(path: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        return _h5(io.BytesIO(archive.read("model.weights.h5")))


def _checkpoint(path: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(path)
    return {
        _plain(name): reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }


def _plain(name: str) -> str:
    """A key of an object-based checkpoint as the path that it stands for; others as they are."""
    if not name.endswith(_VALUE):
        return name
    # TensorFlow's escapes, of which ".S" is a slash and ".." a dot.
    return re.sub(
        r"\.([S.])", lambda match: {"S": "/", ".": "."}[match[1]], name.removesuffix(_VALUE)
    )


_READERS = {".npz": _npz, ".h5": _h5, ".keras": _keras}
