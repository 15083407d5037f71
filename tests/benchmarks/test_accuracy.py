"""The accuracy experiment, without a training: a program that writes what the commands would."""

import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from absl import flags

from int4_conformer.data.sources.synthetic import synthetic_corpus
from int4_conformer.errors import UserError
from int4_conformer.quant.spec.recipe import Recipe

ROOT = Path(__file__).parents[2]
# What stands for `int4-conformer`: it hears one word wrong in float, and two in others.
PROGRAM = """
import json, sys
from pathlib import Path

command, *given = sys.argv[1:]
flags = dict(flag[2:].split("=", 1) for flag in given if "=" in flag)
if command == "train":
    workdir = Path(flags["workdir"])
    workdir.mkdir(parents=True)
    (workdir / "recipe").write_text(flags["recipe"])
    (workdir / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5, "seconds": 9.7}')
elif command == "export":
    Path(flags["output"]).write_text((Path(given[0]) / "recipe").read_text())
else:
    wrong = 1 if Path(given[0]).read_text() == "float" else 2
    lines = map(json.loads, Path(flags["manifest"]).read_text().splitlines())
    heard = [
        (line["audio"], line["text"], "no" if index < wrong else line["text"])
        for index, line in enumerate(x for x in lines if x["split"] == flags["split"])
    ]
    Path(flags["hypotheses"]).write_text("".join("\\t".join(row) + "\\n" for row in heard))
    Path(flags["json"]).write_text('{"rtf": 0.01}')
"""


@pytest.fixture
def modules(programs):
    yield programs("experiments", "bench", "table", "reproduce")
    # absl has one set of flags for all programs.
    for flag in list(flags.FLAGS.flags_by_module_dict()["reproduce"]):
        delattr(flags.FLAGS, flag.name)


