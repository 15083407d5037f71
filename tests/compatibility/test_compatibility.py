"""Files of older versions go on loading, and give the same results.

`v0_1` holds what version 0.1 wrote and what it made of it; `make_fixtures.py` says how. These tests
hold together

- training folders, of which models load and trainings go on, also with recipes whose schemes have
  the names and fields of that version;
- `.tflite` files, recognised whole and in streams, and the same exported from an old folder;
- `.keras` files of quantized layers and of a recogniser;
- `quantize`, `QuantDense` by every scheme, and `rnnt_loss`: values, gradients, names of weights;
- the JSON that commands write: keys may be added, and none may go.

Integers are equal. Floats are equal but for the order of sums.
"""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from int4_conformer import layers, models
from int4_conformer.lite import Recognizer
from int4_conformer.quant import Recipe
from int4_conformer.training import Trainer, TrainingConfig, Workdir, strategy_from_name
from tests.compatibility import outcomes
from tests.support import commands

FOLDER = Path(__file__).parent / "v0_1"
CASCADE, WORDPIECES = FOLDER / "cascade", FOLDER / "wordpieces"
CASCADE_FILE = FOLDER / "cascade.tflite"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
MANIFEST = FOLDER / "clips" / "manifest.jsonl"
CLIPS = [
    outcomes.Clip(path=FOLDER / "clips" / line["audio"], text=line["text"])
    for line in map(json.loads, MANIFEST.read_text().splitlines())
]

# `tf.data` says that it does not care for `outcomes.eagerly`.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config")


@pytest.fixture(params=CLIPS, ids=lambda clip: clip.text)
def clip(request):
    return request.param


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer(CASCADE_FILE, gated=False)


@pytest.fixture(scope="module")
def cascade():
    return Workdir(CASCADE).load()


@pytest.fixture(scope="module")
def wordpieces():
    return Workdir(WORDPIECES).load()


def load_keras(name):
    # A class is registered with Keras when it is first taken from its package.
    for layer in layers.__all__:
        getattr(layers, layer)
    assert models.Transducer
    return keras.models.load_model(FOLDER / name)


def load_arrays(name):
    """Inputs and results of a file, by name."""
    arrays = dict(np.load(FOLDER / name))
    inputs = {key.removeprefix("in/"): arrays.pop(key) for key in [*arrays] if key[:3] == "in/"}
    return inputs, arrays


def assert_recognition(found, expected):
    assert {**found, "words": None} == {**expected, "words": None}
    assert_words(found["words"], expected["words"])


def assert_words(found, expected):
    assert [word["text"] for word in found] == [word["text"] for word in expected]
    for field, tolerance in (("start", 1e-9), ("end", 1e-9), ("confidence", 1e-3)):
        np.testing.assert_allclose(
            [word[field] for word in found],
            [word[field] for word in expected],
            rtol=0,
            atol=tolerance,
            err_msg=field,
        )


