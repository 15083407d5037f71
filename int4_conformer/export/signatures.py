"""The signatures of an exported recogniser, as `interface` describes them."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from int4_conformer import interface
from int4_conformer.layers.steppable import State, named, of_part
from int4_conformer.models.transducer import Transducer
from int4_conformer.models.transducer_stream import TransducerStream, as_outputs

# Hypotheses that `predict` and `join` take at once: two beams of the usual size, since a search
# asks about frames in advance.
ROWS = 16
# `encode` is `serving_default` by a second name: the operators of an encoder are a good part of a
# small file, which holds them once.
ALIASES = {interface.ENCODE: interface.SERVING_DEFAULT}


def signatures(
    model: Transducer, segment_seconds: float, fixed_samples: int | None = None
) -> dict[str, Any]:
    """A `tf.function` for each signature of a file, but for its `ALIASES`.

    Args:
        model: trained.
        segment_seconds: as `TransducerStream`.
        fixed_samples: length of whole utterances, in whole blocks; None for any.
    """
    functions = {
        interface.SERVING_DEFAULT: whole(model, fixed_samples),
        interface.PREDICT: _prediction(model),
        interface.JOIN: _joint(model),
    }
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
        state: the initial one, of one utterance or of `batch`.
        batch: how many utterances or hypotheses the function takes; None for any.

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


def whole(model: Transducer, fixed_samples: int | None) -> Any:
    """A `tf.function` that hears one utterance: of any length, or of a fixed one with how much of
    it is real."""
    specs = [tf.TensorSpec([fixed_samples], tf.float32, name=interface.PCM)]
    if fixed_samples is not None:
        specs.append(tf.TensorSpec([1], tf.int32, name=interface.LENGTH))

    @tf.function(input_signature=specs, autograph=False)
    def run(pcm: tf.Tensor, length: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        return _recognized(model, pcm[None], length)

    return run


def _recognized(
    model: Transducer, pcm: tf.Tensor, length: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Greedy search, and the frames of the last pass that it was of."""
    encoded = model.encode(pcm, length)[-1]
    lengths = None if length is None else model.encoded_length(length)
    decoder = model.decoders[-1]
    found, _ = decoder.greedy(encoded, lengths, decoder.initial_hypothesis(1))
    outputs = {name: x[0] for name, x in as_outputs(found).items()}
    outputs[interface.ENCODED] = encoded[0]
    return outputs if length is None else outputs | {interface.LENGTH: lengths}


def _prediction(model: Transducer) -> Any:
    """`predict`: the prediction network of the last pass."""
    predictor = model.decoders[-1].predictor

    def step(label: tf.Tensor, state: State) -> tuple[dict[str, tf.Tensor], State]:
        predicted, after = predictor.advance_label(label, of_part(state, "predictor"))
        return {interface.PREDICTED: predicted}, named("predictor", after)

    label = tf.TensorSpec([ROWS], tf.int32, name=interface.LABEL)
    return stepping(step, [label], named("predictor", predictor.initial_state(ROWS)), batch=ROWS)


def _joint(model: Transducer) -> Any:
    """`join`: the joint network of the last pass."""
    decoder, config = model.decoders[-1], model.config
    specs = [
        tf.TensorSpec([ROWS, config.encoders[-1].dim], tf.float32, name=interface.ENCODED),
        tf.TensorSpec([ROWS, config.joint.dim], tf.float32, name=interface.PREDICTED),
    ]

    @tf.function(input_signature=specs, autograph=False)
    def join(encoded: tf.Tensor, predicted: tf.Tensor) -> dict[str, tf.Tensor]:
        frames = decoder.joint.project_frames(encoded)
        return {interface.LOGITS: decoder.search_logits(frames, predicted)}

    return join
