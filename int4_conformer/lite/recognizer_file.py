"""A recogniser's file, opened: what it says of itself, and its signatures as functions."""

import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import interpreter as litert

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.lite.file_network import Run
from int4_conformer.pretrained.registry import pretrained_models
from int4_conformer.tflite import flatbuffer, validation
from int4_conformer.tflite import metadata as metadata_lib

# What is known of each input or output of a signature, by name.
Details = Mapping[str, Mapping[str, Any]]

# Type and axes of what `interface` names; None: any number of axes.
_KNOWN = {
    interface.PCM: (np.float32, None),
    interface.LENGTH: (np.int32, 1),
    interface.ENCODED: (np.float32, None),
    interface.LABEL: (np.int32, 1),
    interface.PREDICTED: (np.float32, 2),
    interface.LOGITS: (np.float32, 2),
    interface.TOKENS: (np.int32, None),
    interface.COUNT: (np.int32, None),
    interface.FRAMES: (np.int32, None),
    interface.LOG_PROBS: (np.float32, None),
}
_WHOLE = (interface.SERVING_DEFAULT, interface.ENCODE)
# What searches other than the greedy one ask.
_SEARCHED = (interface.ENCODE, interface.PREDICT, interface.JOIN)
_TIMED = (interface.TOKENS, interface.COUNT, interface.FRAMES, interface.LOG_PROBS)
# Inputs and outputs of the other signatures, beside their states.
_STEPS = {
    interface.FIRST_PASS: (
        (interface.PCM, interface.LENGTH),
        (*_TIMED, interface.ENCODED, interface.LENGTH),
    ),
    interface.SECOND_PASS: ((interface.ENCODED, interface.LENGTH), _TIMED),
    interface.PREDICT: ((interface.LABEL,), (interface.PREDICTED,)),
    interface.JOIN: ((interface.ENCODED, interface.PREDICTED), (interface.LOGITS,)),
}


class RecognizerFile:
    """A `.tflite` file that `int4-conformer export` wrote.

    Its checksum and its structure are checked before LiteRT has it.

    Args:
      path: the file.
      num_threads: CPU threads that one run may use.

    Raises:
      UserError: the file is missing, damaged or no recogniser.
    """

    def __init__(self, path: str | os.PathLike, num_threads: int = 1) -> None:
        self._source = str(path)
        if not os.path.lexists(path) and self._source in pretrained_models():
            raise UserError(
                f"There is no model file {path}; the model of the package is "
                f"Recognizer.from_preset({self._source!r})."
            )
        content = flatbuffer.read_file(path)
        self.metadata = metadata_lib.read(content, self._source)
        validation.require_valid(content, self._source)
        self._lock = threading.Lock()
        try:
            self._interpreter = litert.Interpreter(
                model_content=content,
                num_threads=num_threads,
                # The built-in kernels quantize activations symmetrically, XNNPACK's asymmetrically:
                # a model has to run on those whose integers it was trained with.
                experimental_op_resolver_type=(
                    litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                    if self.metadata.delegate == "none"
                    else litert.OpResolverType.BUILTIN
                ),
            )
            runners = {
                name: self._interpreter.get_signature_runner(name)
                for name in self._interpreter.get_signature_list()
            }
        except (RuntimeError, ValueError) as error:
            raise self._refused(error) from error
        self._runners = runners
        self._check()

    @property
    def signatures(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._runners)

    def inputs(self, signature: str) -> Details:
        """Type and shape of each input of a signature."""
        return self._runners[signature].get_input_details()

    def run(self, signature: str) -> Run:
        """A signature as a function; calls of different threads take turns.

        What it gives for inputs of the right shapes raises UserError only if the file is damaged.
        """
        runner = self._runners[signature]
        axes = {name: len(x["shape"]) for name, x in runner.get_output_details().items()}

        def run(**inputs: np.ndarray) -> dict[str, np.ndarray]:
            with self._lock:
                try:
                    outputs = runner(**inputs)
                except (RuntimeError, ValueError) as error:
                    raise self._refused(error) from error
            for name, values in outputs.items():
                self._require(values.ndim == axes[name], f"{name} of {signature} has other axes")
            return outputs

        return run

    def _check(self) -> None:
        """Whether signatures take and give what `interface` says."""
        ends = {
            name: (runner.get_input_details(), runner.get_output_details())
            for name, runner in self._runners.items()
        }
        self._require(interface.SERVING_DEFAULT in ends, f"it lacks {interface.SERVING_DEFAULT}")
        whole = {interface.PCM}
        if self.metadata.fixed_samples is not None:
            whole.add(interface.LENGTH)
        found = _TIMED if self.metadata.frame_samples is not None else _TIMED[:2]
        for name in filter(ends.__contains__, _WHOLE):
            inputs, outputs = ends[name]
            self._require(set(inputs) == whole, f"{name} takes {sorted(inputs)}")
            given = found if name == interface.SERVING_DEFAULT else (interface.ENCODED,)
            self._check_known(name, (*whole, *given), inputs | outputs)
        for name in filter(ends.__contains__, _STEPS):
            (inputs, outputs), (taken, given) = ends[name], _STEPS[name]
            self._check_known(name, taken, inputs)
            self._check_known(name, given, outputs)
            for state in inputs.keys() - set(taken):
                kept = state in outputs and outputs[state]["dtype"] == inputs[state]["dtype"]
                self._require(kept, f"{name} does not keep the state {state}")
        if interface.SECOND_PASS in ends:
            self._require(interface.FIRST_PASS in ends, f"it lacks {interface.FIRST_PASS}")
        if self.metadata.spelling is not None:
            for name in _SEARCHED:
                self._require(name in ends, f"it lacks {name}")
            if interface.SECOND_PASS in ends:
                self._check_known(
                    interface.SECOND_PASS, (interface.ENCODED,), ends[interface.SECOND_PASS][1]
                )
        if interface.JOIN in ends:
            _, outputs = ends[interface.JOIN]
            symbols, size = outputs[interface.LOGITS]["shape"][-1], self.metadata.vocabulary.size
            self._require(symbols == size, f"it has {symbols} symbols and a vocabulary of {size}")

    def _check_known(self, signature: str, names: tuple[str, ...], details: Details) -> None:
        for name in names:
            self._require(name in details, f"{signature} lacks {name}")
            dtype, axes = _KNOWN[name]
            right = details[name]["dtype"] == dtype and axes in (None, len(details[name]["shape"]))
            self._require(right, f"{name} of {signature} is of another kind")

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise flatbuffer.damaged(self._source, what)

    def _refused(self, error: Exception) -> UserError:
        reason = " ".join(str(error).split())
        return UserError(
            f"LiteRT cannot run {self._source} ({reason}); the file is damaged, so copy or export "
            "it again."
        )
