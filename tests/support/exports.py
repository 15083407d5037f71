"""A recogniser in the forms that it is served in."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.export.saved_model import export_saved_model
from int4_conformer.layers.paths import by_path, layers_by_path, quantization_variables
from int4_conformer.layers.quantized import Quantized
from int4_conformer.models.transducer import Transducer
from int4_conformer.quant.numerics.weight import quantize_weight
from tests.support import tiny

# Longest utterance of the SavedModel.
MAX_SECONDS = 3.0


@dataclasses.dataclass(kw_only=True)
class Exports:
    """A model and what is exported of it."""

    model: Transducer
    saved_model: Path

    @functools.cached_property
    def tflite(self) -> Path:
        """The `.tflite` file, made when it is first asked for."""
        path = self.saved_model.with_suffix(".tflite")
        export_tflite(self.model, tiny.TOKENIZER, path)
        return path


def exported(model: Transducer, folder: Path) -> Exports:
    """Exports a model into a folder."""
    folder = folder / "model"
    export_saved_model(model, tiny.TOKENIZER, folder, max_seconds=MAX_SECONDS)
    return Exports(model=model, saved_model=folder)


def assert_weights_alike(model: Transducer, expected: Transducer) -> None:
    """A model has the codes and scales of another, and its float weights, to the bit."""
    values, others = by_path(model), by_path(expected)
    floats = {id(x) for x in model.weights} - quantization_variables(model)
    for layer in (layer for _, layer in layers_by_path(model) if isinstance(layer, Quantized)):
        for weight, shape, axis in layer.matrices():
            if layer.quant.weight_bits is not None:
                floats.discard(id(weight))
                name = next(name for name, other in values.items() if other is weight)
                matrices = (np.reshape(x[name].numpy(), shape) for x in (values, others))
                found, wanted = (quantize_weight(x, layer.quant, axis) for x in matrices)
                np.testing.assert_array_equal(found.codes, wanted.codes, err_msg=name)
                np.testing.assert_array_equal(found.scale, wanted.scale, err_msg=name)
    for name, weight in values.items():
        if id(weight) in floats:
            np.testing.assert_array_equal(weight, others[name], err_msg=name)