@pytest.fixture
def data(tmp_path):
    """Corpora of ten words, said by each speaker in each split."""
    data = tmp_path / "data"
    for corpus, speakers in {"fsdd": ["george", "theo", "yweweler"], "an4": ["a", "b"]}.items():
        (data / corpus).mkdir(parents=True)
        lines = [
            {
                "audio": f"{speaker}/{split}_{index}.wav",
                "text": "one two",
                "duration": 1.0,
                "speaker": speaker,
                "split": split,
            }
            for split in ("train", "test", "dev")
            for speaker in speakers
            for index in range(5)
        ]
        (data / corpus / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return data


@pytest.fixture
def bench(modules, data, tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr(modules["bench"], "_CLI", (sys.executable, "-S", str(program)))

    def bench(**settings):
        results = tmp_path / "results"
        return modules["bench"].Bench(
            data=data, output=tmp_path / "out", results=results, **settings
        )

    return bench


def test_what_is_made_is_balanced_and_in_order(modules):
    experiments = modules["experiments"]
    variants = list(experiments.VARIANTS)
    runs = experiments.queue(["fsdd", "an4"], variants, [0, 1, 2])
    assert len(set(runs)) == len(runs) == 2 * 3 * len(variants)
    places = {run: place for place, run in enumerate(runs)}
    for run in runs:
        if experiments.VARIANTS[run.variant].needs_float:
            assert places[run.float_run] < places[run]
    # Of float32 and 4 bits each corpus has one seed before any has two.
    first = [(run.variant, run.seed) for run in runs]
    assert first.index(("w4a8", 0)) < first.index(("float", 1))
    # Read English has one seed.
    assert {run.seed for run in experiments.queue(["english"], variants, [0, 1, 2])} == {0}


def test_recipes_are_what_train_takes(modules):
    for variant in modules["experiments"].VARIANTS.values():
        if not variant.after_training:
            name = variant.recipe
            recipe = Recipe.named(str(ROOT / name) if name.endswith(".json") else name)
            assert (recipe.rules[-1][1].weight_bits or 32) == variant.bits


def test_speakers_that_are_left_out_are_measured_on_alone(modules, data):
    corpus = modules["experiments"].CORPORA["fsdd_unseen"]
    lines = [json.loads(line) for line in corpus.manifest(data, data).splitlines()]
    speakers = {
        split: {line["speaker"] for line in lines if line["split"] == split}
        for split in ("train", "unseen")
    }
    assert speakers == {"train": {"fsdd/george"}, "unseen": {"fsdd/theo", "fsdd/yweweler"}}
    # All that they said.
    assert sum(line["split"] == "unseen" for line in lines) == 2 * 2 * 5


def test_what_is_spoken_is_written(modules, tmp_path):
    part = modules["experiments"].SpokenPart(split="test", count=3, use="heard")
    lines = list(part.lines(tmp_path / "absent", tmp_path))
    spoken = synthetic_corpus("test", 3)
    assert [line["text"] for line in lines] == [utterance.text for utterance in spoken]
    assert {line["split"] for line in lines} == {"heard"}
    for line, utterance in zip(lines, spoken, strict=True):
        samples, rate = soundfile.read(line["audio"], dtype="float32")
        assert rate == 16000
        np.testing.assert_allclose(samples, utterance.samples(), atol=2**-15)


def test_a_corpus_that_is_not_there(modules, tmp_path):
    with pytest.raises(UserError, match=r"There is no .*/fsdd/manifest.jsonl; give the folder"):
        modules["experiments"].CORPORA["fsdd"].manifest(tmp_path, tmp_path)


def test_a_run_is_made_once_and_says_how(modules, bench, tmp_path):
    run = modules["experiments"].Run(corpus="fsdd", variant="w4a8", seed=1)
    bench().make(run)
    file = tmp_path / "results" / "fsdd" / "w4a8_1.json"
    result = json.loads(file.read_text())
    assert (result["variant"], result["seed"], result["bytes"]) == ("w4a8", 1, len("w4a8"))
    assert (result["training_seconds"], result["training_loss"]) == (10, 0.5)
    assert len(result["commit"]) >= 12
    train, export, evaluate = result["commands"]
    assert train.startswith("int4-conformer train --manifest=OUTPUT/fsdd/manifest.jsonl")
    assert "--recipe=w4a8 --seed=1" in train
    assert "--checkpoint=last" in export
    assert "--split=test" in evaluate
    assert str(tmp_path) not in file.read_text()
    utterances = result["sets"]["test"]["utterances"]
    assert utterances[0] == ["george/test_0.wav", 2, 2, "no"]
    assert utterances[2] == ["george/test_2.wav", 2, 0, "one two"]
    assert len(utterances) == 15

    # No command is run again, though there is no time either.
    bench(minutes=0).make(run)
    assert json.loads(file.read_text()) == result


def test_what_needs_float_weights_has_them_made(modules, bench, tmp_path):
    run = modules["experiments"].Run(corpus="an4", variant="w4a8_from_float", seed=2)
    bench(train_flags=["--noxla"]).make(run)
    assert (tmp_path / "out" / "an4" / "float_2" / "model.tflite").read_text() == "float"
    results = tmp_path / "results" / "an4"
    assert [path.stem for path in results.iterdir()] == ["w4a8_from_float_2"]
    train = json.loads((results / "w4a8_from_float_2.json").read_text())["commands"][0]
    assert "--init_from=OUTPUT/an4/float_2/run" in train
    assert train.endswith("--noxla")


def test_out_of_time_nothing_is_written(modules, bench, tmp_path):
    run = modules["experiments"].Run(corpus="fsdd", variant="float", seed=0)
    with pytest.raises(modules["bench"].OutOfTimeError):
        bench(minutes=0).make(run)
    assert not (tmp_path / "results").exists()


def test_a_training_that_does_not_stop_is_killed(modules, bench, tmp_path, monkeypatch):
    program = tmp_path / "deaf.py"
    program.write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n"
    )
    monkeypatch.setattr(modules["bench"], "_CLI", (sys.executable, "-S", str(program)))
    monkeypatch.setattr(modules["bench"], "_PATIENCE", 0.2)
    run = modules["experiments"].Run(corpus="fsdd", variant="float", seed=0)
    start = time.monotonic()
    with pytest.raises(modules["bench"].OutOfTimeError):
        bench(minutes=2 / 60).make(run)
    assert time.monotonic() - start < 60
    assert not (tmp_path / "results").exists()


@pytest.fixture
def results(modules, bench, tmp_path):
    """Runs of float32 with two seeds, and of 4 bits with three."""
    for variant, seeds in {"float": (0, 1), "w4a8": (0, 1, 2)}.items():
        for seed in seeds:
            bench().make(modules["experiments"].Run(corpus="fsdd", variant=variant, seed=seed))
    return tmp_path / "results"


def test_seeds_are_pooled(modules, results):
    table = modules["table"]
    measured = table.read(results, "fsdd")["test"]
    assert list(measured) == ["float", "w4a8"]
    assert measured["w4a8"].errors.shape == (3, 15)
    assert measured["float"].wer.value == pytest.approx(2 / 30)
    assert measured["w4a8"].wer.value == pytest.approx(4 / 30)
    found = table.difference(measured["float"], measured["w4a8"])
    assert found.seeds == (0, 1)
    assert found.points.value == pytest.approx(2 / 30)
    # Both seeds lose the same utterance: of two exchanges, both differ as much.
    assert found.p == 1.0


def test_the_page_says_what_is_there_and_what_is_not(modules, results):
    page = modules["table"].page(results)
    (row,) = [line for line in page.splitlines() if line.startswith("| `w4a8` |")]
    assert "| 3 | 13.33% (" in row
    assert "| 4, 4, 4 | +6.67 (" in row
    assert "Not measured yet: float (2 of 3 seeds), ptq_int8, ptq_int4, w4a8_from_float," in page
    assert page.count("Not measured yet.") == len(modules["experiments"].CORPORA) - 1
    short = modules["table"].short_table(results).splitlines()
    assert len(short) == 5
    assert short[2].startswith(
        "| FSDD, spoken digits, the speakers of training: `test` | 2 | 6.67%"
    )
    assert short[2].endswith("not measured yet |")


def test_runs_of_other_utterances_are_refused(modules, results):
    file = results / "fsdd" / "float_1.json"
    run = json.loads(file.read_text())
    run["sets"]["test"]["utterances"].pop()
    file.write_text(json.dumps(run))
    with pytest.raises(ValueError, match="same utterances"):
        modules["table"].read(results, "fsdd")


def test_the_picture(modules, results, tmp_path):
    table = modules["table"]
    assert not table.draw(tmp_path / "nothing", tmp_path / "none.png")
    assert table.draw(results, tmp_path / "a.png")
    assert table.draw(results, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_reproduction_is_judged_by_the_interval(modules, results):
    table, reproduce = modules["table"], modules["reproduce"]
    measured = table.read(results, "fsdd")["test"]
    committed = dict.fromkeys(reproduce.VARIANTS, measured["w4a8"])
    lines, alike = reproduce.verdict(committed, committed)
    assert alike
    assert lines[-1] == "reproduced"
    worse = np.ones_like(measured["w4a8"].errors) * 2
    made = committed | {"w4a8": dataclasses.replace(measured["w4a8"], errors=worse)}
    lines, alike = reproduce.verdict(committed, made)
    assert not alike
    assert [line.split()[0] for line in lines if "NOT" in line] == ["w4a8"]


def test_the_tables_are_those_of_the_committed_runs(modules):
    table = modules["table"]
    readme = table.README.read_text()
    assert "<!-- accuracy -->" in readme
    assert table.updated(readme, table.RESULTS) == readme, "run make results"
    assert table.page(table.RESULTS) == table.PAGE.read_text(), "run make results"
    assert table.demo_trainings(table.RESULTS) == table.DEMO.read_text(), "run make results"
