"""Parts of these pages that are made of the code: settings, models, and the commands' help.

    python docs/tables.py

writes them anew, between `<!-- fields of NAME -->`, `<!-- models -->` or
`<!-- help of all commands -->` and `<!-- end -->`; a test fails where one is not current.
"""

import importlib
import re
from pathlib import Path

from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.cli import app, main
from int4_conformer.data.sources.phrases import PhrasesConfig
from int4_conformer.fields import markdown_table
from int4_conformer.models.model_config import EncoderConfig, JointConfig, PredictorConfig
from int4_conformer.pretrained.registry import pretrained_models
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.server.limits import Limits
from int4_conformer.text.writing import Writing
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
        Writing,
    )
}
FOLDER = Path(__file__).parent


def updated(page: str) -> str:
    """A page with these parts written anew."""
    page = re.sub(
        r"(<!-- fields of (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{markdown_table(CONFIGS[found[2]])}\n{found[3]}",
        page,
        flags=re.DOTALL,
    )
    page = re.sub(
        "(<!-- models -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{_models()}\n{found[2]}",
        page,
        flags=re.DOTALL,
    )
    return re.sub(
        r"(<!-- help of all commands -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{_helps()}\n{found[2]}",
        page,
        flags=re.DOTALL,
    )


def _helps() -> str:
    """The help of the program, and of each command below its name."""
    parts = [_block(main.program_help())]
    for name, (module, _) in main.COMMANDS.items():
        command = importlib.import_module(module).COMMAND
        text = app.help_of_command(command, app.defined_flags(command))
        parts.append(f"## {name}\n\n{_block(text)}")
    return "\n\n".join(parts)


def _block(text: str) -> str:
    return f"```text\n{text}\n```"


def _models() -> str:
    """A table of the models that come with the package."""
    models = pretrained_models().values()
    if not models:
        return "No models come with this version yet."
    return "\n".join(
        [
            "| name | hears | while it is spoken | MB |",
            "|---|---|---|---|",
            *(
                f"| `{model.name}` | {model.hears} | {'yes' if model.streams else 'no'} "
                f"| {model.bytes / 1e6:.1f} |"
                for model in models
            ),
        ]
    )


if __name__ == "__main__":
    for path in FOLDER.glob("*.md"):
        path.write_text(updated(path.read_text()))
