"""The signatures of an exported recogniser, as `interface` describes them."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer import interface
from int4_conformer.audio.samples import MAX_PEAK
from int4_conformer.layers.steppable import State
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.transducer_stream import TransducerStream, as_outputs


def signatures(
    model: Transducer, segment_seconds: float, *, checked: bool = False
) -> dict[str, Any]:
    """A `tf.function` for each signature.

    Args:
        model: trained.
        segment_seconds: as `TransducerStream`.
        checked: whether the graphs refuse audio of another shape or range, as a
            `tf.errors.InvalidArgumentError`; TFLite has no operator for that.
    """
    check = _checked if checked else tf.identity
    functions = {interface.SERVING_DEFAULT: recognition(model, check)}
    if not model.is_streamable:
        return functions
    stream = TransducerStream(model, segment_seconds)
    states = stream.initial_states(batch=1)
    pcm = tf.TensorSpec([1, stream.samples], tf.float32, name=interface.PCM)
    length = tf.TensorSpec([1], tf.int32, name=interface.LENGTH)
    functions[interface.FIRST_PASS] = stepping(
        lambda pcm, *others: stream.first_pass(check(pcm), *others), [pcm, length], states[0]
    )
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


def recognition(model: Transducer, check: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> Any:
    """A `tf.function` of greedy recognition of one utterance: `serving_default`.

    Args:
        check: returns the audio, or refuses it.
    """
    pcm = tf.TensorSpec([None], tf.float32, name=interface.PCM)

    @tf.function(input_signature=[pcm], autograph=False)
    def recognize(pcm: tf.Tensor) -> dict[str, tf.Tensor]:
        found = model.recognize(check(pcm)[None])
        return {name: x[0] for name, x in as_outputs(found).items()}

    return recognize


def _checked(pcm: tf.Tensor) -> tf.Tensor:
    """Audio, or an error if it has other axes than its spec, no samples, or some out of range."""
    spec = pcm.shape
    # The graph believes the spec, but a loaded SavedModel takes any shape: this has it look.
    pcm = tf.raw_ops.PlaceholderWithDefault(input=pcm, shape=tf.TensorShape(None))
    shape = tf.shape(pcm)
    has_axes = tf.logical_and(tf.size(shape) == spec.rank, tf.size(pcm) > 0)
    received = [
        f"`pcm` must be one utterance or segment, {list(spec)} (None: any). Received:",
        shape,
    ]
    with tf.control_dependencies([tf.debugging.Assert(has_axes, received)]):
        sizes = tf.abs(tf.reshape(pcm, [-1]))
    in_range = tf.reduce_all(sizes <= MAX_PEAK)  # Not so of NaN.
    received = [
        "`pcm` must be in [-1, 1]; divide 16-bit samples by 32768. Largest:",
        tf.reduce_max(sizes),
    ]
    with tf.control_dependencies([tf.debugging.Assert(in_range, received)]):
        return tf.ensure_shape(pcm, spec)
