"""Lists what a .tflite file, a training folder or a preset holds.

For a file, or a model of `int4-conformer models`: what each of its bytes is for, and its constants,
the largest first; the checksum of a recogniser that `int4-conformer export` wrote is verified.
--html writes a page of it: bytes by weight, how often each code occurs and what rounding costs, and
which kernels run on this machine.

For a folder that `int4-conformer train` wrote: the model, its checkpoints, and the settings.

For a preset, such as conformer_s: parameters by part; bytes of the weights at float32, int8 and
int4, mixed as in arXiv 2203.15952 (the encoder of the first pass in 4 bits, all else in 8), and by
--recipe; and, for each pass, what a frame sees of the audio, and how long it waits for it. This
needs TensorFlow.
"""

import dataclasses
import math
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import GIVEN, PRINTED, group
from int4_conformer.cli.inspection_page import inspection_page
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.errors import UserError, did_you_mean
from int4_conformer.files import require_place, write_beside
from int4_conformer.models.latency import latencies
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.models.presets import PRESETS, preset
from int4_conformer.pretrained.registry import named_file, pretrained_models
from int4_conformer.progress import waiting
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.tables import columns
from int4_conformer.tflite import inspection
from int4_conformer.training.run_folder import CONFIG, checkpoint_steps, read_run_config
from int4_conformer.training.training_config import TrainingConfig

_RECIPES = {
    "float32": Recipe.preset("float"),
    "int8": Recipe.preset("w8a8"),
    "int4": Recipe.preset("w4a8"),
    "mixed": Recipe.mixed("mixed", ["(?!encoder/).*"]),
}


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, GIVEN):
        flags.DEFINE_integer(
            "vocab_size",
            None,
            "For a preset, output symbols; 1024 if not given, or as the preset's source has.",
            lower_bound=2,
            flag_values=values,
        )
        flags.DEFINE_string(
            "recipe", None, "For a preset, one more recipe to count bytes for.", flag_values=values
        )
    with group(values, PRINTED):
        flags.DEFINE_string(
            "html",
            None,
            "For a file, page of its bytes, codes and kernels to write.",
            flag_values=values,
        )


