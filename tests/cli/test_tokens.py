import subprocess
import sys

from tests.support import commands


def test_lines_become_tokens(trained, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("Ab, b!\n\nxyz\nba\n", "utf-8")
    result = commands.run("tokens", trained.workdir, texts, texts)
    assert result.status == 0, result.err
    assert result.out == "a b \u2581 b\nb a\n" * 2
    line = "int4-conformer: 2 lines with symbols outside the vocabulary were left out.\n"
    assert result.err == line
    assert commands.run("tokens", trained.workdir, texts, "--quiet").err == ""


def test_it_runs_without_tensorflow(trained, tmp_path):
    (tmp_path / "texts.txt").write_text("ab")
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None); "
        "from int4_conformer.cli import main; main.main(['tokens', *sys.argv[1:]])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, trained.workdir, tmp_path / "texts.txt"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "a b\n"


def test_refusals(trained, tmp_path):
    assert "tokens takes a WORKDIR and text FILEs" in commands.refusal("tokens")
    assert "is no training folder" in commands.refusal("tokens", tmp_path)
    (tmp_path / "noise.txt").write_bytes(b"a\n\xff\n")
    for name, complaint in [
        ("absent.txt", "absent.txt cannot be read (No such file or directory); check the path."),
        ("", "cannot be read (Is a directory); check the path."),
        ("noise.txt", "noise.txt is not UTF-8 (invalid start byte); save it as UTF-8."),
    ]:
        assert complaint in commands.refusal("tokens", trained.workdir, tmp_path / name)


def test_its_reader_may_have_seen_enough(trained, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("ab\n" * 100_000)
    command = (
        f"{sys.executable} -m int4_conformer.cli.main tokens {trained.workdir} {texts} "
        "| head -1; echo ${PIPESTATUS[0]}"
    )
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("a b\n1\n", "")
