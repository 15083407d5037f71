"""Lists the trained recognisers that come with the package, or prints the card of one.

A name of the list stands wherever a command takes a MODEL: `int4-conformer transcribe NAME
speech.wav`. If a file or folder has that name, it is taken instead.

The card says what a model was trained on, how well it hears, and what it cannot do.
"""

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.results import Result
from int4_conformer.errors import UserError
from int4_conformer.pretrained.registry import pretrained_model, pretrained_models
from int4_conformer.tables import columns

_HEADER = ("name", "bytes", "streams", "hears")


def _define_flags(values: flags.FlagValues) -> None:
    """There are none of its own."""


def _models(_: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) > 1:
        raise UserError(f"models takes one NAME or none. Received: {len(arguments)} arguments")
    if arguments:
        model = pretrained_model(arguments[0])
        facts = model.to_json() | {"file": str(model.file), "card": model.card}
        return Result(text=model.card.rstrip(), facts=facts)
    models = list(pretrained_models().values())
    text = "No models come with this version."
    if models:
        rows = [
            (model.name, f"{model.bytes:,}", "yes" if model.streams else "no", model.hears)
            for model in models
        ]
        text = columns(_HEADER, rows, "<><<")
    return Result(text=text, facts={"models": [model.to_json() for model in models]})


COMMAND = app.Command(
    name="models",
    usage="[NAME] [flags]",
    description=__doc__,
    examples=("--json", "commands"),
    define_flags=_define_flags,
    main=_models,
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
