"""The signatures of an exported recogniser, as `interface` describes them."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer import interface
from int4_conformer.layers.steppable import State
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.transducer_stream import TransducerStream, as_outputs


def signatures(model: Transducer, segment_seconds: float) -> dict[str, Any]:
    """A `tf.function` for each signature of a file.

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


def stepping(
    step: Callable[..., Any],
    inputs: Sequence[tf.TensorSpec],
    state: State,
    *,
    batch: int | None = 1,
) -> Any:
    """A `tf.function` of a step on a segment.

    Args:
        step: takes the inputs and a state, and returns a dictionary of outputs and the next state.
        inputs: named specs of what it takes.
        state: the initial one, of one utterance.
        batch: how many utterances the function takes; None for any.

    Returns:
        what takes the inputs and the state that came before; one flat dictionary of outputs and
        state comes out.
    """
    names = {name: exported_name(name) for name in state}
    # LiteRT cannot give back a tensor of no values, as states of no left context are.
    empty = {name: x for name, x in state.items() if not x.shape.num_elements()}
    specs = {
        names[name]: tf.TensorSpec([batch, *x.shape[1:]], x.dtype, name=names[name])
        for name, x in state.items()
        if name not in empty
    }

    @tf.function(input_signature=[*inputs, specs], autograph=False)
    def run(*given: Any) -> dict[str, tf.Tensor]:
        *values, before = given
        nothing = empty
        if batch is None:
            rows = tf.shape(values[0])[:1]
            nothing = {name: tf.repeat(x, rows, axis=0) for name, x in empty.items()}
        known = {name: before[names[name]] for name in state if name not in empty}
        outputs, after = step(*values, known | nothing)
        return outputs | {names[name]: after[name] for name in known}

    return run


def exported_name(name: str) -> str:
    """The name of a part of a state in a signature, as input and output: inputs may hold no
    slash."""
    return name.replace("/", "_")


def recognition(model: Transducer) -> Any:
    """A `tf.function` of greedy recognition of one utterance: `serving_default`."""
    pcm = tf.TensorSpec([None], tf.float32, name=interface.PCM)

    @tf.function(input_signature=[pcm], autograph=False)
    def recognize(pcm: tf.Tensor) -> dict[str, tf.Tensor]:
        found = model.recognize(pcm[None])
        return {name: x[0] for name, x in as_outputs(found).items()}

    return recognize
