from int4_conformer.training.training_config import TrainingConfig
from int4_conformer.training.workdir import Workdir
from tests.support import commands, tiny


def test_it_says_where_the_page_is(tmp_path):
    Workdir(tmp_path).create(tiny.config(), tiny.TOKENIZER, TrainingConfig().to_config())
    result = commands.run("report", tmp_path)
    assert result.status == 0, result.err
    assert result.out == f"{tmp_path / 'report.html'}\n"
    assert "All settings of training are the defaults" in (tmp_path / "report.html").read_text()


def test_refusals(tmp_path):
    assert "report takes one WORKDIR. Received: 0" in commands.refusal("report")
    assert f"{tmp_path} is no training folder" in commands.refusal("report", tmp_path)
