import json
import re
import subprocess
import sys

import pytest

from tests.support import commands, corpora, tiny


@pytest.fixture
def corpus(tmp_path):
    """Of eight lines, five can be trained on."""
    lines = []
    for number, seconds in enumerate((0.5, 1.0, 1.0, 2.0, 4.0)):
        corpora.audio(tmp_path / f"{number}.wav", number, seconds)
        line = {"audio": f"{number}.wav", "text": f"<b>ab {'ba' * number}", "speaker": f"s{number}"}
        lines.append(line | {"split": "dev" if number == 1 else "train"})
    lines[2]["speaker"] = "s1"
    lines.append(lines[0] | {"text": "..."})
    lines.append(lines[0] | {"audio": "gone.wav"})
    lines.append(lines[0])
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_it_says_what_there_is(corpus):
    result = commands.run("corpus", corpus, "--max_seconds=3")
    assert result.status == 0, result.err
    shown = result.out
    for line in (
        f"{corpus} is a manifest.",
        "train           4   0.00         3",
        "dev             1   0.00         1",
        "1 speakers are in several splits: s1",
        "seconds               0.50  0.50  0.50    1.00  1.00  1.80  2.00",
        "3 symbols: a b space",
        "1 utterances are there more than once",
        "left out 3:",
        "       1 texts without a word",
        "       1 audio files that are missing",
        "       1 utterances longer than max_seconds=3",
        "used, but odd:",
    ):
        assert line in shown.splitlines(), f"{line}\n{shown}"


def test_a_page_that_loads_nothing(corpus, tmp_path):
    page = tmp_path / "page.html"
    result = commands.run("corpus", corpus, f"--html={page}")
    assert result.status == 0, result.err
    assert result.out.splitlines()[-1] == f"page: {page}"
    content = page.read_text()
    assert content.count("<audio controls") == 6
    assert content.count("<figure") == 3
    assert "1 audio files that are missing (left out)" in content
    # Texts are texts, and everything is within the page.
    assert "<b>" not in content
    assert ": &lt;b&gt;<" in content
    assert not re.search(r'(src|href)="(?!data:|#)', content)
    audio = re.search(r"data:audio/flac;base64,([\w+/=]+)", content)[1]
    assert len(audio) > 1000


def test_one_split(corpus):
    result = commands.run("corpus", corpus, "--split=dev")
    assert result.status == 0, result.err
    assert "train  " not in result.out


def test_refusals(corpus, tmp_path):
    for arguments, sentence in [
        ([], "corpus takes one PATH. Received: 0 arguments"),
        ([tmp_path / "absent"], "There is no corpus"),
        ([corpus, f"--html={tmp_path}"], "is a folder; name the file to write"),
        ([corpus, "--split=test"], "has no split 'test'; it has 'dev', 'train'"),
        ([corpus, "--on_error=stop"], "--on_error=skip leaves out what is broken"),
    ]:
        assert sentence in commands.refusal("corpus", *arguments)
    refused = commands.refusal("corpus", corpus, "--max_seconds=0.1", begun=True)
    assert "There is no utterance to train on" in refused


def test_it_and_prepare_need_no_tensorflow(corpus, tmp_path):
    program = (
        "import sys; from int4_conformer.cli import main\n"
        "try: main.main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    for arguments in (
        ["corpus", corpus, f"--html={tmp_path / 'page.html'}"],
        ["prepare", corpus, f"--output={tmp_path / 'out'}", "--processes=1"],
    ):
        subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True)


def test_any_command_reads_what_was_prepared(tmp_path):
    tiny.write_corpus(tmp_path)
    result = commands.run(
        *("prepare", tmp_path, f"--output={tmp_path / 'out'}", "--shards=2", "--processes=1")
    )
    assert result.status == 0, result.err
    assert "out: 6 utterances, 2 s, in 4 shards of 0.1 MB together" in result.out
    result = commands.run("corpus", tmp_path / "out")
    assert "is a prepared corpus." in result.out
    assert "dev             1   0.00   unknown" in result.out


def test_refusals_of_prepare(corpus, tmp_path):
    output = f"--output={tmp_path / 'out'}"
    for arguments, sentence in [
        ([output], "prepare takes one CORPUS. Received: 0 arguments"),
        ([corpus], "prepare needs --output"),
        ([corpus, output, "--encoding=mp3"], "must be one of flac, pcm"),
        ([corpus, f"--output={corpus}"], "is not empty; choose another folder"),
        ([corpus, output, "--on_error=stop"], "gone.wav, which does not exist"),
        ([corpus, output, "--split=test"], "has no split 'test'"),
    ]:
        assert sentence in commands.refusal("prepare", *arguments)
    assert not (tmp_path / "out").exists()


def test_commands_in_a_corpus_need_a_flag(tmp_path):
    corpora.audio(tmp_path / "a.wav")
    (tmp_path / "wav.scp").write_text(f"a cat {tmp_path / 'a.wav'} |\n")
    (tmp_path / "text").write_text("a HELLO\n")
    assert "allow them with --allow_commands" in commands.refusal("corpus", tmp_path)
    result = commands.run("corpus", tmp_path, "--allow_commands")
    assert "is a Kaldi folder." in result.out
