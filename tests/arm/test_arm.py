"""Exported files on 64-bit Arm, and the programs that compare."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from int4_conformer.cli import app
from int4_conformer.export import export_keras_tflite
from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.layers import QuantDense
from int4_conformer.tflite import flatbuffer
from tests.arm import kit
from tests.quant import reference
from tests.support import tiny

# Where the Arm root is, if not in its usual place.
ROOT = Path(os.environ.get("INT4_CONFORMER_ARM_ROOT", kit.arm_root.DEFAULT))
F = np.float32


class ThisMachine:
    """In place of an Arm root."""

    def run(self, arguments, cpu):
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def here():
    return kit.both_machines.BothMachines(root=ThisMachine())


@pytest.fixture(scope="module")
def arm():
    """Gives this machine and an Arm core of a kind."""
    if not kit.arm_root.ArmRoot.is_made(ROOT):
        pytest.skip(f"there is no Arm root in {ROOT}; python export/arm/compare.py makes one")
    root = kit.arm_root.ArmRoot(ROOT)
    return lambda cpu: kit.both_machines.BothMachines(root=root, cpu=cpu)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    """The file of a recogniser that has weights of 2, 4 and 8 bits."""
    path = tmp_path_factory.mktemp("arm") / "model.tflite"
    export_tflite(tiny.shared_model(tiny.TWO_FOUR_EIGHT), tiny.TOKENIZER, path)
    return path


def calls(*blocks):
    return [{"pcm": tiny.speech(count, seed=count)} for count in blocks]


def found(outputs):
    return {name: outputs[name][: outputs["count"]] for name in ("tokens", "frames", "log_probs")}


def test_a_file_with_taps_gives_what_it_gave_and_more(here, recognizer):
    content, taps = kit.taps.tapped(recognizer.read_bytes())
    given = calls(12, 5)
    for (plain, _), (more, again) in zip(
        here.outputs(recognizer.read_bytes(), given), here.outputs(content, given), strict=True
    ):
        assert more.keys() == plain.keys() | {tap.name for tap in taps}
        for name, value in plain.items():
            np.testing.assert_array_equal(more[name], value)
        for tap in taps:
            assert more[tap.name].dtype == np.float32
            np.testing.assert_array_equal(more[tap.name], again[tap.name])


def test_products_within_a_recogniser_are_those_of_its_integers(here, recognizer):
    """Of all weights that are multiplied outside of the search's loop, of 2, 4 and 8 bits."""
    content, taps = kit.taps.tapped(recognizer.read_bytes())
    ((outputs, _),) = here.outputs(content, calls(12))
    model = flatbuffer.load(recognizer.read_bytes())
    (graph,) = [
        s.subgraphIndex for s in model.signatureDefs if s.signatureKey == b"serving_default"
    ]
    constants = {c.tensor: c for c in flatbuffer.constants(model) if c.subgraph == graph}
    known = {tap.name for tap in taps}
    widths = set()
    for operator in flatbuffer.operators(model):
        if operator.name != "FULLY_CONNECTED" or operator.subgraph != graph:
            continue
        x, kernel, *bias = operator.inputs
        weight, ends = constants[kernel], (f"tap_{x}", f"tap_{operator.outputs[0]}")
        if not weight.dtype.startswith("int") or not known.issuperset(ends):
            continue
        rows, products = (outputs[name] for name in ends)
        expected = integer_product(rows.reshape(-1, rows.shape[-1]), weight)
        if bias and bias[0] in constants:
            expected += constants[bias[0]].values()
        atol = 1e-6 * np.abs(expected).max()
        np.testing.assert_allclose(products.reshape(expected.shape), expected, rtol=0, atol=atol)
        widths.add(weight.dtype)
    assert widths == {"int2", "int4", "int8"}


def integer_product(rows, weight):
    codes, scale, zero_point = reference.quantize_rows(rows, "int8_asymmetric")
    sums = (codes.astype(np.int64) - zero_point) @ weight.values().T.astype(np.int64)
    return sums.astype(F) * scale.astype(F) * weight.scale


def test_taps_know_what_they_are_multiplied_by(recognizer):
    _, taps = kit.taps.tapped(recognizer.read_bytes())
    multiplied = [name for tap in taps for name in tap.weights]
    weights = {weight.name for weight in tiny.shared_weights(tiny.TWO_FOUR_EIGHT)}
    assert set(multiplied) == {name for name in weights if name.startswith("encoder/")} | {
        "joint/encoder/kernel"
    }


