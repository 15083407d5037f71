"""A trained recogniser, read back from the file that was exported of it."""

import os

import numpy as np

from int4_conformer.layers.paths import by_path, layers_by_path, quantization_variables
from int4_conformer.layers.quantized import Quantized
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.tokenizer import Tokenizer
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.held_weights import HeldWeights
from int4_conformer.training.exported_file import read_exported


def load_exported(path: str | os.PathLike) -> tuple[Transducer, Tokenizer]:
    """The model of a recogniser's file, and its tokenizer.

    Its integers are those of the file, to the bit. Of the weights that they were rounded from, a
    file knows nothing: the model has the values that the integers stand for. What only training
    uses is not in a file: CTC heads, and what quantization learned beside the weights.

    Raises:
        UserError: as `read_exported`.
    """
    exported = read_exported(path)
    held = HeldWeights(flatbuffer.load(exported.content, str(path)), exported.places)
    model = Transducer(exported.config)
    model.build()
    matrices = {
        id(weight): (shape, axis)
        for _, layer in layers_by_path(model)
        if isinstance(layer, Quantized)
        for weight, shape, axis in layer.matrices()
    }
    added = quantization_variables(model)
    with flatbuffer.damage_told(str(path)):
        for name, variable in by_path(model).items():
            if id(variable) in added:
                continue
            value = held.matrix(name)
            if value is None:
                value = held.weight(name, variable.shape)
            else:
                value = _of_matrix(value, *matrices[id(variable)])
            if value is None:
                raise flatbuffer.damaged(str(path), f"it lacks {name}")
            variable.assign(value.reshape(variable.shape))
    return model, exported.tokenizer


def _of_matrix(matrix: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """A matrix [out, in] as its layer has it, without inputs that fill whole bytes."""
    matrix = matrix[:, : shape[axis]]
    return matrix.T if axis == 0 else matrix
