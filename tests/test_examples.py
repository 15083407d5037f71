import datetime
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from int4_conformer.data.sources.phrases import PhrasesConfig
from int4_conformer.training.training_config import TrainingConfig

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


@pytest.mark.heavy
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


@pytest.fixture
def assistant():
    """The program of examples/assistant.py as a module."""
    spec = importlib.util.spec_from_file_location("assistant", ROOT / "examples/assistant.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Hears:
    """A recogniser that hears what it is told, whatever is said; the last has no end."""

    def __init__(self, *texts):
        self._texts = texts

    def listen(self, audio, rate, *, phrases, only):
        assert only
        assert "time = what time is it" in phrases
        assert sum(map(len, audio)) == 800
        for place, text in enumerate(self._texts):
            last = place == len(self._texts) - 1
            for part, endpoint in ((text[:4], None), (text, None if last else "after_words")):
                yield SimpleNamespace(text=part, endpoint=endpoint)


def test_the_assistant_acts_on_slots(assistant):
    now = datetime.datetime(2027, 1, 2, 13, 45)
    acts = assistant.Assistant(now=lambda: now)
    heard = Hears(
        "set a timer for twenty five minutes", "turn the hall light on", "", "turn off the light",
        "what time is it", "stop",
    )  # fmt: skip
    said = list(assistant.answers(heard, acts, [np.zeros(800)]))
    assert said == [
        ("set a timer for twenty five minutes", "I will call you in twenty five minutes."),
        ("turn the hall light on", "The hall light is on."),
        ("turn off the light", "The room light is off."),
        ("what time is it", "It is thirteen 45."),
        ("stop", "Goodbye."),
    ]
    assert acts.timers == [now + datetime.timedelta(minutes=25)]
    assert acts.lights == {"hall": True, "room": False}


def test_the_assistant_answers_recordings_aloud(assistant, tmp_path, monkeypatch, capsys):
    pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(assistant, "Recognizer", lambda model: Hears("turn on the kitchen light"))
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 16000)
    assistant.main("model.tflite", str(tmp_path / "a.wav"))
    assert capsys.readouterr().out == "turn on the kitchen light -> The kitchen light is on.\n"
    answer, rate = soundfile.read(tmp_path / "a.answer.wav")
    assert rate == 16000
    assert answer.size > 16000


@pytest.fixture(scope="module")
def notebook():
    """The cells of examples/main_path.ipynb."""
    return json.loads((ROOT / "examples/main_path.ipynb").read_text())["cells"]


def test_the_notebook_holds_no_outputs(notebook):
    programs = [cell for cell in notebook if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in programs)
    for cell in programs:
        compile("".join(cell["source"]), cell["id"], "exec")


@pytest.mark.heavy
def test_the_notebook_runs(notebook, tmp_path, monkeypatch, capsys):
    from int4_conformer import xla
    from tests.support import pages, running

    monkeypatch.chdir(tmp_path)
    pages.small(monkeypatch)
    names = {}
    with xla.without_pieces(), running.eagerly():
        for cell in notebook:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
            if "parameters" in cell["metadata"].get("tags", ()):
                names["PHRASES"], names["SPEECH"] = ["stop"], PhrasesConfig(utterances=4)
                names["TRAINING"] = TrainingConfig(
                    steps=2, warmup=1, batch_seconds=4, buckets=1, evaluate_every=2, xla=False
                )
    printed = capsys.readouterr().out
    assert "train 4 utterances" in printed
    assert re.search(r"^int4: \d+\.\d% of the words are wrong$", printed, re.MULTILINE)
    assert re.search(r"^Match\(phrase=", printed, re.MULTILINE)
    sizes = re.findall(r"^(?:int4|float) (\d+) bytes$", printed, re.MULTILINE)
    assert int(sizes[0]) < int(sizes[1])