def _inspect(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(
            f"inspect takes one FILE, NAME, WORKDIR or PRESET. Received: {len(arguments)} arguments"
        )
    (model,) = arguments
    if model not in PRESETS:
        model = named_file(model)
    if values.html is not None:
        require_place(values.html)
        if not os.path.isfile(model):
            raise UserError(f"--html is for a .tflite file. Received: {model}")
    if model in PRESETS:
        return _of_preset(model, values.vocab_size, values.recipe)
    if not os.path.lexists(model):
        known = [*PRESETS, *pretrained_models()]
        raise UserError(
            f"There is no file, folder or preset {model!r}{did_you_mean(model, known)}; "
            f"the presets are {', '.join(PRESETS)}."
        )
    if values.vocab_size is not None or values.recipe is not None:
        raise UserError(
            f"--vocab_size and --recipe are for presets ({', '.join(PRESETS)}); leave them "
            f"out for a file. Received: {model}"
        )
    if (Path(model) / CONFIG).is_file():
        return _of_run(Path(model))
    with waiting(f"reading {model}", file=sys.stderr, at_once=False):
        found = inspection.inspect_tflite(model)
    if values.html is None:
        return Result(text=found.table(), facts=found.to_json())
    with held_back() as stderr, waiting("writing the page", file=stderr, at_once=False):
        made = inspection_page(found, Path(model).read_bytes())
    write_beside(values.html, made.encode())
    return Result(text=f"{found.table()}\npage: {values.html}", facts=found.to_json())


def _of_run(folder: Path) -> Result:
    config = read_run_config(folder)
    model = TransducerConfig.from_config(config["model"])
    checkpoints = checkpoint_steps(folder)
    kept = [f"{kind} of step {steps[-1]:,}" for kind, steps in checkpoints.items() if steps]
    defaults = dataclasses.asdict(TrainingConfig())
    changed = [
        f"{name}={value}"
        for name, value in config["training"].items()
        if value != defaults.get(name)
    ]
    text = "\n".join(
        [
            f"{folder}, a training folder",
            f"model: {model.name}, recipe {model.recipe.name}, {model.vocab_size:,} symbols "
            f"({config['tokenizer']['type']})",
            f"checkpoints: {', '.join(kept) or 'none yet'}",
            f"settings: {', '.join(changed) or 'the defaults'}",
        ]
    )
    quoted = shlex.quote(str(folder))
    return Result(
        text=text,
        facts={"folder": str(folder), **config, "checkpoints": checkpoints},
        next=(f"{app.PROGRAM} export {quoted} --output=model.tflite",) if kept else (),
    )


def _of_preset(name: str, vocab_size: int | None, recipe_name: str | None) -> Result:
    config = preset(name, vocab_size=vocab_size)
    recipes = dict(_RECIPES)
    if recipe_name is not None:
        recipe = Recipe.named(recipe_name)
        recipes[recipe.name] = recipe

    # Only here: files are inspected without TensorFlow.
    start_tensorflow()
    from int4_conformer.models.part_sizes import part_sizes

    parts = part_sizes(config, recipes)
    parameters = sum(part.parameters for part in parts)
    nbytes = {scheme: sum(part.nbytes[scheme] for part in parts) for scheme in recipes}
    passes = latencies(config)
    facts = {
        "preset": name,
        "vocab_size": config.vocab_size,
        "parameters": parameters,
        "bytes": nbytes,
        "parts": [dataclasses.asdict(part) for part in parts],
        # JSON has no infinity: null is all the audio that there is.
        "passes": [_finite(dataclasses.asdict(latency)) for latency in passes],
    }
    rows = [
        (part.name, f"{part.parameters:,}", *(f"{part.nbytes[scheme]:,}" for scheme in recipes))
        for part in parts
    ]
    total = ("all", f"{parameters:,}", *(f"{count:,}" for count in nbytes.values()))
    ratios = ("smaller", "", *(f"{nbytes['float32'] / count:.2f}x" for count in nbytes.values()))
    header = ("weights", "parameters", *(f"{scheme} bytes" for scheme in recipes))
    seen = [
        (
            str(number),
            f"{latency.frame:.0f} ms",
            _range(latency.past),
            _range(latency.future),
            _milliseconds(latency.mean),
            _milliseconds(latency.longest),
        )
        for number, latency in enumerate(passes, 1)
    ]
    text = "\n\n".join(
        [
            f"{name}, {config.vocab_size:,} symbols",
            columns(header, [*rows, total, ratios], "<" + ">" * (len(header) - 1)),
            "mixed: the encoder of the first pass in 4 bits, all else in 8\n"
            "A .tflite file adds the filters of its front end (0.02 MB) and, for each way to call\n"
            "it, operators, names and zero points; `int4-conformer inspect FILE` counts them.",
            columns(
                ("pass", "frame", "sees before", "sees after", "mean latency", "longest latency"),
                seen,
                "<>>>>>",
            ),
        ]
    )
    return Result(text=text, facts=facts)


def _finite(value: Any) -> Any:
    """The value with None in place of infinities."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_finite(item) for item in value]
    return None if math.isinf(value) else value


def _range(bounds: tuple[float, float]) -> str:
    least, most = map(_milliseconds, bounds)
    return least if least == most else f"{least} .. {most}"


def _milliseconds(value: float) -> str:
    return "all" if math.isinf(value) else f"{value:,.0f} ms"


COMMAND = app.Command(
    name="inspect",
    usage="FILE|NAME|WORKDIR|PRESET [flags]",
    description=__doc__,
    examples=("model.tflite", "conformer_l --recipe=w4b32_a8d"),
    define_flags=_define_flags,
    main=_inspect,
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
