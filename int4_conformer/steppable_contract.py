"""One call that holds a streaming layer to its contract (`layers.steppable`)."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from int4_conformer.export.signatures import exported_name, stepping
from int4_conformer.export.write_tflite import write_tflite
from int4_conformer.layers.steppable import State, Steppable


def verify_steppable(
    layer: Steppable,
    x: np.ndarray,
    lengths: Sequence[int],
    *,
    segments: Sequence[int] = (1, 3, 8),
    atol: float = 1e-5,
    saves: bool = True,
    compiles: bool = True,
    exports: bool = True,
) -> None:
    """Checks that a layer hears an utterance whole as it does in segments, wherever it runs.

    - The outputs of all segments behind one another are those of the whole, for segments of several
      sizes, one utterance alone and all as a batch; names, shapes and types of the state never
      change.
    - What is past the end of an utterance, and how much, changes none of its outputs.
    - A functional model of the layer that is saved and loaded gives the same outputs.
    - Steps that XLA has compiled, and those of a `.tflite` file, give the same outputs.

    Args:
        layer: built, in float32 or quantized with a tolerance that allows for codes which differ.
        x: utterances [batch, max(lengths) * inputs a frame, ...]; what is past their ends is
            replaced.
        lengths: of the utterances in frames, as masks count them.
        segments: sizes in units of `layer.segment_multiple`.
        atol: largest difference of two outputs.
        saves: whether to make the check of saving.
        compiles: whether to make that of XLA.
        exports: whether to make that of TFLite.

    Raises:
        AssertionError: a check fails.

    Example:

        >>> from int4_conformer.layers import ConvolutionModule
        >>> module = ConvolutionModule(16, kernel_size=3, chunk=2)
        >>> x = np.random.default_rng(0).standard_normal([2, 9, 16]).astype(np.float32)
        >>> _ = module(x[:, :8])
        >>> verify_steppable(module, x, lengths=[9, 5])
    """
    unit = layer.segment_multiple
    for batch in sorted({1, len(lengths)}):
        some, counts = x[:batch], lengths[:batch]
        whole, mask = _padded(some, counts, unit)
        expected = layer.advance(whole, mask, None, training=False)[0]
        for size in segments:
            found = run_segments(layer.step, layer, some, counts, size)
            _require_same(f"segments of {size}", found, expected, counts, mask.shape[1], atol)
    expected = expected.numpy()
    if compiles:
        step = tf.function(layer.step, jit_compile=True, autograph=False)
        found = run_segments(step, layer, x, lengths, segments[-1])
        _require_same("XLA's steps", found, expected, lengths, mask.shape[1], atol)
    if saves:
        np.testing.assert_array_equal(*_saved(layer, whole), err_msg="the saved layer")
    if exports:
        found = _exported(layer, x[:1], lengths[:1], segments[-1])
        _require_same("the file's steps", found, expected[:1], lengths[:1], mask.shape[1], atol)


def run_segments(
    step: Any, layer: Steppable, x: np.ndarray, lengths: Sequence[int], size: int
) -> np.ndarray:
    """The outputs of segments of so many units, behind one another; the last one is padded.

    Args:
        step: `layer.step`, or what stands for it.
        layer: has the initial state.
        x: utterances.
        lengths: their frames.
        size: units of a segment.

    Raises:
        AssertionError: a step changes names, shapes or types of the state.
    """
    frames = size * layer.segment_multiple
    x, mask = _padded(x, lengths, frames)
    stack = x.shape[1] // mask.shape[1]
    state, outputs = layer.initial_state(len(x)), []
    specs = _specs(state)
    for start in range(0, mask.shape[1], frames):
        inputs = x[:, start * stack : (start + frames) * stack]
        y, state = step(inputs, state, mask[:, start : start + frames])
        if _specs(state) != specs:
            raise AssertionError(f"a step changed the state from {specs} to {_specs(state)}")
        outputs.append(np.asarray(y))
    return np.concatenate(outputs, axis=1)


def _saved(layer: Steppable, x: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What a model of the layer computes after it was saved and loaded, and before."""
    inputs = keras.Input(x.shape[1:], len(x), x.dtype.name)
    model = keras.Model(inputs, layer(inputs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return keras.models.load_model(path)(x).numpy(), model(x).numpy()


def _exported(layer: Steppable, x: np.ndarray, lengths: Sequence[int], size: int) -> np.ndarray:
    """`run_segments` by LiteRT."""
    frames = size * layer.segment_multiple
    padded, mask = _padded(x, lengths, frames)
    stack = padded.shape[1] // mask.shape[1]
    initial = layer.initial_state(len(x))
    inputs = [
        tf.TensorSpec([len(x), frames * stack, *padded.shape[2:]], padded.dtype, "x"),
        tf.TensorSpec([len(x), frames], tf.bool, "padding_mask"),
    ]

    def advance(x: tf.Tensor, padding_mask: tf.Tensor, state: State) -> tuple[State, State]:
        y, state = layer.step(x, state, padding_mask)
        return {"y": y}, state

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.tflite"
        write_tflite({"step": stepping(advance, inputs, initial)}, layer, path)
        interpreter = litert.Interpreter(model_content=path.read_bytes())
    runner = interpreter.get_signature_runner("step")
    known = runner.get_input_details()

    def step(x: tf.Tensor, state: State, mask: tf.Tensor) -> tuple[np.ndarray, State]:
        names = {name: exported_name(name) for name in state}
        given = {"x": x, "padding_mask": mask} | {names[name]: state[name] for name in state}
        # The file takes no values that the step does not use, and no tensor of none.
        outputs = runner(
            **{name: np.asarray(value) for name, value in given.items() if name in known}
        )
        after = {
            name: tf.constant(outputs[names[name]]) for name in state if names[name] in outputs
        }
        return outputs["y"], state | after

    return run_segments(step, layer, x, lengths, size)


def _padded(x: np.ndarray, lengths: Sequence[int], multiple: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Inputs padded to a multiple of so many frames, and their mask.

    What is past the end of an utterance differs from padding to padding.
    """
    longest = max(lengths)
    stack = x.shape[1] // longest
    time = -(-longest // multiple) * multiple
    rng = np.random.default_rng(time + multiple)
    shape = [len(x), time * stack, *x.shape[2:]]
    if np.issubdtype(x.dtype, np.integer):
        padded = rng.integers(0, x.max() + 1, shape).astype(x.dtype)
    else:
        padded = rng.standard_normal(shape).astype(x.dtype)
    for row, length in enumerate(lengths):
        padded[row, : length * stack] = x[row, : length * stack]
    mask = np.arange(time) < np.array(lengths)[:, None]
    return tf.constant(padded), tf.constant(mask)


def _specs(state: State) -> dict[str, Any]:
    return {name: (tuple(value.shape), value.dtype) for name, value in state.items()}


def _require_same(
    what: str,
    found: np.ndarray,
    expected: np.ndarray,
    lengths: Sequence[int],
    time: int,
    atol: float,
) -> None:
    """Compares the outputs of all real frames, of which `time` make the whole."""
    reduction = time // expected.shape[1]
    for row, length in enumerate(lengths):
        frames = -(-length // reduction)
        np.testing.assert_allclose(
            found[row, :frames], expected[row, :frames], rtol=0, atol=atol, err_msg=what
        )
