"""Requests that TF Serving answers itself before it says that it is ready: without them the first
client waits for what TensorFlow prepares at a first call."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from int4_conformer import interface

# Where TF Serving looks for it.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
# Utterances at once, and seconds of each. Kernels are prepared once for all lengths.
_BATCHES = (1, 4)
_SECONDS = 1.0


def write_warmup(functions: Mapping[str, Any], folder: Path, sample_rate: int) -> None:
    """Writes requests for each signature beside a SavedModel.

    Args:
        functions: `tf.function`s with input signatures, by name of the signature.
        folder: of the SavedModel.
        sample_rate: of the model, in Hz.
    """
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, function in functions.items():
            for inputs in _inputs(function, sample_rate):
                request = predict_pb2.PredictRequest()
                request.model_spec.signature_name = name
                for given, value in inputs.items():
                    request.inputs[given].CopyFrom(_proto(value))
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString())


def _inputs(function: Any, sample_rate: int) -> Iterator[dict[str, np.ndarray]]:
    """Inputs of a signature, for each size of batch: noise as speech, zeros as states."""
    specs = {spec.name: spec for spec in tf.nest.flatten(function.input_signature)}
    pcm = specs.get(interface.PCM, tf.TensorSpec([None, None], tf.float32))
    samples = pcm.shape[1] or int(_SECONDS * sample_rate)
    for batch in _BATCHES:
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, [batch, samples]).astype(np.float32)
        files = [tf.audio.encode_wav(row[:, None], sample_rate).numpy() for row in noise]
        known = {
            interface.PCM: np.round(32767 * noise) if pcm.dtype == tf.int16 else noise,
            interface.LENGTH: np.full([batch], samples, np.int32),
            interface.AUDIO_BYTES: np.array(files),
            interface.PHRASES: np.full([batch, 1], ""),
            interface.BONUS: np.zeros([batch], np.float32),
        }
        if interface.ENCODED in specs:
            known[interface.LENGTH][:] = specs[interface.ENCODED].shape[1]
        yield {
            name: known[name].astype(spec.dtype.as_numpy_dtype)
            if name in known
            else np.zeros([batch, *spec.shape[1:]], spec.dtype.as_numpy_dtype)
            for name, spec in specs.items()
        }


def _proto(value: np.ndarray) -> tensor_pb2.TensorProto:
    """A tensor; of zeros one alone, since states of large models are megabytes of them."""
    if value.dtype.kind in "OUS" or value.any():
        return tf.make_tensor_proto(value)
    return tf.make_tensor_proto(value.dtype.type(0), shape=value.shape)
