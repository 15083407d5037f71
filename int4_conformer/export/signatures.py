"""The signatures of an exported recogniser, as `interface` describes them."""

from collections.abc import Callable, Sequence
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
    length = tf.TensorSpec([1], tf.int32, name=interface.LENGTH)
    functions[interface.FIRST_PASS] = stepping(stream.first_pass, [pcm, length], states[0])
    if model.second_pass is not None:
        shape = [1, stream.second_frames, model.config.encoder.dim]
        encoded = tf.TensorSpec(shape, tf.float32, name=interface.ENCODED)
        functions[interface.SECOND_PASS] = stepping(
            stream.second_pass, [encoded, length], states[1]
        )
    return functions


def stepping(step: Callable[..., Any], inputs: Sequence[tf.TensorSpec], state: State) -> Any:
    """A `tf.function` of a step on a segment.

    Args:
        step: takes the inputs and a state, and returns a dictionary of outputs and the next state.
        inputs: named specs of what it takes.
        state: the initial one.

    Returns:
        what takes the inputs and the state that came before; one flat dictionary of outputs and
        state comes out.
    """
    # LiteRT cannot give back a tensor of no values, as states of no left context are.
    empty = {name: x for name, x in state.items() if not x.shape.num_elements()}
    specs = {
        name: tf.TensorSpec(x.shape, x.dtype, name=name)
        for name, x in state.items()
        if name not in empty
    }

    @tf.function(input_signature=[*inputs, specs], autograph=False)
    def run(*given: Any) -> dict[str, tf.Tensor]:
        *values, before = given
        outputs, after = step(*values, before | empty)
        return outputs | {name: after[name] for name in specs}

    return run


def recognition(model: Transducer) -> Any:
    """A `tf.function` of greedy recognition of one utterance: `serving_default`."""
    pcm = tf.TensorSpec([None], tf.float32, name=interface.PCM)

    @tf.function(input_signature=[pcm], autograph=False)
    def recognize(pcm: tf.Tensor) -> dict[str, tf.Tensor]:
        found = model.recognize(pcm[None])
        return {name: x[0] for name, x in as_outputs(found).items()}

    return recognize
