"""From any Keras model to a `.tflite` file with the trained integers."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.export.write_tflite import write_tflite


def export_keras_tflite(
    model: keras.Model,
    output: str | os.PathLike,
    *,
    batch_size: int | None = None,
    input_signature: Sequence[Any] | None = None,
) -> None:
    """Writes the inference of a model, quantized weights as the trained integers.

    The file's signature `serving_default` takes the model's inputs by their names. Layers that are
    not quantized are computed in float32, whatever their dtype policy. The file is run on inputs of
    several sizes before it is written. The integers are those of training under LiteRT's
    default, XNNPACK, or, if activations are symmetric ("a8dsym"), without it
    (`OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES`).

    Args:
        model: built.
        output: path of the file; replaced whole or not at all.
        batch_size: rows of every input; None lets the caller of the file resize them.
        input_signature: a `tf.TensorSpec`, or a structure of them, for each positional argument
            of the model's call. Only a subclassed model may need it: it is not known to have more
            than one argument, or one that is not float32.

    Raises:
        UserError: the shapes of the inputs are not known, or as `write_tflite`.
    """
    if not isinstance(model, keras.Model):
        raise UserError(
            f"`model` must be a keras.Model; wrap a layer in one. Received: {type(model).__name__}"
        )
    specs = _input_signature(model) if input_signature is None else list(input_signature)
    if batch_size is not None:
        specs = tf.nest.map_structure(
            lambda spec: tf.TensorSpec([batch_size, *spec.shape[1:]], spec.dtype, spec.name), specs
        )
    infer = tf.function(
        lambda *inputs: model(*inputs, training=False), input_signature=specs, autograph=False
    )

    def takes(inputs: Sequence[np.ndarray]) -> bool:
        try:
            model(*tf.nest.pack_sequence_as(specs, inputs), training=False)
        except Exception:  # Of whatever layer, for whatever reason.
            return False
        return True

    write_tflite({interface.SERVING_DEFAULT: infer}, model, output, takes=takes)


def _input_signature(model: keras.Model) -> list[Any]:
    """Specs of the model's one argument for any batch, as its inputs or its first call tell them.

    A single input is called "inputs".
    """
    if hasattr(model, "inputs"):
        # A Sequential model has no `input`.
        tensors = model.inputs[0] if len(model.inputs) == 1 else model.input
        specs = keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype, x.name), tensors)
    else:
        shapes = (model.get_build_config() or {}).get("input_shape")
        if shapes is None:
            raise UserError(
                f"The shapes of the inputs of {model.name!r} are not known; call the model once, "
                "give it Input layers, or give `input_signature`."
            )
        specs = keras.tree.map_shape_structure(tf.TensorSpec, shapes)
        if isinstance(specs, dict):
            specs = {key: tf.TensorSpec(spec.shape, spec.dtype, key) for key, spec in specs.items()}
    single = isinstance(specs, tf.TensorSpec)
    return tf.nest.map_structure(
        lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype, "inputs" if single else x.name),
        [specs],
    )
