from tests.support import commands


def test_lines_become_tokens(trained, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("Ab, b!\n\nxyz\nba\n", "utf-8")
    result = commands.run("tokens", trained.workdir, texts, texts)
    assert result.status == 0, result.err
    assert result.out == "a b \u2581 b\nb a\n" * 2
    assert result.err == "left out 2 lines with symbols outside the vocabulary\n"


def test_refusals(trained, tmp_path):
    assert "tokens takes a WORKDIR and text FILEs" in commands.refusal("tokens")
    assert "is no training folder" in commands.refusal("tokens", tmp_path)
    line = commands.refusal("tokens", trained.workdir, tmp_path / "absent.txt")
    assert "The texts cannot be read" in line
