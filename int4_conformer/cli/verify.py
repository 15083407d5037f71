"""Verifies that a .tflite file is what a training folder says: integers, kernels and outputs.

MODEL is a file that `int4-conformer export` wrote, --against the folder that it was made of.
Compared are:

  weights      codes and scales of every quantized weight, and float matrices, to the bit;
  matmuls      which kernels run those with integer weights, as LiteRT's own profile tells;
  outputs      of each signature, and states, beside those of the model itself on the same inputs:
               whole utterances, and streams segment by segment;
  transcripts  with --manifest: the tokens of each utterance.

In the table, "off by" is the largest difference of an output, in units of that output's largest
value; 1e-5 is allowed. Codes of activations that rounding puts on the other side of a border are
counted ("at a border") and taken from the file for what follows. Behind loops such codes cannot be
seen: "calls off" counts the calls that show them, in which outputs may be off by up to 0.1.

The exit status is 0 if nothing differs, 1 if something does, and 2 if there is nothing to compare,
as for a file of another folder.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from int4_conformer.cli import app, corpora
from int4_conformer.cli.flag_groups import GIVEN, group
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.data.corpus import Utterances, read_corpus
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer_file import RecognizerFile
from int4_conformer.models.model_config import TransducerConfig
from int4_conformer.pretrained.registry import model_file
from int4_conformer.progress import Progress, waiting
from int4_conformer.text.tokenizer import tokenizer_from_config
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.metadata import Metadata
from int4_conformer.training.run_folder import checkpoint_steps, read_run_config

if TYPE_CHECKING:
    from int4_conformer.export.recognizer_verification import RecognizerVerification
    from int4_conformer.models.transducer import Transducer

# Utterances of a manifest that outputs are compared with, and how much of each.
_SOUNDS = 2
_SOUND_SECONDS = 5.0


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, GIVEN):
        flags.DEFINE_string(
            "against", None, "Training folder that the file was exported from.", flag_values=values
        )
        flags.DEFINE_enum(
            "checkpoint",
            None,
            ["best", "last"],
            "Checkpoint that it was exported from; the best if there is one.",
            flag_values=values,
        )
        flags.DEFINE_string(
            "manifest",
            None,
            "A corpus, as for train, to compare transcripts of.",
            flag_values=values,
        )
        flags.DEFINE_string("split", None, "Its split; all if not given.", flag_values=values)
    corpora.define_reading(values, "stop")


def _verify(values: flags.FlagValues, arguments: list[str]) -> Result:
    if len(arguments) != 1:
        raise UserError(f"verify takes one MODEL. Received: {len(arguments)} arguments")
    if values.manifest is None and values.split is not None:
        raise UserError(f"--split={values.split} needs --manifest; give the corpus.")
    path, folder = model_file(arguments[0]), Path(values.against)
    with held_back():
        file = RecognizerFile(path)
    config = read_run_config(folder)
    _require_same_model(path, folder, file.metadata, config)
    kind, step = _checkpoint(folder, values.checkpoint)
    report = corpora.new_report(values)
    utterances: Utterances = ()
    if values.manifest is not None:
        utterances = read_corpus(
            values.manifest, values.split, report, allow_commands=values.allow_commands
        )

    # After the checks: a mistake should not wait for TensorFlow.
    start_tensorflow()
    from int4_conformer.export.recognizer_verification import made_up_sound, verify_recognizer
    from int4_conformer.export.transcript_comparison import TranscriptComparison
    from int4_conformer.export.verification_report import VerificationReport

    with waiting("reading the model", file=sys.stderr):
        model = _model(folder, values.checkpoint, file.metadata)
    if utterances:
        utterances = corpora.decode(utterances, report, hold=False)
        corpora.show(report, sys.stderr)
    rate = file.metadata.sample_rate
    sounds = [made_up_sound(1.0, rate), *_sounds(utterances, rate)]
    with held_back() as stderr, waiting("comparing outputs", file=stderr):
        content = flatbuffer.read_file(path)
        found = verify_recognizer(content, model, sounds, source=path)
    _require_its_weights(path, folder, kind, step, found)
    others = []
    if utterances:
        compare = TranscriptComparison(file, model)
        with waiting("tracing the model", file=sys.stderr):
            compare.trace()
        with Progress(len(utterances), "transcripts") as progress:
            samples = ((x.id, x.samples(rate)) for x in utterances)
            others = compare(samples, progress.update)
    result = VerificationReport(
        file=path,
        folder=str(folder),
        checkpoint=kind,
        step=step,
        recipe=model.config.recipe.name,
        found=found,
        utterances=len(utterances),
        others=tuple(others),
    )
    return Result(text=result.text(), facts=result.to_json(), status=1 if result.differences else 0)


def _require_same_model(
    path: str, folder: Path, metadata: Metadata, config: dict[str, Any]
) -> None:
    """Refuses a file whose model or vocabulary is not that of the folder; what it is exported with
    may be."""
    theirs = TransducerConfig.from_config(config["model"])
    own = dataclasses.replace(
        TransducerConfig.from_config(metadata.model),
        recipe=theirs.recipe,
        blank_penalty=theirs.blank_penalty,
    )
    if different := _different(own, theirs):
        name, (one, other) = different
        reason = f"its model has {name} {one}, that of the folder {other}"
    elif metadata.vocabulary != tokenizer_from_config(config["tokenizer"]).vocabulary:
        reason = "its vocabulary is not that of the folder"
    else:
        return
    raise UserError(
        f"{path} was not exported from {folder}: {reason}; name the folder that it came from."
    )


def _different(one: Any, other: Any) -> tuple[str, tuple[Any, Any]] | None:
    """The first field in which two configs differ, and its values."""
    if not (dataclasses.is_dataclass(one) and type(one) is type(other)):
        return None if one == other else ("", (one, other))
    for field in dataclasses.fields(one):
        found = _different(getattr(one, field.name), getattr(other, field.name))
        if found is not None:
            name, values = found
            return f"{field.name}.{name}".removesuffix("."), values
    return None


def _checkpoint(folder: Path, asked: str | None) -> tuple[str, int]:
    """Kind and step of the checkpoint that `Workdir.load` takes."""
    steps = checkpoint_steps(folder)
    kinds = ("best", "last") if asked is None else (asked,)
    for kind in kinds:
        if steps[kind]:
            return kind, steps[kind][-1]
    raise UserError(
        f"{folder} has no checkpoint yet ({' or '.join(kinds)}); train until its first evaluation."
    )


def _model(folder: Path, checkpoint: str | None, metadata: Metadata) -> "Transducer":
    """The trained model, with what the file was exported with."""
    from int4_conformer.quantize import quantize_model
    from int4_conformer.training.workdir import Workdir

    exported = TransducerConfig.from_config(metadata.model)
    model, _ = Workdir(folder).load(checkpoint, exported.blank_penalty)
    recipe = exported.recipe
    return model if model.config.recipe == recipe else quantize_model(model, recipe)


def _sounds(utterances: Utterances, rate: int) -> Sequence[np.ndarray]:
    """The beginnings of some utterances."""
    most = int(_SOUND_SECONDS * rate)
    return [utterance.samples(rate)[:most] for utterance in utterances[:_SOUNDS]]


def _require_its_weights(
    path: str, folder: Path, kind: str, step: int, found: "RecognizerVerification"
) -> None:
    """Refuses a file of which no weight is that of the checkpoint."""
    names = {name for weights in (*found.weights.values(), found.matrices) for name in weights}
    if names and names <= found.unequal:
        raise UserError(
            f"{path} was not exported from the checkpoint {kind} of step {step:,} of {folder}: "
            f"none of its {len(names):,} weights is the same; name the folder that it came from, "
            "or --checkpoint."
        )


COMMAND = app.Command(
    name="verify",
    usage="MODEL --against=WORKDIR [flags]",
    description=__doc__,
    examples=(
        "model.tflite --against=run",
        "model.tflite --against=run --manifest=corpus --split=dev",
    ),
    define_flags=_define_flags,
    main=_verify,
    required=("against",),
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
