import subprocess
import sys
from pathlib import Path

PROGRAM = """
from int4_conformer import QuantConfig, Recipe, Recognizer, Transducer, evaluate
from int4_conformer import inspect_tflite, preset
from int4_conformer.layers import QuantDense
from int4_conformer.quant import quantize

reveal_type(Transducer(preset("tiny", recipe=Recipe.preset("w4a8"))))
reveal_type(Recognizer("model.tflite").transcribe)
reveal_type(inspect_tflite("model.tflite").parameters)
reveal_type(quantize([1.0], bits=4))
reveal_type(QuantDense(3, quant=QuantConfig(weight_bits=4)))
reveal_type(evaluate)
Recognizer(4)
"""
# What mypy finds each of them to be.
REVEALED = (
    "Transducer",
    "-> str",
    '"int"',
    "QTensor",
    "QuantDense",
    "-> int4_conformer.evaluation.one_by_one.Evaluation",
)


def test_a_type_checker_finds_the_public_names(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    options = ["--ignore-missing-imports", "--follow-imports=silent", f"--cache-dir={tmp_path}"]
    result = subprocess.run(
        [sys.executable, "-m", "mypy", *options, program],
        env={"MYPYPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    notes = [line for line in result.stdout.splitlines() if "Revealed type" in line]
    for note, expected in zip(notes, REVEALED, strict=True):
        assert expected in note
    assert result.stdout.count("[arg-type]") == 1
