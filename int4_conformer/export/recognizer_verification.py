"""Whether a recogniser's file is the model that it was made of: integers, kernels, outputs."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from int4_conformer import interface
from int4_conformer.export.forward_comparison import ForwardComparison, SignatureComparison
from int4_conformer.export.signatures import ALIASES, signatures
from int4_conformer.export.trace import deployed_weights
from int4_conformer.layers.paths import by_path
from int4_conformer.lite.utterance_passes import Pass
from int4_conformer.models.transducer import Transducer
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.kernel_profile import profile
from int4_conformer.tflite.matmul_kernels import integer_matmuls, on_integer_kernels
from int4_conformer.tflite.metadata import Metadata, read
from int4_conformer.tflite.tensor_names import layout_of
from int4_conformer.tflite.validation import require_valid
from int4_conformer.tflite.verification import differences

# Of the sound that is made up where none is given.
_SECONDS = 0.6
# Segments of a stream that a quick look takes, besides that at its end.
_QUICK_SEGMENTS = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecognizerVerification:
    """What `verify_recognizer` found."""

    # Names of the model's quantized weights by their bits, of the matrices that its file holds in
    # float, and of those of both that differ; and what differs.
    weights: dict[int, list[str]]
    matrices: list[str]
    unequal: set[str]
    weight_differences: tuple[str, ...]
    # Matmuls with integer weights, by the kernel that ran them.
    kernels: collections.Counter[str]
    kernel_differences: tuple[str, ...]
    signatures: tuple[SignatureComparison, ...]

    @property
    def differences(self) -> tuple[str, ...]:
        """Sentences on what is not as it should be; none if the file is the model."""
        calls = [line for found in self.signatures for line in found.differences]
        return tuple(dict.fromkeys([*self.weight_differences, *self.kernel_differences, *calls]))


def verify_recognizer(
    content: bytes,
    model: Transducer,
    sounds: Sequence[np.ndarray] | None = None,
    *,
    quick: bool = False,
    source: str = "the model",
) -> RecognizerVerification:
    """Compares a recogniser's file with the model that it was made of.

    - Codes and scales of every quantized weight are those that training multiplies by, to the bit.
    - Every matmul by them runs on an integer kernel, as LiteRT's own profile tells.
    - Outputs of each signature, and states, are those of the model, called on the same inputs and
      state: whole utterances, and streams segment by segment.

    Args:
        content: the whole file.
        model: with the recipe that the file has.
        sounds: float32 [samples] each, at the model's rate; if not given, a short one that is made
            up.
        quick: whether of streams what follows the first segment is left out, and what another
            signature computes as well.
        source: what errors call the file.

    Raises:
        UserError: the file is damaged, no recogniser, or LiteRT cannot run it.
    """
    metadata = read(content, source)
    require_valid(content, source)
    if sounds is None:
        sounds = [made_up_sound(_SECONDS, metadata.sample_rate)]
    parsed = flatbuffer.load(content, source)
    functions = signatures(model, _segment_seconds(parsed, metadata), metadata.fixed_samples)
    places = {x.signatureKey.decode(): x.subgraphIndex for x in parsed.signatureDefs}
    functions = {name: function for name, function in functions.items() if name in places}
    for alias, name in ALIASES.items():
        # Older files have operators of its own for it.
        if alias in places and places[alias] != places[name]:
            functions[alias] = functions[name]
    comparison = ForwardComparison(content, parsed, functions, model, metadata.delegate)
    # Of each signature, the inputs of its first call, and what came out.
    recorded: dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]] = {}

    def run(signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        outputs = comparison(signature, **inputs)
        recorded.setdefault(signature, (inputs, outputs))
        return outputs

    for sound in sounds:
        _hear(run, comparison, metadata, sound, quick)
    if interface.ENCODE in functions:
        # Its kernels are looked at, whether or not its outputs are compared.
        recorded.setdefault(interface.ENCODE, (recorded[interface.SERVING_DEFAULT][0], None))
    _ask_parts(run, comparison)
    weights = deployed_weights(comparison.integers, model)
    by_bits = collections.defaultdict(list)
    for weight in weights:
        by_bits[weight.bits].append(weight.name)
    matrices = _float_matrices(parsed, model)
    found = [*differences(parsed, weights), *matrices]
    kernels, kernel_differences = _kernels(content, parsed, recorded, metadata)
    return RecognizerVerification(
        weights=dict(sorted(by_bits.items())),
        matrices=list(dict.fromkeys(name for name, _ in matrices)),
        unequal={name for name, difference in found if difference},
        weight_differences=tuple(filter(None, (difference for _, difference in found))),
        kernels=kernels,
        kernel_differences=tuple(kernel_differences),
        signatures=tuple(found for found in comparison.signatures.values() if found.calls),
    )


def made_up_sound(seconds: float, sample_rate: int) -> np.ndarray:
    """float32 [samples], the same each time: tones that come and go as syllables do, and noise."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
    loudness = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, None)
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.1 * loudness * voice + 0.01 * noise).astype(np.float32)