def assert_arrays(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        exact = np.issubdtype(value.dtype, np.integer)
        tolerance = 0 if exact else 1e-5
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


def expected_of(clip, what):
    return EXPECTED["clips"][clip.path.name][what]


def test_a_file_recognises_whole_utterances(recognizer, clip):
    found = outcomes.heard(recognizer, clip.samples())
    assert_recognition(found, expected_of(clip, "cascade.tflite"))


@pytest.mark.parametrize(
    ("what", "second_pass"), [("stream", True), ("stream of the first pass", False)]
)
def test_a_file_recognises_streams(recognizer, clip, what, second_pass):
    found = outcomes.streamed(recognizer, clip.samples(), second_pass)
    assert_recognition(found, expected_of(clip, what))


def test_a_training_folder_recognises(cascade, clip):
    model, tokenizer = cascade
    tokens = outcomes.recognized(model, clip.samples())
    assert tokens == expected_of(clip, "cascade")
    assert tokenizer.vocabulary.detokenize(tokens) == clip.text


@pytest.mark.parametrize("name", ["cascade", "wordpieces"])
def test_both_checkpoints_have_the_same_weights(request, name):
    # The last step was the best one, and what is loaded of either is the average, if there is one.
    best, _ = request.getfixturevalue(name)
    last, _ = Workdir(FOLDER / name).load("last")
    for variable, expected in zip(last.weights, best.weights, strict=True):
        np.testing.assert_array_equal(variable, expected, err_msg=variable.path)


def test_a_finished_training_is_taken_for_the_same(tmp_path, cascade):
    path = shutil.copytree(CASCADE, tmp_path / "run")
    config = json.loads((path / "config.json").read_text())
    Workdir(path).create(cascade[0].config, cascade[1], config["training"])
    assert Workdir(path).steps_done == config["training"]["steps"]


def test_a_folder_of_wordpieces_and_many_schemes(wordpieces):
    model, tokenizer = wordpieces
    arrays = np.load(FOLDER / "wordpieces.npz")
    assert tokenizer.encode(CLIPS[0].text) == arrays["labels"].tolist()
    logits = outcomes.logits(model, outcomes.batch_of(CLIPS[0], arrays["labels"]))
    np.testing.assert_allclose(logits, arrays["logits"], rtol=1e-4, atol=1e-4)


def test_a_recipe_of_old_names(wordpieces):
    assert Recipe.load(FOLDER / "recipe.json") == wordpieces[0].config.recipe


def test_an_interrupted_training_goes_on(tmp_path, wordpieces):
    workdir = Workdir(shutil.copytree(WORDPIECES, tmp_path / "run"))
    config = json.loads((workdir.path / "config.json").read_text())
    with outcomes.eagerly():
        Trainer(
            wordpieces[0].config,
            TrainingConfig(**config["training"]),
            tokenizer=wordpieces[1],
            train=CLIPS[:2],
            dev=[],
            workdir=workdir,
            strategy=strategy_from_name("auto"),
        ).train()
    assert [metrics["step"] for metrics in workdir.metrics()] == [2, 4]
    # The order of utterances was another one.
    assert workdir.metrics()[-1]["loss"] == pytest.approx(EXPECTED["resumed"], rel=0.02)


def test_a_keras_file_of_quantized_layers():
    arrays = np.load(FOLDER / "layers.npz")
    outputs = load_keras("layers.keras")(arrays["inputs"])
    np.testing.assert_allclose(outputs, arrays["outputs"], rtol=1e-5, atol=1e-5)


def test_a_keras_file_of_a_recogniser():
    arrays = np.load(FOLDER / "transducer.npz")
    logits = outcomes.logits(load_keras("transducer.keras"), arrays)
    np.testing.assert_allclose(logits, arrays["logits"], rtol=1e-4, atol=1e-4)


def test_codes_and_scales():
    inputs, expected = load_arrays("quantize.npz")
    assert_arrays(outcomes.codes(**inputs), expected)


def test_dense_layers_by_every_scheme():
    inputs, expected = load_arrays("dense.npz")
    assert_arrays(outcomes.dense(**inputs), expected)


def test_the_transducer_loss():
    inputs, expected = load_arrays("rnnt_loss.npz")
    assert_arrays(outcomes.losses(inputs), expected)


def written_json(tmp_path, *arguments):
    """What a command writes to the file of its flag --json."""
    file = tmp_path / "report.json"
    result = commands.run(*arguments, f"--json={file}")
    assert result.status == 0, result
    return json.loads(file.read_text())


def assert_keys(report, what):
    missing = set(EXPECTED["keys"][what]) - set(outcomes.key_paths(report))
    assert not missing


@pytest.mark.parametrize("model", ["cascade", "cascade.tflite"])
def test_evaluations(tmp_path, model):
    with outcomes.eagerly():
        report = written_json(
            tmp_path, "evaluate", FOLDER / model, f"--manifest={MANIFEST}", "--split=short"
        )
    assert_keys(report, f"evaluate {model}")
    expected = EXPECTED["evaluate"][f"evaluate {model}"]
    assert {name: report[name] for name in expected} == expected


def test_the_inspection_of_a_file(tmp_path):
    report = written_json(tmp_path, "inspect", CASCADE_FILE)
    assert_keys(report, "inspect cascade.tflite")
    for total in report["totals"]:
        # What it is for, which 0.1 did not say.
        del total["use"]
    assert {name: report[name] for name in EXPECTED["inspect"]} == EXPECTED["inspect"]


def test_the_inspection_of_a_preset(tmp_path):
    assert_keys(written_json(tmp_path, "inspect", "cascaded_tiny"), "inspect cascaded_tiny")


def test_transcripts_in_json():
    result = commands.run("transcribe", CASCADE_FILE, CLIPS[0].path, "--json")
    report = json.loads(result.out)
    assert_keys(report, "transcribe")
    assert report["text"] == CLIPS[0].text


@pytest.mark.heavy
def test_the_demo_with_an_old_training_in_place_of_its_own(tmp_path, monkeypatch):
    def train(trainer):
        """Copies the first pass of the cascade, which is exported sooner than both."""
        path = shutil.copytree(CASCADE, tmp_path / "train")
        config = json.loads((path / "config.json").read_text())
        config["model"]["second_pass"] = None
        (path / "config.json").write_text(json.dumps(config))

    monkeypatch.setattr(Trainer, "__init__", lambda *args, **kwargs: None)
    monkeypatch.setattr(Trainer, "train", train)
    result = commands.run(
        "demo", f"--output={tmp_path}", "--steps=1", "--utterances=10", "--test_utterances=1"
    )
    assert result.status == 0, result
    report = json.loads((tmp_path / "report.json").read_text())
    assert_keys(report, "demo")
    # What is exported now has the integers of what was exported then.
    recognizer = Recognizer(report["model"], gated=False)
    for clip in CLIPS:
        found = outcomes.heard(recognizer, clip.samples())
        expected = expected_of(clip, "stream of the first pass")
        assert found["text"] == expected["text"]
        assert_words(found["words"], expected["words"])
