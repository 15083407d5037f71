"""Tables of settings in these pages, made of the fields of the configs.

    python docs/tables.py

writes them anew between `<!-- fields of NAME -->` and `<!-- end -->`; a test fails where one is not
current.
"""

import re
from pathlib import Path

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.data.sources.phrases import PhrasesConfig
from int4_conformer.fields import markdown_table
from int4_conformer.models.model_config import EncoderConfig, JointConfig, PredictorConfig
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.server.limits import Limits
from int4_conformer.training.training_config import TrainingConfig

CONFIGS = {
    config.__name__: config
    for config in (
        BeamConfig,
        EncoderConfig,
        FrontEndConfig,
        JointConfig,
        Limits,
        PhrasesConfig,
        PredictorConfig,
        QuantConfig,
        TrainingConfig,
    )
}
FOLDER = Path(__file__).parent


def updated(page: str) -> str:
    """A page with its tables written anew."""
    return re.sub(
        r"(<!-- fields of (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{markdown_table(CONFIGS[found[2]])}\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    for path in FOLDER.glob("*.md"):
        path.write_text(updated(path.read_text()))
