"""Tables of what the models of the package and others have heard."""

import json
from pathlib import Path

import pytest

from int4_conformer.data.sources.utterance import Utterance


@pytest.fixture
def modules(programs):
    return programs("experiments", "box_corpus", "spelled", "compare_box", "box_table")


@pytest.fixture
def results(tmp_path):
    """Two systems and a closed list on one set, one system on another."""

    def write(name, *heard):
        lines = [["1", "ENTER 25", heard[0]], ["2", "B M W", heard[1]]]
        (tmp_path / f"{name}.json").write_text(json.dumps({"rtf": 0.1, "utterances": lines}))

    write("an4-commands", "enter twenty five", "b m")
    write("an4-commands-closed", "enter twenty five", "b m w")
    write("an4-whisper_tiny", "Enter 25.", "BMW")
    write("kathleen-pocketsphinx", "", "")
    return tmp_path


def test_words_are_counted_as_they_are_spoken(modules, results):
    sets = modules["box_table"].read(results)
    assert list(sets) == ["an4", "kathleen"]
    heard = sets["an4"]
    assert heard["commands"].words() == 6
    rates = {name: round(6 * heard[name].wer().value) for name in heard}
    assert rates == {"commands": 1, "commands-closed": 0, "whisper_tiny": 3}
    # enter 2 5 b m w
    spelled = {name: round(6 * heard[name].wer(is_spelled=True).value) for name in heard}
    assert spelled == {"commands": 1, "commands-closed": 0, "whisper_tiny": 0}


def test_a_table_has_the_sets_that_its_models_have_heard(modules, results):
    sets = modules["box_table"].read(results)
    header, _, *rows = modules["box_table"].table(sets, ["commands"]).splitlines()
    assert header == (
        "| recordings | words | `commands` | `commands`, closed list | Whisper tiny.en (75 MB) "
        "| pocketsphinx (38 MB) |"
    )
    (row,) = rows
    assert row.startswith("| an4 | 6 | 16.7% (0.0 .. 33.3) | 0.0% (0.0 .. 0.0) | 50.0% (")
    card = "# commands\n<!-- words -->\nold\n<!-- end -->\nmore\n"
    updated = modules["box_table"].updated(card, sets, "commands")
    assert row in updated
    assert "old" not in updated
    assert updated.endswith("<!-- end -->\nmore\n")


def test_other_speech_is_no_error_but_counted(modules, results):
    heard = {"rtf": 0.1, "utterances": [["1", "good day", "call a"], ["2", "so it is", ""]]}
    (results / "kathleen-commands.json").write_text(json.dumps(heard))
    table = modules["box_table"]
    sets = table.read(results)
    assert "| kathleen" not in table.table(sets, ["commands"])
    row = "| `commands` | kathleen | 2 | 1 | 2 |"
    assert table.other_speech(sets, ["commands"]).splitlines()[2:] == [row]
    assert row in table.updated("<!-- words -->\n<!-- end -->", sets, "commands")
    assert row in table.page(sets) or not table.pretrained_models()


def test_the_tables_are_those_of_what_was_heard(modules):
    table = modules["box_table"]
    sets = table.read()
    assert table.page(sets) == table.PAGE.read_text(), "run make results"
    for model in table.pretrained_models():
        card = (table.FOLDER / f"{model}.md").read_text()
        assert "<!-- words -->" in card
        assert table.updated(card, sets, model) == card, "run make results"


def test_sets_are_what_no_training_has_heard(modules, monkeypatch, tmp_path):
    compare = modules["compare_box"]

    def utterance(folder, name, speaker):
        return Utterance(
            audio=str(tmp_path.resolve() / folder / name), text="a", duration=1.0, speaker=speaker
        )

    corpora = {
        "fsdd": [utterance("fsdd", f"{s}.wav", s) for s in ("george", "theo", "yweweler")],
        "coffee_commands": [
            utterance("coffee_commands", f"audio/{number}.opus", "") for number in range(50)
        ],
    }
    monkeypatch.setattr(compare, "read_corpus", lambda folder, split: corpora[folder.name])
    unseen = [found.speaker for found in compare.recordings(tmp_path, "fsdd_unseen")]
    assert unseen == ["theo", "yweweler"]
    tenth = [Path(one.audio).stem for one in compare.recordings(tmp_path, "coffee_commands")]
    held_back = modules["box_corpus"].is_held_back
    assert tenth == [str(n) for n in range(50) if held_back(f"audio/{n}.opus")]
    assert 1 <= len(tenth) < 15
