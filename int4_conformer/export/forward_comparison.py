"""A file's signatures beside what the model itself computes, call by call, in the same state."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from int4_conformer.errors import UserError
from int4_conformer.export.followed_products import Agreement, FollowedProducts, Integers
from int4_conformer.export.trace import in_float32
from int4_conformer.export.trial import KERNELS
from int4_conformer.quant.context import changed
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.matmul_kernels import integer_matmuls
from int4_conformer.tflite.taps import Tap, tap

# How far an output may be off, of its largest value, where all codes of activations are the same.
# float32 rounds to 6e-8 of a number; sums of a row, softmax and normalization add up such errors,
# and residual branches carry them on: 1e-7 to 2e-6 were seen, in 4 to 17 blocks.
BOUND = 1e-5
# Likewise behind a loop, whose codes cannot be seen: one that differs moves its product by up to
# 1/255 of the range of a row, and with it all that follows in the loop.
LOOP_BOUND = 0.1


@dataclasses.dataclass(kw_only=True)
class SignatureComparison:
    """What was found of a signature."""

    signature: str
    calls: int = 0
    # The most that an output differs, of its largest value, and which: of outputs that are in front
    # of any loop with integer matmuls, and of those behind.
    distance: float = 0.0
    where: str = ""
    loop_distance: float = 0.0
    # Calls in which an output behind a loop is off by more than `BOUND`.
    loop_calls: int = 0
    agreement: Agreement = dataclasses.field(default_factory=Agreement)
    # Sentences on what is not as it should be.
    differences: list[str] = dataclasses.field(default_factory=list)


class ForwardComparison:
    """Runs signatures of a file, and the functions that they were made of.

    Args:
        content: the file.
        parsed: the same, as `flatbuffer.load` gives it; it is changed.
        functions: `tf.function`s with input signatures, by the name of the file's signature; they
            are called eagerly.
        model: whose layers they call.
        delegate: whose kernels compute the file, as `Metadata.delegate`.
    """

    def __init__(
        self,
        content: bytes,
        parsed: schema.ModelT,
        functions: Mapping[str, Any],
        model: keras.layers.Layer,
        delegate: str,
    ):
        self._functions = functions
        self._model = model
        weights = {c.name.partition("@")[0] for c in flatbuffer.constants(parsed) if _is_matrix(c)}
        self._behind_loops = _behind_loops(parsed)
        with_taps, self._taps = tap(parsed, weights)
        self._files = [
            Interpreter(model_content=x, experimental_op_resolver_type=KERNELS[delegate])
            for x in (content, with_taps)
        ]
        # The integers of the weights that were met.
        self.integers = Integers()
        self.signatures = {name: SignatureComparison(signature=name) for name in functions}

    def inputs(self, signature: str) -> Mapping[str, Mapping[str, Any]]:
        """Type and shape of each input of a signature of the file."""
        return self._files[0].get_signature_runner(signature).get_input_details()

    def __call__(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """What the file gives, compared with what the model does.

        Raises:
            UserError: LiteRT cannot run the file.
        """
        found = self.signatures[signature]
        outputs, given = self._run_file(signature, inputs, found)
        expected, agreement = self._run_model(signature, inputs, given)
        found.calls += 1
        found.agreement.add(agreement)
        self._note_activations(agreement, found)
        self._note_outputs(outputs, expected, found)
        return outputs

    def _run_file(
        self, signature: str, inputs: Mapping[str, np.ndarray], found: SignatureComparison
    ) -> tuple[dict[str, np.ndarray], dict[str, list[np.ndarray]]]:
        """Outputs, and what the products by each weight were given."""
        try:
            outputs, shown = (
                file.get_signature_runner(signature)(**inputs) for file in self._files
            )
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"LiteRT cannot run {signature} of this file ({reason}).") from error
        if not all(np.array_equal(shown[name], values) for name, values in outputs.items()):
            found.differences.append(f"{signature} gives something else when it is looked into")
        given = collections.defaultdict(list)
        for shown_tap in self._taps[signature]:
            given[shown_tap.weight].append(_values(shown_tap, shown[shown_tap.output]))
        return outputs, given

    def _run_model(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        given: Mapping[str, Sequence[np.ndarray]],
    ) -> tuple[dict[str, np.ndarray], Agreement]:
        function = self._functions[signature]
        specs = tf.nest.flatten(function.input_signature)
        # LiteRT has no inputs that nothing uses.
        values = [
            tf.constant(inputs[spec.name])
            if spec.name in inputs
            else tf.zeros(spec.shape, spec.dtype)
            for spec in specs
        ]
        arguments = tf.nest.pack_sequence_as(function.input_signature, values)
        products = FollowedProducts(self._model, given, self.integers)
        with in_float32(self._model), changed(products=products):
            outputs = function.python_function(*arguments)
        return {name: x.numpy() for name, x in outputs.items()}, products.agreement

    @staticmethod
    def _note_activations(agreement: Agreement, found: SignatureComparison) -> None:
        if agreement.distance > BOUND or agreement.largest_flip > 1:
            found.differences.append(
                f"{found.signature} gives the matmul of {agreement.where} other activations: off "
                f"by {agreement.distance:.1e} of their range, codes by {agreement.largest_flip}"
            )

    def _note_outputs(
        self,
        outputs: Mapping[str, np.ndarray],
        expected: Mapping[str, np.ndarray],
        found: SignatureComparison,
    ) -> None:
        # The largest difference in front of loops and which output it is of, and behind loops.
        front, behind = (0.0, ""), 0.0
        for name, values in outputs.items():
            other = expected[name]
            if values.shape != other.shape or values.dtype != other.dtype:
                found.differences.append(f"{name} of {found.signature} has another shape or type")
            elif not np.issubdtype(values.dtype, np.floating):
                if not np.array_equal(values, other):
                    found.differences.append(f"{name} of {found.signature} differs")
            elif name in self._behind_loops[found.signature]:
                # Such as logarithms of probabilities near 1, all of them small.
                size = max(1.0, float(np.abs(other).max(initial=0)))
                behind = max(behind, _largest_difference(values, other) / size)
            else:
                size = float(np.abs(other).max(initial=0)) or 1.0
                front = max(front, (_largest_difference(values, other) / size, name))
        found.distance, found.where = max(front, (found.distance, found.where))
        found.loop_distance = max(found.loop_distance, behind)
        found.loop_calls += behind > BOUND
        distance, name = front
        if distance > BOUND:
            found.differences.append(
                f"{name} of {found.signature} is off by {distance:.1e} of its largest value"
            )
        if behind > LOOP_BOUND:
            found.differences.append(f"{found.signature} is off by {behind:.1e} behind a loop")


def _is_matrix(constant: flatbuffer.Constant) -> bool:
    return constant.scale is not None and len(constant.shape) == 2


def _values(of: Tap, values: np.ndarray) -> np.ndarray:
    """What the tensor of a tap stands for."""
    if of.scale is None:
        return values
    return (values.astype(np.float32) - np.float32(of.zero_point)) * np.float32(of.scale)


def _largest_difference(one: np.ndarray, other: np.ndarray) -> float:
    if not one.size:
        return 0.0
    difference = np.abs(one.astype(np.float64) - other).max()
    return float(difference) if np.isfinite(difference) else np.inf


def _behind_loops(model: schema.ModelT) -> dict[str, set[str]]:
    """The outputs of each signature that loops with integer matmuls have a part in."""
    integer = integer_matmuls(model)
    moved: dict[int, set[int]] = collections.defaultdict(set)
    places: dict[int, int] = collections.Counter()
    for operator in flatbuffer.operators(model):
        index = operator.subgraph
        node = model.subgraphs[index].operators[places[index]]
        places[index] += 1
        is_source = operator.name == "WHILE" and node.builtinOptions.bodySubgraphIndex in integer
        if is_source or moved[index].intersection(operator.inputs):
            moved[index].update(operator.outputs)
    return {
        signature.signatureKey.decode(): {
            output.name.decode()
            for output in signature.outputs
            if output.tensorIndex in moved[signature.subgraphIndex]
        }
        for signature in model.signatureDefs
    }
