"""The signatures of an exported recogniser, as `interface` describes them."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from int4_conformer import interface
from int4_conformer.layers.steppable import State
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.transducer_stream import TransducerStream, as_outputs


def signatures(model: Transducer, segment_seconds: float) -> dict[str, Any]:
    """A `tf.function` for each signature.

    Args:
        model: trained.
        segment_seconds: as `TransducerStream`.
    """
    functions = {interface.SERVING_DEFAULT: recognition(model)}
    if not model.is_streamable:
        return functions
    stream = TransducerStream(model, segment_seconds)
    states = stream.initial_states(batch=1)
    pcm = tf.TensorSpec([1, stream.samples], tf.float32, name=interface.PCM)
    functions[interface.FIRST_PASS] = _step(stream.first_pass, pcm, states[0])
    if model.second_pass is not None:
        shape = [1, stream.second_frames, model.config.encoder.dim]
        encoded = tf.TensorSpec(shape, tf.float32, name=interface.ENCODED)
        functions[interface.SECOND_PASS] = _step(stream.second_pass, encoded, states[1])
    return functions


def _step(step: Callable[..., Any], given: tf.TensorSpec, state: State) -> Any:
    """Runs a pass on a segment; one flat dictionary of outputs and state comes out."""
    length = tf.TensorSpec([1], tf.int32, name=interface.LENGTH)
    # LiteRT cannot give back a tensor of no values, as states of no left context are.
    empty = {name: x for name, x in state.items() if not x.shape.num_elements()}
    specs = {
        name: tf.TensorSpec(x.shape, x.dtype, name=name)
        for name, x in state.items()
        if name not in empty
    }

    @tf.function(input_signature=[given, length, specs], autograph=False)
    def run(given: tf.Tensor, length: tf.Tensor, state: State) -> dict[str, tf.Tensor]:
        outputs, after = step(given, length, state | empty)
        return outputs | {name: after[name] for name in state}

    return run


def recognition(model: Transducer) -> Any:
    """A `tf.function` of greedy recognition of one utterance: `serving_default`."""
    pcm = tf.TensorSpec([None], tf.float32, name=interface.PCM)

    @tf.function(input_signature=[pcm], autograph=False)
    def recognize(pcm: tf.Tensor) -> dict[str, tf.Tensor]:
        found = model.recognize(pcm[None])
        return {name: x[0] for name, x in as_outputs(found).items()}

    return recognize
