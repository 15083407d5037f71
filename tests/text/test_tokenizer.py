import subprocess
import sys

import pytest

from int4_conformer.errors import UserError
from int4_conformer.text.tokenizer import tokenizer_from_config


@pytest.mark.parametrize("config", [{}, {"type": "bytes"}])
def test_refuses_unknown_types(config):
    with pytest.raises(UserError, match=r"one of \['graphemes', 'wordpieces'\]. Received: "):
        tokenizer_from_config(config)


def test_text_needs_no_tensorflow_until_it_runs_in_graph():
    program = (
        "import sys, int4_conformer.text.tokenizer, int4_conformer.text.normalize,"
        "int4_conformer.text.metrics;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
