import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def keras_model(tmp_path_factory):
    """What examples/keras_model.py prints, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("keras_model")
    run = subprocess.run(
        [sys.executable, ROOT / "examples/keras_model.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout, folder


def test_the_keras_example_is_at_most_40_lines():
    assert len((ROOT / "examples/keras_model.py").read_text().splitlines()) <= 40


@pytest.mark.parametrize("name", ["mlp", "transformer"])
def test_the_keras_example_serves_what_it_trained(keras_model, name):
    printed, folder = keras_model
    accuracy, difference = map(
        float,
        re.search(rf"{name}\.tflite: accuracy (\S+), off from Keras by (\S+)", printed).groups(),
    )
    # A tenth is chance.
    assert accuracy > 0.8
    # The mean over all outputs: other integers would be off by a hundredth everywhere, those that
    # a float layer's rounding tips over are few.
    assert difference < 1e-3
    assert (folder / f"{name}.tflite").stat().st_size < (
        folder / f"{name}.keras"
    ).stat().st_size / 10
