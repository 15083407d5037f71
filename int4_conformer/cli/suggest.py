"""Suggests which layers of a trained recogniser to quantize to how many bits.

WORKDIR is a folder that `int4-conformer train` wrote, preferably with --recipe=float. Each layer is
quantized by each of --schemes while all others stay in float, and the error that this makes in the
logits is measured on utterances of a corpus. The search starts with the first scheme everywhere. It
gives larger schemes to the layers where each further byte removes most error, until the error of
all layers together is within --tolerance or the bytes of all weights reach --budget_mb.

Prints a line per layer, the worst first. --output takes the recipe, a JSON file that
`int4-conformer train` and `export` accept as their --recipe.
"""

import json
import shlex
import sys

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import GIVEN, LEARNED, PRINTED, group
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.data.corpus import normalized, read_corpus
from int4_conformer.data.recordings import decoded
from int4_conformer.errors import UserError
from int4_conformer.files import require_place, write_beside
from int4_conformer.progress import Progress, waiting
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.remote_path import path_of
from int4_conformer.text.tokenizer import tokenizer_from_config
from int4_conformer.training.run_folder import read_run_config

_SECONDS_PER_BATCH = 30.0


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, GIVEN):
        flags.DEFINE_string("manifest", None, "The corpus, as for train.", flag_values=values)
        flags.DEFINE_string("split", None, "Its split; all if not given.", flag_values=values)
        flags.DEFINE_integer(
            "utterances", 64, "Utterances to measure on.", lower_bound=1, flag_values=values
        )
    with group(values, LEARNED):
        flags.DEFINE_list(
            "schemes",
            ["w2c_a8d", "w4c_a8d", "w8c_a8d", "float"],
            "What to choose from for each layer, the smallest first.",
            flag_values=values,
        )
        flags.DEFINE_float(
            "tolerance",
            0.05,
            "Relative error of the logits to stay below.",
            lower_bound=0.0,
            flag_values=values,
        )
        flags.DEFINE_float(
            "budget_mb",
            None,
            "Most megabytes for all weights.",
            lower_bound=0.0,
            flag_values=values,
        )
    with group(values, PRINTED):
        flags.DEFINE_string("output", None, "File to write the recipe to.", flag_values=values)
    flags.DEFINE_enum(
        "checkpoint",
        None,
        ["best", "last"],
        "Checkpoint to look at; the best if there is one.",
        flag_values=values,
    )


def _suggest(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(f"suggest takes one WORKDIR. Received: {len(arguments)} arguments")
    if values.output is not None:
        require_place(values.output)
    if not values.schemes:
        raise UserError("--schemes names no scheme; give some, such as w4c_a8d,w8c_a8d,float.")
    configs = [QuantConfig.from_name(scheme) for scheme in values.schemes]
    tokenizer = tokenizer_from_config(read_run_config(path_of(arguments[0]))["tokenizer"])
    utterances = read_corpus(values.manifest, values.split)
    utterances = normalized(utterances, writing=tokenizer.writing)[: values.utterances]
    utterances = decoded(utterances)

    # After the checks: a mistake in the flags should not wait for TensorFlow.
    from int4_conformer.data.batches import evaluation_batches
    from int4_conformer.data.buckets import make_buckets

    start_tensorflow()
    from int4_conformer.mixed_precision.suggestion import forward_passes, suggest
    from int4_conformer.training.workdir import Workdir

    with waiting("reading the model", file=sys.stderr, at_once=False):
        model, tokenizer = Workdir(arguments[0]).load(values.checkpoint)
    buckets = make_buckets(utterances, tokenizer, count=2, seconds_per_batch=_SECONDS_PER_BATCH)
    data = list(evaluation_batches(utterances, tokenizer, buckets=buckets))
    with Progress(forward_passes(model, data, configs), "suggest") as progress:
        suggestion = suggest(
            model,
            data,
            configs,
            tolerance=values.tolerance,
            budget=None if values.budget_mb is None else int(1e6 * values.budget_mb),
            on_forward=progress.update,
        )
    recipe = suggestion.recipe.to_config()
    facts = {"recipe": recipe, "error": suggestion.error, "bytes": suggestion.nbytes}
    if values.output is None:
        return Result(text=suggestion.table(), facts=facts)
    write_beside(values.output, (json.dumps(recipe, indent=1) + "\n").encode())
    return Result(
        text=f"{suggestion.table()}\nrecipe: {values.output}",
        facts=facts | {"output": values.output},
        next=(
            f"{app.PROGRAM} train --manifest={shlex.quote(values.manifest)} --workdir=run "
            f"--recipe={shlex.quote(values.output)}",
        ),
    )


COMMAND = app.Command(
    name="suggest",
    usage="WORKDIR --manifest=FILE [flags]",
    description=__doc__,
    examples=(
        "float_run --manifest=corpus --split=dev --output=recipe.json",
        "float_run --manifest=corpus --budget_mb=6 --output=recipe.json",
    ),
    define_flags=_define_flags,
    main=_suggest,
    has_result=True,
    required=("manifest",),
)

if __name__ == "__main__":
    app.run(COMMAND)
