import re
import runpy
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from int4_conformer.layers.paths import by_path
from int4_conformer.training.workdir import Workdir
from tests.support import pages, tiny

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TABLES = runpy.run_path(str(DOCS / "tables.py"))
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
# Languages of blocks that nothing runs.
SHOWN = {"text", "json", "js"}
# Pages whose commands take half a minute and more.
HEAVY = {
    *("decoding.md", "models.md", "phrases.md", "quantization.md", "training.md", "tutorial.md"),
    "verifying.md",
}


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_tables_of_settings_are_current(path):
    page = path.read_text()
    assert TABLES["updated"](page) == page, "run python docs/tables.py"


def test_every_config_has_its_table():
    pages = "".join(path.read_text() for path in DOCS.glob("*.md"))
    found = re.findall(r"<!-- fields of (\w+) -->.*?<!-- end -->", pages, re.DOTALL)
    assert sorted(found) == sorted(TABLES["CONFIGS"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    text = page.read_text()
    found = pages.blocks(page)
    assert text.count("```") == 2 * len(found)
    assert {block.language for block in found} <= pages.LANGUAGES | SHOWN
    # No program outside of a block, where nothing would run it.
    assert not re.search(r"^    (int4-conformer|python|pytest) ", text, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.svg")), ids=lambda path: path.name)
def test_drawings_are_small_and_read_aloud(path):
    assert path.stat().st_size <= 8000
    texts = {node.tag.rpartition("}")[2]: node.text for node in ElementTree.parse(path).getroot()}
    assert texts["title"]
    assert len(texts["desc"]) > 100
    assert any(f"({path.name})" in page.read_text() for page in PAGES)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The folder of someone who has a corpus and recordings, and has followed the README."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "corpus").mkdir()
    tiny.write_corpus(folder / "corpus")
    for name in ("speech", "a", "b"):
        soundfile.write(folder / f"{name}.wav", tiny.speech(30), 16000)
    (folder / "corpus.txt").write_text("a b\nb ab\n")
    (folder / "contacts.txt").write_text("ab\nba\n")
    (folder / "phrases.txt").write_text("ab = a b\nb {number:1..2}\n")
    (folder / "map.json").write_text(r'[[".*\\.num_batches_tracked", null]]')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        pages.run(ROOT / "README.md", patch)
    return folder


def test_the_readme_leaves_what_it_says(reader):
    left = {path.name for path in reader.iterdir()}
    assert {"run", "model.tflite", "float.tflite", "classifier.tflite"} <= left


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.heavy if page.name in HEAVY else ())
        for page in PAGES[1:]
        if any(block.language in pages.LANGUAGES for block in pages.blocks(page))
    ],
    ids=lambda page: page.name,
)
def test_the_blocks_of_a_page_run(reader, page, tmp_path, monkeypatch):
    folder = tmp_path / "reader"
    shutil.copytree(reader, folder)
    model, _ = Workdir(folder / "run").load()
    np.savez(folder / "weights.npz", **{path: w.numpy() for path, w in by_path(model).items()})
    monkeypatch.chdir(folder)
    pages.run(page, monkeypatch)


def test_a_model_is_fitted_in_a_few_lines():
    program, *_ = [b.code for b in pages.blocks(DOCS / "training.md") if b.language == "python"]
    assert len(program.strip().splitlines()) <= 22
