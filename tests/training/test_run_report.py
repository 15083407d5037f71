import html.parser
import json

import pytest

from int4_conformer.errors import UserError
from int4_conformer.training.run_report import write_report
from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import tiny

EVIL = "<script>alert('x')</script>\"&"
# Tags without an end.
VOID = {"meta"}


class Page(html.parser.HTMLParser):
    """What a page holds, checked to be closed as it was opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def write_lines(path, lines, cut=""):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + cut)


@pytest.fixture
def folder(tmp_path):
    """A training folder with its config.json alone."""
    folder = tmp_path / "my <run>"
    settings = TrainingConfig(steps=500, warmup=3).to_config() | {"of_another_version": EVIL}
    Workdir(folder).create(tiny.config(), tiny.TOKENIZER, settings)
    return folder


def fill(folder):
    """All that a training leaves, with the end of each file cut short."""
    progress = [
        {
            "step": step,
            "loss": 100 / step,
            "learning_rate": 1e-3,
            "gradient_norm": 2.5,
            "steps_per_second": 3.0,
            "audio_hours_per_hour": 123.4,
            "skipped": int(step > 30),
            "seconds": step * 18.25,
            "processor_seconds": step / 2,
            "memory_mb": 800 + step / 100,
        }
        for step in range(10, 410, 10)
    ]
    write_lines(folder / "progress.jsonl", progress, '{"step": 4')
    metrics = [
        {"step": 100, "loss": 3.0, "seconds": 33.3, "dev_wer": 0.25, "dev_wer_first_pass": 0.5},
        {"step": 200, "loss": 2.0, "seconds": 66.6, "dev_wer": 0.125, "dev_wer_first_pass": 0.4},
        # A run that was killed here took 200 again.
        {"step": 200, "loss": 2.0, "seconds": 66.6, "dev_wer": 0.125, "dev_wer_first_pass": 0.4},
        {"step": 400, "loss": 1.0, "seconds": 7300, "dev_wer": 0.1875, "dev_wer_first_pass": None},
    ]
    write_lines(folder / "metrics.jsonl", metrics, '{"step": 500, "lo')
    transcripts = [
        {"utterance": EVIL, "speaker": EVIL, "reference": f"a {EVIL}", "hypothesis": "a b"},
        {"utterance": "no text"},
    ]
    write_lines(folder / "transcripts.jsonl", transcripts, '{"utt')
    commands = [
        {"time": "2026-11-28T10:00:00", "step": 0, "argv": ["int4-conformer", "train"]},
        {"time": "2026-11-28T11:00:00", "step": 200, "argv": ["int4-conformer", f"--x={EVIL}"]},
    ]
    write_lines(folder / "commands.jsonl", commands, "{")
    (folder / "skipped").mkdir()
    write_lines(folder / "skipped" / "step-31.jsonl", [{"audio": "a"}, {"audio": "b"}])


def test_a_page_of_all_that_there_is(folder):
    fill(folder)
    path = write_report(folder)
    assert path == folder / "report.html"
    page = Page(path.read_text())
    assert page.text.strip().startswith("my <run>: training report")
    for figure in (
        "400of 500",
        "18.75%",
        "12.50%at step 200",
        "2 h 01 min",
        "123",
        "Skipped steps1",
    ):
        assert figure in page.text.replace("\n", ""), figure
    titles = (
        "Loss",
        "Word errors",
        "Learning rate",
        "Norm of the gradient",
        "Throughput",
        "Memory",
    )
    assert page.tags.count("svg") == len(titles)
    assert all(title in page.text for title in titles)
    assert "All 3 evaluations" in page.text
    assert "skipped/step-31.jsonl" in page.text
    # Settings that are not the defaults, then all.
    changed = page.text[page.text.index("setting of training") :]
    changed = changed[: changed.index(" settings")]
    assert "steps50010000" in changed
    assert "warmup3500" in changed
    assert "clip_norm" not in changed
    assert "training.clip_norm" in page.text
    assert "model.encoder.blocks" in page.text


def test_nothing_is_loaded_and_nothing_is_run(folder):
    fill(folder)
    text = write_report(folder).read_text()
    page = Page(text)
    assert EVIL in page.text
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {"src", "srcset", "onload", "onclick"} & names
    targets = [value for name, value in page.attributes if name.endswith("href")]
    assert all(target.startswith("#") for target in targets)
    assert "url(" not in text.replace("url(#", "")
    assert "@import" not in text


@pytest.mark.parametrize(
    "missing", ["progress.jsonl", "metrics.jsonl", "transcripts.jsonl", "commands.jsonl"]
)
def test_any_file_may_be_missing(folder, missing):
    fill(folder)
    (folder / missing).unlink()
    Page(write_report(folder).read_text())


def test_a_folder_of_before_the_first_step(folder):
    page = Page(write_report(folder).read_text())
    assert "Nothing was recorded yet" in page.text
    assert "There was no evaluation yet" in page.text


def test_numbers_that_no_float_holds(folder):
    fill(folder)
    for name in ("metrics.jsonl", "progress.jsonl"):
        lines = [{"step": 10**400}, {"step": 1, "dev_wer": 10**400, "loss": -(10**400)}]
        with (folder / name).open("a") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "more": 3}))
    assert "more" in Page(write_report(folder).read_text()).text


@pytest.mark.parametrize(
    "content", ['{"model": 1', "[" * 100_000, '{"model": [], "tokenizer": {}, "training": {}}']
)
def test_another_folder_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match="is no training folder"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_names_of_files_need_not_be_utf8(folder):
    argv = ["train", b"--manifest=f\xfcr.jsonl".decode(errors="surrogateescape")]
    write_lines(folder / "commands.jsonl", [{"step": 0, "argv": argv}])
    assert "--manifest=f?r.jsonl" in write_report(folder).read_text()
