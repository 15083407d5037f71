import json

import pytest
import soundfile

from int4_conformer.data.corpus import read_corpus
from tests.support import commands

pytest.importorskip("espeakng_loader")


def test_speaks_a_corpus_and_goes_on(tmp_path):
    phrases, made = tmp_path / "phrases.txt", tmp_path / "made"
    phrases.write_text("light = turn (on | off) the light\n\nroom {1..9}\n")
    arguments = ("speak", phrases, f"--output={made}", "--utterances=3", "--processes=1")
    result = commands.run(*arguments)
    assert result.status == 0, result
    assert result.out.splitlines()[-1].startswith(f"{made}: 43 utterances, ")
    command = f"int4-conformer train --manifest={made} --workdir=run"
    assert result.err.endswith(f"next:\n  {command}\n")
    lines = [json.loads(line) for line in (made / "manifest.jsonl").read_text().splitlines()]
    assert [line["split"] for line in lines] == ["train"] * 3 + ["dev"] * 20 + ["test"] * 20
    first = lines[0]
    assert first["speaker"].startswith("espeak/")
    assert first["duration"] == soundfile.info(made / first["audio"]).duration
    assert [u.text for u in read_corpus(made, "train")] == [line["text"] for line in lines[:3]]
    # Again, it makes what is missing.
    written = (made / first["audio"]).read_bytes()
    (made / first["audio"]).unlink()
    assert commands.run(*arguments).status == 0
    assert (made / first["audio"]).read_bytes() == written


@pytest.mark.parametrize(
    ("content", "flags", "line"),
    [
        ("", [], "is empty; give a file with a phrase a line"),
        ("turn (on", [], "The phrase 'turn (on' cannot be read: ')' is missing"),
        ("{5..1}", [], "5..1 is no range"),
        ("yes", ["--voices=festival"], "There are no voices 'festival'; `voices` takes espeak, "),
        ("yes", ["--utterances=0"], "`utterances` must be positive. Received: utterances=0"),
        ("yes", ["more.txt"], "speak takes one FILE. Received: 2 arguments"),
    ],
)
def test_what_is_refused(tmp_path, content, flags, line):
    phrases = tmp_path / "phrases.txt"
    phrases.write_text(content)
    assert line in commands.refusal("speak", phrases, f"--output={tmp_path / 'made'}", *flags)
    assert not (tmp_path / "made").exists()
    refusal = commands.refusal("speak", "absent.txt", f"--output={tmp_path / 'm'}")
    assert "There is no list of phrases absent.txt" in refusal
