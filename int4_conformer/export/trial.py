"""Running a file before it is called written."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType, SignatureRunner

from int4_conformer.errors import UserError
from int4_conformer.layers.paths import layers_by_path

# What open axes are given, one after the other. The last are for models that take none of the first
# ones, until they take one.
LENGTHS = (1, 2, 7, 32, 128, 512)
_FIRST = 3

KERNELS = {
    "xnnpack": OpResolverType.BUILTIN,
    "none": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}


def require_runs(
    content: bytes,
    model: keras.layers.Layer,
    signatures: Mapping[str, Sequence[tf.TensorSpec]],
    delegate: str,
    *,
    lengths: Sequence[int] = LENGTHS,
    takes: Callable[[Sequence[np.ndarray]], bool] = lambda inputs: True,
) -> None:
    """Runs each signature of a file, with several lengths of its open axes.

    Args:
        content: the file.
        model: what it was made of.
        signatures: specs of the inputs of each.
        delegate: whose kernels compute it, as `Metadata.delegate`.
        lengths: of all open axes; but a batch, the first of several axes, has at most 2 rows.
        takes: whether the model itself takes inputs, given in the order of their specs. It is asked
            about those that LiteRT does not take.

    Raises:
        UserError: LiteRT cannot run it.
        UserWarning: the model takes none of the lengths, so that nothing was tried.
    """
    for name, specs in signatures.items():
        is_open = any(None in spec.shape for spec in specs)
        runner, is_tried = None, False
        for index, length in enumerate(lengths if is_open else lengths[:1]):
            if is_tried and index >= _FIRST:
                break
            inputs = {spec.name: _values(spec, length) for spec in specs}
            try:
                runner = runner or _runner(content, name, delegate)
                _run(runner, inputs)
                is_tried = True
            except (RuntimeError, ValueError) as error:
                if takes(list(inputs.values())):
                    raise _refused(content, model, name, inputs, delegate, error) from error
                runner = None
        if not is_tried:
            warnings.warn(
                f"{model.name!r} takes none of the lengths {', '.join(map(str, lengths))}, so that "
                "its file was not tried; give its Input the length that it needs.",
                stacklevel=4,
            )


def _values(spec: tf.TensorSpec, length: int) -> np.ndarray:
    shape = [length if size is None else size for size in spec.shape]
    if len(shape) > 1 and spec.shape[0] is None:
        shape[0] = min(length, 2)
    if spec.dtype.is_floating:
        return np.random.default_rng(0).standard_normal(shape).astype(spec.dtype.as_numpy_dtype)
    return np.zeros(shape, spec.dtype.as_numpy_dtype)


def _runner(content: bytes, signature: str, delegate: str) -> SignatureRunner:
    kernels = KERNELS[delegate]
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    return interpreter.get_signature_runner(signature)


def _run(runner: SignatureRunner, inputs: Mapping[str, np.ndarray]) -> None:
    # The file has no inputs that it does not need.
    runner(**{name: inputs[name] for name in runner.get_input_details()})


def _refused(
    content: bytes,
    model: keras.layers.Layer,
    signature: str,
    inputs: Mapping[str, np.ndarray],
    delegate: str,
    error: Exception,
) -> UserError:
    shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in inputs.items())
    loops = [
        f"{path} ({type(layer).__name__})"
        for path, layer in layers_by_path(model)
        if isinstance(layer, keras.layers.RNN) and not layer.unroll
    ]
    advice = (
        f"give {', '.join(loops)} unroll=True and Input a fixed length, or put "
        "int4_conformer.layers.QuantLSTM in the place of an LSTM"
        if loops
        else "replace the operation that it names, or fix the sizes that are left open"
    )
    others = ""
    if delegate == "xnnpack":
        try:
            _run(_runner(content, signature, "none"), inputs)
            others = " with XNNPACK, its default, although its builtin kernels can"
        except (RuntimeError, ValueError):
            pass
    reason = " ".join(str(error).split())
    return UserError(
        f"LiteRT cannot run {model.name!r} on {shapes}{others} ({reason}); {advice}. Nothing was "
        "written."
    )
