import json

import pytest

from tests.batch import kit
from tests.support import commands

COMMAND = "transcribe_many"


def test_files_become_transcripts(tmp_path):
    texts = kit.write_recordings(tmp_path / "audio", 55)
    output = tmp_path / "transcripts"
    result = commands.run(
        COMMAND, kit.MODEL, f"{tmp_path}/audio/*.flac", f"--output={output}", "--workers=1"
    )
    assert result.status == 0
    kit.require_each_once(output, texts)
    (error,) = (row["error"] for row in kit.rows(output) if "error" in row)
    assert f"int4-conformer: {error}\n" in result.err
    words = sum(len(row.get("words", ())) for row in kit.rows(output))
    assert result.out.startswith("recognised 54 of 55 (")
    assert result.out.endswith(f" of audio, {words} words); 1 failed: {output}\n")
    # Again there is nothing to do.
    more = commands.run(COMMAND, kit.MODEL, tmp_path / "audio", f"--output={output}")
    assert more.out == result.out
    assert "int4-conformer: 55 of 55 were done before.\n" in more.err


def test_where_nothing_can_be_recognised_the_status_is_2(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.wav").write_text("<html>")
    output = tmp_path / "out"
    result = commands.run(COMMAND, kit.MODEL, tmp_path, f"--output={output}", "--workers=1")
    assert result.status == 2
    assert result.out == f"recognised 0 of 8 (0 s of audio, 0 words); 8 failed: {output}\n"
    assert "... and 3 more; they have `error`." in result.err
    assert result.err.count("is not audio") == 5


def test_lines_that_cannot_be_used_are_told(tmp_path):
    lines = [{"audio": str(kit.CLIPS[0])}, {"text": "no audio"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    arguments = (COMMAND, kit.MODEL, tmp_path / "m.jsonl", f"--output={tmp_path / 'out'}")
    result = commands.run(*arguments, "--workers=1")
    assert result.status == 0
    assert result.out.startswith("recognised 1 of 1 (")
    assert "Line 2 of" in result.err
    assert "has no key 'audio'" in result.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([kit.MODEL, "--output=OUT"], "takes a MODEL and INPUTs. Received: 1 arguments"),
        ([kit.MODEL, kit.CLIPS[0]], "transcribe_many needs --output"),
        ([kit.MODEL, "absent.wav", "--output=OUT"], "There is no absent.wav"),
        ([kit.CLIPS[0], kit.CLIPS[0], "--output=OUT"], "0.flac is not a TFLite model"),
        ([kit.MODEL, kit.CLIPS[0], "--output=OUT", "--format=csv"], "jsonl or parquet"),
        ([kit.MODEL, kit.CLIPS[0], "--output=OUT", "--channel=up"], "channel"),
        ([kit.MODEL, kit.CLIPS[0], "--output=OUT", "--only"], "--only needs --phrases"),
        ([kit.MODEL, kit.CLIPS[0], "--output=OUT", "--lm_weight=1"], "--lm_weight needs --lm"),
        ([kit.MODEL, kit.CLIPS[0], "--output=OUT", "--phrases=no.txt"], "list of phrases no.txt"),
    ],
)
def test_refusals(tmp_path, arguments, sentence):
    given = [str(x).replace("OUT", f"{tmp_path}/out") for x in arguments]
    assert sentence in commands.refusal(COMMAND, *given)
    assert not list(tmp_path.iterdir())


def test_what_the_model_cannot_search_is_refused(tmp_path):
    given = (COMMAND, kit.MODEL, kit.CLIPS[0], f"--output={tmp_path}/out", "--beam=4")
    assert "export" in commands.refusal(*given, begun=True)
    assert not list(tmp_path.iterdir())