def compare(*arguments):
    """What `compare.py` prints, and the status with which it ends."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.raises(SystemExit) as exit_info,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        app.run(kit.compare.COMMAND, ["compare", *map(str, arguments)])
    return exit_info.value.code or 0, out.getvalue(), err.getvalue()


def test_the_program(recognizer, tmp_path, monkeypatch):
    monkeypatch.setattr(kit.compare, "make", lambda folder: ThisMachine())
    manifest = tiny.write_corpus(tmp_path)
    status, out, err = compare(
        recognizer, f"--manifest={manifest}", "--utterances=3", "--inspected=1", "--schemes=w2c_a8d"
    )
    assert status == 0, err
    layers, tokens, first, blocks = out.strip().split("\n\n")
    assert layers.splitlines()[1].split() == ["w2c_a8d", "0.0%", "0.0e+00"]
    assert tokens.startswith(f"{recognizer}: 3 of 3 utterances have the same tokens, ")
    assert tokens.endswith(" in the same frames; their log-probabilities are at most 0.0000 apart")
    assert first == "first to differ: none"
    rows = [line.split() for line in blocks.splitlines()[1:]]
    assert [row[0] for row in rows][1:] == ["encoder/block_0", "joint/encoder"]
    assert {row[2] for row in rows} == {"0.000%"}


def test_what_the_program_refuses(recognizer, tmp_path):
    assert compare(recognizer) == (
        2,
        "",
        "int4-conformer: Files need something to recognise; give --manifest.\n",
    )
    status, _, err = compare(tmp_path / "none.tflite", "--manifest=synthetic")
    assert status == 2
    assert "none.tflite cannot be read" in err


def test_an_arm_root_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"There is no Arm root in .*compare\.py makes one"):
        kit.arm_root.ArmRoot(tmp_path)


# (accumulator * activation scale) * weight scale, as here, or accumulator * (both scales).
SCALED_APART, SCALED_TOGETHER = "apart", "together"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("cpu", "scheme", "bits", "scaled"),
    [
        ("neoverse-n1", "w2c_a8d", 2, SCALED_APART),
        ("neoverse-n1", "w4c_a8d", 4, SCALED_TOGETHER),
        ("neoverse-n1", "w8c_a8d", 8, SCALED_TOGETHER),
        ("cortex-a72", "w2c_a8d", 2, SCALED_APART),
        ("cortex-a72", "w4c_a8d", 4, SCALED_APART),
        ("cortex-a72", "w8c_a8d", 8, SCALED_APART),
    ],
)
def test_products_on_arm(arm, tmp_path, cpu, scheme, bits, scaled):
    """The integers are those of training; scales may be multiplied in another order."""
    model = keras.Sequential([keras.Input([101]), QuantDense(37, quant=scheme, use_bias=False)])
    export_keras_tflite(model, tmp_path / "layer.tflite")
    rng = np.random.default_rng(0)
    x = rng.standard_normal([20, 101]) * np.exp(rng.uniform(-4, 4, [20, 1]))
    x = x.astype(F)
    content = (tmp_path / "layer.tflite").read_bytes()
    (((here,), (there,)),) = [
        (a.values(), b.values()) for a, b in arm(cpu).outputs(content, [{"inputs": x}])
    ]
    codes, scale = reference.quantize(model.layers[0].kernel.numpy(), bits, axes=(0,))
    rows, row_scale, zero_point = reference.quantize_rows(x, "int8_asymmetric")
    sums = ((rows.astype(np.int64) - zero_point) @ codes.astype(np.int64)).astype(F)
    apart = sums * row_scale.astype(F) * scale
    np.testing.assert_array_equal(here, apart)
    together = sums * (row_scale.astype(F) * scale)
    np.testing.assert_array_equal(there, together if scaled == SCALED_TOGETHER else apart)


@pytest.mark.heavy
@pytest.mark.parametrize("cpu", ["neoverse-n1", "cortex-a72"])
def test_a_recogniser_on_arm(arm, recognizer, cpu):
    both = arm(cpu).outputs(recognizer.read_bytes(), calls(12, 25, 60))
    assert any(here["count"] for here, _ in both)
    for here, there in both:
        here, there = found(here), found(there)
        np.testing.assert_array_equal(there["tokens"], here["tokens"])
        np.testing.assert_array_equal(there["frames"], here["frames"])
        np.testing.assert_allclose(there["log_probs"], here["log_probs"], atol=0.05)
