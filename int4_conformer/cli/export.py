"""Writes a trained recogniser as one .tflite file, or as a SavedModel folder.

WORKDIR is a folder that `int4-conformer train` wrote. The file holds the integers of training as
they are. --recipe quantizes the trained weights anew, after training: --recipe=float writes the
float32 file.
"""

import shlex
import sys
from pathlib import Path

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import PRINTED, group
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.errors import UserError, require_finite
from int4_conformer.fields import help_of
from int4_conformer.files import require_new_folder, require_place
from int4_conformer.models.model_config import MAX_SECONDS, SEGMENT_SECONDS, TransducerConfig
from int4_conformer.progress import waiting
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.remote_path import path_of
from int4_conformer.tables import smaller
from int4_conformer.training.run_folder import read_run_config


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, PRINTED):
        flags.DEFINE_string(
            "output",
            None,
            "The file to write, or the folder of a SavedModel's versions: each export is a new "
            "one, numbered from 1 on.",
            flag_values=values,
        )
        flags.DEFINE_enum(
            "format", "tflite", ["tflite", "saved_model"], "What to write.", flag_values=values
        )
        flags.DEFINE_string(
            "recipe",
            None,
            "Quantization to export with, as for train; that of training if not given.",
            flag_values=values,
        )
    flags.DEFINE_float(
        "blank_penalty",
        None,
        f"{help_of(TransducerConfig, 'blank_penalty')} That of training if not given, usually 0.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "checkpoint",
        None,
        ["best", "last"],
        "Checkpoint to export; the best if there is one.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "segment_seconds",
        SEGMENT_SECONDS,
        "Audio that a stream waits for at most, of a model that can stream.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "fixed_seconds",
        None,
        "Length of whole utterances in a .tflite file, which are padded to it, for runtimes that "
        "cannot size an input; any length if not given.",
        lower_bound=0.01,
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "verify",
        True,
        "Whether a .tflite file is run beside the model before it is written, which takes some "
        "seconds; `int4-conformer verify` does so at length.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "max_seconds",
        MAX_SECONDS,
        "Longest utterance that a SavedModel recognises as a whole.",
        flag_values=values,
    )


def _export(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(f"export takes one WORKDIR. Received: {len(arguments)} arguments")
    output = Path(values.output)
    if values.format == "tflite":
        require_place(output)
    else:
        output = next_version(output)
        require_new_folder(output)
    if values.format != "tflite" and values.fixed_seconds is not None:
        raise UserError("--fixed_seconds is for .tflite files; leave it out.")
    if values.blank_penalty is not None:
        require_finite(blank_penalty=values.blank_penalty)
    recipe = None if values.recipe is None else Recipe.named(values.recipe)
    read_run_config(path_of(arguments[0]))

    # After the checks: a mistake in the flags should not wait for TensorFlow.
    start_tensorflow()
    from int4_conformer.export import export_saved_model, export_tflite
    from int4_conformer.quantize import quantize_model
    from int4_conformer.training.workdir import Workdir

    with waiting("reading the model", file=sys.stderr):
        model, tokenizer = Workdir(arguments[0]).load(values.checkpoint, values.blank_penalty)
        if recipe is not None:
            model = quantize_model(model, recipe)
    segment = {"segment_seconds": values.segment_seconds}
    with held_back() as stderr, waiting("exporting", file=stderr):
        if values.format == "tflite":
            tflite = {"fixed_seconds": values.fixed_seconds, "verifies": values.verify}
            export_tflite(model, tokenizer, output, **tflite, **segment)
        else:
            export_saved_model(model, tokenizer, output, max_seconds=values.max_seconds, **segment)
    size = _size(output)
    ratio = 4 * model.count_params() / size
    return Result(
        text=f"{output}: {size:,} bytes, {smaller(ratio)} than its weights in float32",
        facts={"output": str(output), "bytes": size, "float32_bytes": 4 * model.count_params()},
        next=_next(output, arguments[0]),
    )


def _next(output: Path, workdir: str) -> tuple[str, ...]:
    """What may be done with a file; servers of SavedModels are other programs."""
    if output.is_dir():
        return ()
    file = shlex.quote(str(output))
    return (
        f"{app.PROGRAM} transcribe {file} recording.wav",
        f"{app.PROGRAM} verify {file} --against={shlex.quote(workdir)}",
    )


def next_version(path: Path) -> Path:
    """Where a SavedModel is written: in folders numbered from 1 on, of which TF Serving serves the
    newest. A number at the end of the path asks for that version."""
    if path.name.isdecimal():
        return path
    known = [int(x.name) for x in path.glob("*") if x.name.isdecimal()]
    return path / str(max(known, default=0) + 1)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


COMMAND = app.Command(
    name="export",
    usage="WORKDIR --output=PATH [flags]",
    description=__doc__,
    examples=(
        "run --output=model.tflite",
        "run --output=saved_model --format=saved_model",
    ),
    define_flags=_define_flags,
    main=_export,
    has_result=True,
    required=("output",),
)

if __name__ == "__main__":
    app.run(COMMAND)
