"""Trains a small recogniser in 4 bits, exports it, and compares it with float32.

The corpus is synthesised on the fly, spoken digits and commands; the voices of the test are not
those of the training. Beside its word errors stand those of a training in float32, and of its file
quantized afterwards. These would take as long again, so they come from trainings that were made
before (benchmarks/accuracy). Then the models that come with the package hear recordings of people.
Prints tables, and writes report.json, report.png and two models to --output: the one that was
trained, and one in float32 to compare sizes and times with.
"""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.demo_report import FORMATS, draw, table
from int4_conformer.cli.flag_groups import LEARNED, PRINTED, group
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.recognizers import open_recognizer
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.data.corpus import normalized
from int4_conformer.data.sources.clips import clips
from int4_conformer.data.sources.synthetic import synthetic_corpus
from int4_conformer.errors import UserError
from int4_conformer.files import require_folder_place, write_beside
from int4_conformer.models.presets import preset
from int4_conformer.pretrained.registry import pretrained_models
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.training.run_folder import read_run_config
from int4_conformer.training.training_config import TrainingConfig

# What trainings of the same corpus came to, by variant; `make results` writes it.
_TRAININGS = Path(__file__).parent / "demo_trainings.json"


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, PRINTED):
        flags.DEFINE_string("output", "build/demo", "Folder for the results.", flag_values=values)
    with group(values, LEARNED):
        flags.DEFINE_integer("steps", 1500, "Optimizer steps.", lower_bound=1, flag_values=values)
        flags.DEFINE_integer(
            "utterances", 5000, "Utterances to train on.", lower_bound=10, flag_values=values
        )
        flags.DEFINE_integer(
            "test_utterances", 300, "Utterances to test on.", lower_bound=1, flag_values=values
        )


def _demo(values: flags.FlagValues, arguments: list[str]) -> Result:
    if arguments:
        raise UserError(f"demo takes flags only. Received: {arguments[0]!r}")
    output = Path(values.output)
    workdir = output / "train"
    require_folder_place(output)
    if workdir.is_dir() and any(workdir.iterdir()):
        # Someone's own folder of that name must not be taken for one of an earlier demo.
        read_run_config(workdir)
    trainings = json.loads(_TRAININGS.read_text())

    # After the checks: a mistake in the flags should not wait for TensorFlow.
    start_tensorflow()
    from int4_conformer.training.strategies import strategy_from_name
    from int4_conformer.training.trainer import Trainer
    from int4_conformer.training.workdir import Workdir

    # A demo starts afresh: the settings may have changed since the last one.
    shutil.rmtree(workdir, ignore_errors=True)
    train = normalized(synthetic_corpus("train", values.utterances))
    tokenizer = Graphemes.from_texts([utterance.text for utterance in train])
    config = training_config(values.steps)
    print(
        f"Training `tiny` with 4-bit weights and 8-bit activations on {len(train)} utterances.",
        flush=True,
    )
    trainer = Trainer(
        preset("tiny", vocab_size=tokenizer.vocabulary.size),
        config,
        tokenizer=tokenizer,
        train=train,
        dev=[],
        workdir=Workdir(workdir),
        strategy=strategy_from_name("auto"),
    )
    trainer.train()
    report = {
        **_export_and_evaluate(Workdir(workdir), output, values.test_utterances),
        # Not of the file in float32, whose weights were trained to be integers.
        "wer_float32": trainings["float"]["wer"],
        "trainings": trainings,
        "people": _heard_of_people(),
    }
    write_beside(output / "report.json", (json.dumps(report, indent=1) + "\n").encode())
    draw(report, output / "report.png")
    model = shlex.quote(report["model"])
    return Result(
        text=f"{table(report)}\nreport: {output / 'report.json'} and {output / 'report.png'}",
        facts=report,
        next=(
            f"{app.PROGRAM} inspect {model}",
            f"{app.PROGRAM} transcribe {model} recording.wav  # of what the demo knows: digits and "
            "commands",
        ),
    )


def training_config(steps: int) -> TrainingConfig:
    """How the demo trains."""
    return TrainingConfig(
        steps=steps,
        batch_seconds=48,
        buckets=2,
        learning_rate=3e-3,
        warmup=steps // 5,
        average=min(50, steps // 10),
        evaluate_every=steps,
    )


def _export_and_evaluate(workdir: Any, output: Path, test_utterances: int) -> dict[str, Any]:
    """Exports both formats and evaluates them on unseen voices."""
    from int4_conformer.evaluation.one_by_one import evaluate
    from int4_conformer.export.recognizer_tflite import export_tflite
    from int4_conformer.progress import Progress, waiting
    from int4_conformer.quantize import quantize_model

    model, tokenizer = workdir.load()
    test = normalized(synthetic_corpus("test", test_utterances))
    report: dict[str, Any] = {}
    for name in FORMATS:
        file = output / f"tiny_{name}.tflite"
        exported = quantize_model(model, "float") if name == "float32" else model
        with held_back(), waiting(f"exporting {name}"):
            export_tflite(exported, tokenizer, file)
        recognizer = open_recognizer(file)
        with Progress(len(test), f"test {name}") as progress:
            evaluation = evaluate(recognizer.transcribe, test, progress.update)
        report |= {f"bytes_{name}": file.stat().st_size, f"rtf_{name}": evaluation.rtf}
    # Of the last, which is the one that was trained.
    return report | {
        "wer_int4": evaluation.errors.wer,
        "speedup": report["rtf_float32"] / report["rtf_int4"],
        "model": str(file),
        "spoken": test[0].text,
        "recognised": evaluation.hypotheses[0],
    }


def _heard_of_people() -> list[dict[str, Any]]:
    """What the models of the package hear in the recordings that come with it."""
    heard = []
    for model in pretrained_models().values():
        recognizer = open_recognizer(model.file)
        for clip in clips(model.name):
            words = recognizer.transcribe(clip.samples())
            heard.append({"model": model.name, "spoken": clip.text, "recognised": words})
    return heard


COMMAND = app.Command(
    name="demo",
    usage="[flags]",
    description=__doc__,
    examples=("", "--output=build/short --steps=300"),
    define_flags=_define_flags,
    main=_demo,
    has_result=True,
)

if __name__ == "__main__":
    app.run(COMMAND)
