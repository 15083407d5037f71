"""Whether exported files compute on a 64-bit Arm processor what they compute here.

    python export/arm/compare.py MODEL... --manifest=CORPUS [flags]

The first time, a 64-bit Arm Linux with LiteRT is unpacked into --root, a folder of 400 MB; QEMU
runs there what is to run on Arm, some twenty times slower, and nothing is installed. Printed are

- for each of --schemes, how far the outputs of a dense layer are apart;
- for each MODEL, how many of the corpus's utterances have the same tokens, and how far the
  logarithms of their probabilities are apart;
- for the first --inspected utterances, where the numbers part: the first operator whose outputs
  differ, and in each block how many of the codes that activations become.
"""

import collections
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags
from arm_root import CPUS, DEFAULT, make
from both_machines import Arrays, BothMachines
from taps import Tap, tapped

from int4_conformer import interface
from int4_conformer.cli import app
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.data.corpus import read_corpus
from int4_conformer.errors import UserError
from int4_conformer.tables import columns
from int4_conformer.tflite import flatbuffer, metadata
from int4_conformer.tflite.metadata import Metadata

# Of the dense layers.
_WIDTH, _UNITS, _ROWS = 512, 512, 64
_TOKENS = (interface.TOKENS, interface.FRAMES, interface.LOG_PROBS)


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("manifest", None, "The corpus, as for train.", flag_values=values)
    flags.DEFINE_string("split", None, "Its split; all if not given.", flag_values=values)
    flags.DEFINE_integer(
        "utterances", 10, "Utterances to recognise.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer(
        "inspected", 2, "Of these, so many to look within.", lower_bound=0, flag_values=values
    )
    flags.DEFINE_list(
        "schemes",
        ["w2c_a8d", "w4c_a8d", "w8c_a8d", "w4b32_a8d", "w4c_a8static", "w2c_a8dsym", "w4c_a8dsym"],
        "Schemes of dense layers.",
        flag_values=values,
    )
    flags.DEFINE_enum("cpu", "neoverse-n1", list(CPUS), "The Arm core.", flag_values=values)
    flags.DEFINE_string("root", str(DEFAULT), "Folder of the Arm Linux.", flag_values=values)


def _compare(values: flags.FlagValues, models: list[str]) -> None:
    if models and values.manifest is None:
        raise UserError("Files need something to recognise; give --manifest.")
    contents = [flatbuffer.read_file(model) for model in models]
    facts = [metadata.read(*pair) for pair in zip(contents, models, strict=True)]
    corpus = read_corpus(values.manifest, values.split)[: values.utterances] if models else []
    machines = BothMachines(root=make(Path(values.root)), cpu=values.cpu)
    start_tensorflow()
    if values.schemes:
        rows = [(scheme, *_layer(scheme, machines)) for scheme in values.schemes]
        print(columns(("scheme", "outputs that differ", "by at most"), rows, "<>>"), flush=True)
    for model, content, fact in zip(models, contents, facts, strict=True):
        calls = [_heard(utterance.samples(fact.sample_rate), fact) for utterance in corpus]
        xnnpack = fact.delegate == "xnnpack"
        print(f"\n{model}: {_recognised(machines.outputs(content, calls, xnnpack))}", flush=True)
        if values.inspected:
            content, taps = tapped(content)
            found = machines.outputs(content, calls[: values.inspected], xnnpack)
            print(f"\n{_within(found, taps, xnnpack)}", flush=True)


def _heard(samples: np.ndarray, fact: Metadata) -> Arrays:
    """The inputs of a file for an utterance, in whole blocks."""
    return {interface.PCM: np.pad(samples, (0, -len(samples) % fact.block_samples))}


def _layer(scheme: str, machines: BothMachines) -> tuple[str, str]:
    """How many outputs of a dense layer differ, and by how much of the largest of their row."""
    import keras

    from int4_conformer.export import export_keras_tflite
    from int4_conformer.layers import QuantDense

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([_WIDTH]), QuantDense(_UNITS, quant=scheme)])
    rng = np.random.default_rng(0)
    x = rng.standard_normal([_ROWS, _WIDTH]).astype(np.float32)
    for _ in range(3):
        # Where ranges are static, this sets them.
        model(x, training=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "layer.tflite"
        with held_back():
            export_keras_tflite(model, file)
        content = file.read_bytes()
    xnnpack = not scheme.endswith("sym")
    ((here, arm),) = machines.outputs(content, [{"inputs": x}], xnnpack)
    (a,), (b,) = here.values(), arm.values()
    largest = np.abs(a).max(axis=1, keepdims=True)
    return f"{np.mean(a != b):.1%}", f"{np.max(np.abs(a - b) / largest):.1e}"


def _recognised(found: Sequence[tuple[Arrays, Arrays]]) -> str:
    """How many utterances have the same tokens, in the same frames, and how far their
    probabilities are apart."""
    same, frames, tokens, furthest = 0, 0, 0, 0.0
    for here, arm in found:
        (a, b) = (
            [outputs[name][: outputs[interface.COUNT]] for name in _TOKENS]
            for outputs in (here, arm)
        )
        tokens += len(a[0])
        if np.array_equal(a[0], b[0]):
            same += 1
            frames += np.array_equal(a[1], b[1])
            furthest = max(furthest, np.abs(a[2] - b[2]).max(initial=0.0))
    return (
        f"{same} of {len(found)} utterances have the same tokens, {tokens} in all, {frames} in the "
        f"same frames; their log-probabilities are at most {furthest:.4f} apart"
    )


def _within(found: Sequence[tuple[Arrays, Arrays]], taps: Sequence[Tap], xnnpack: bool) -> str:
    """Where the numbers of utterances part."""
    apart = [
        tap for tap in taps if any(not np.array_equal(a[tap.name], b[tap.name]) for a, b in found)
    ]
    first = f"{apart[0].tensor}, of {apart[0].operator}" if apart else "none"
    steps = collections.defaultdict(list)
    for here, arm in found:
        for tap in taps:
            for weight in tap.weights:
                a, b = (_codes(outputs[tap.name], xnnpack) for outputs in (here, arm))
                steps["/".join(weight.split("/")[:2])].append(np.abs(a - b).ravel())
    rows = []
    for block, parts in steps.items():
        differences = np.concatenate(parts)
        share, most = np.mean(differences > 0), differences.max()
        rows.append((block, f"{differences.size:,}", f"{share:.3%}", f"{most}"))
    table = columns(("block", "codes", "differ", "by at most"), rows, "<>>>")
    return f"first to differ: {first}\n\n{table}"


def _codes(x: np.ndarray, xnnpack: bool) -> np.ndarray:
    """The 8-bit codes of activations, less the zero points of their rows."""
    from int4_conformer.quant import quantize_rows

    scheme = "int8_asymmetric" if xnnpack else "int8_symmetric"
    rows = quantize_rows(x.reshape(-1, x.shape[-1]), scheme)
    codes = rows.codes.numpy().astype(np.int32)
    return codes if rows.zero_point is None else codes - rows.zero_point.numpy()


COMMAND = app.Command(
    name="compare",
    usage="MODEL... --manifest=CORPUS [flags]",
    description=__doc__,
    define_flags=_define_flags,
    main=_compare,
)

if __name__ == "__main__":
    app.run(COMMAND)