def whole_inputs(sound: np.ndarray, metadata: Metadata) -> dict[str, np.ndarray]:
    """What signatures that hear a whole utterance are given for float32 [samples].

    A file of a fixed length hears the beginning of what is longer.
    """
    if metadata.fixed_samples is None:
        return {interface.PCM: np.pad(sound, (0, -len(sound) % metadata.block_samples))}
    sound = sound[: metadata.fixed_samples]
    return {
        interface.PCM: np.pad(sound, (0, metadata.fixed_samples - len(sound))),
        interface.LENGTH: np.array([len(sound)], np.int32),
    }


def _segment_seconds(model: schema.ModelT, metadata: Metadata) -> float:
    """Audio of a segment of the file's streams; any number if it has none."""
    for signature in model.signatureDefs:
        if signature.signatureKey == interface.FIRST_PASS.encode():
            subgraph = model.subgraphs[signature.subgraphIndex]
            (pcm,) = (x for x in signature.inputs if x.name == interface.PCM.encode())
            return int(subgraph.tensors[pcm.tensorIndex].shape[-1]) / metadata.sample_rate
    return 1.0


def _hear(
    run: Callable[..., dict[str, np.ndarray]],
    comparison: ForwardComparison,
    metadata: Metadata,
    sound: np.ndarray,
    quick: bool,
) -> None:
    """Whole, and as a stream."""
    inputs = whole_inputs(sound, metadata)
    run(interface.SERVING_DEFAULT, **inputs)
    if not quick and interface.ENCODE in comparison.signatures:
        run(interface.ENCODE, **inputs)
    if interface.FIRST_PASS not in comparison.signatures:
        return
    first, second = (
        Pass(functools.partial(run, name), comparison.inputs(name), given)
        if name in comparison.signatures
        else None
        for name, given in (
            (interface.FIRST_PASS, interface.PCM),
            (interface.SECOND_PASS, interface.ENCODED),
        )
    )
    heard = sound[: _QUICK_SEGMENTS * first.segment] if quick else sound
    for outputs in first.run(heard, last=True):
        if second is not None:
            encoded = outputs[interface.ENCODED][0, : outputs[interface.LENGTH][0]]
            for _ in second.run(encoded, last=False):
                pass
    if second is not None:
        for _ in second.run(encoded[:0], last=True):
            pass


def _ask_parts(run: Callable[..., dict[str, np.ndarray]], comparison: ForwardComparison) -> None:
    """Two labels after one another, and what may follow."""
    if interface.JOIN not in comparison.signatures:
        return
    rng = np.random.default_rng(0)
    state = {
        name: np.zeros(x["shape"], x["dtype"])
        for name, x in comparison.inputs(interface.PREDICT).items()
    }
    frames = comparison.inputs(interface.JOIN)[interface.ENCODED]["shape"]
    labels = state.pop(interface.LABEL)
    for _ in range(2):
        outputs = run(interface.PREDICT, **{interface.LABEL: labels}, **state)
        predicted = outputs[interface.PREDICTED]
        state = {name: outputs[name] for name in state}
        encoded = rng.standard_normal(frames).astype(np.float32)
        logits = run(
            interface.JOIN, **{interface.ENCODED: encoded, interface.PREDICTED: predicted}
        )[interface.LOGITS]
        # Any but the blank.
        labels = rng.integers(1, logits.shape[1], labels.shape).astype(np.int32)


def _float_matrices(model: schema.ModelT, transducer: Transducer) -> list[tuple[str, str]]:
    """The name of each float matrix of the file that is named after a weight, and what differs."""
    weights = {path: w for path, w in by_path(transducer).items() if len(w.shape) > 1}
    found = []
    for constant in flatbuffer.constants(model):
        name = constant.name.partition("@")[0]
        if name in weights and constant.dtype == "float32":
            layout = layout_of(constant.values(), weights[name].numpy().astype(np.float32))
            found.append((name, f"values of {name} differ" if layout is None else ""))
    return found


def _kernels(
    content: bytes,
    parsed: schema.ModelT,
    recorded: Mapping[str, tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray] | None]],
    metadata: Metadata,
) -> tuple[collections.Counter[str], list[str]]:
    """Which kernels run the matmuls by integer weights, and what is not as it should be.

    Args:
        recorded: inputs of each signature, and the outputs that they had; None if there are none.
    """
    matmuls, ran, found = integer_matmuls(parsed), collections.Counter(), []
    for name, (inputs, outputs) in recorded.items():
        profiled = profile(content, name, inputs, metadata.delegate)
        if any(not np.array_equal(profiled.outputs[x], y) for x, y in (outputs or {}).items()):
            found.append(f"{name} gives something else under LiteRT's profiler")
        ran.update(on_integer_kernels(matmuls, profiled.kernels, metadata.delegate))
    if not any(matmuls.values()):
        return ran, found
    wrong = ("none",) if metadata.delegate == "none" else ("none", "FULLY_CONNECTED")
    for kernel in wrong:
        if ran[kernel]:
            found.append(
                f"{ran[kernel]} matmuls with integer weights are run by no integer kernel, but by "
                f"{kernel}"
            )
    missing = sum(kinds.total() for kinds in matmuls.values()) - ran.total()
    if missing:
        found.append(f"{missing} matmuls with integer weights did not run")
    return ran, found
