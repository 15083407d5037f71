"""Trains a small recogniser, exports it in float32 and 4 bits, and compares the two.

The corpus is synthesised on the fly, spoken digits and commands; the voices of the test are not
those of the training. Prints a table and a transcript, and writes report.json, report.png and the
two models to --output.
"""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import LEARNED, PRINTED, group
from int4_conformer.cli.library_noise import held_back
from int4_conformer.cli.recognizers import open_recognizer
from int4_conformer.cli.results import Result
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.data.corpus import normalized
from int4_conformer.data.sources.synthetic import synthetic_corpus
from int4_conformer.errors import UserError
from int4_conformer.files import require_folder_place, write_beside
from int4_conformer.models.presets import preset
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.training.run_folder import read_run_config
from int4_conformer.training.training_config import TrainingConfig

_FORMATS = ("float32", "int4")


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
    report, table = _export_and_evaluate(Workdir(workdir), output, values.test_utterances)
    write_beside(output / "report.json", (json.dumps(report, indent=1) + "\n").encode())
    _draw(report, output / "report.png")
    model = shlex.quote(report["model"])
    return Result(
        text=f"{table}\nreport: {output / 'report.json'} and {output / 'report.png'}",
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


def _export_and_evaluate(
    workdir: Any, output: Path, test_utterances: int
) -> tuple[dict[str, Any], str]:
    """Exports both formats and evaluates them on unseen voices: the facts, and as a table."""
    from int4_conformer.evaluation.one_by_one import evaluate
    from int4_conformer.export.recognizer_tflite import export_tflite
    from int4_conformer.progress import Progress, waiting
    from int4_conformer.quantize import quantize_model

    model, tokenizer = workdir.load()
    test = normalized(synthetic_corpus("test", test_utterances))
    report: dict[str, Any] = {}
    real_time = {}
    rows = [f"{'':8} {'WER':>7} {'bytes':>11} {'ratio':>6} {'real-time factor':>17}"]
    for name in _FORMATS:
        file = output / f"tiny_{name}.tflite"
        exported = quantize_model(model, "float") if name == "float32" else model
        with held_back(), waiting(f"exporting {name}"):
            export_tflite(exported, tokenizer, file)
        recognizer = open_recognizer(file)
        with Progress(len(test), f"test {name}") as progress:
            evaluation = evaluate(recognizer.transcribe, test, progress.update)
        size = file.stat().st_size
        real_time[name] = evaluation.rtf
        report |= {f"wer_{name}": evaluation.errors.wer, f"bytes_{name}": size}
        ratio = report["bytes_float32"] / size
        rows.append(
            f"{name:8} {100 * evaluation.errors.wer:6.2f}% {size:11,} {ratio:5.2f}x "
            f"{evaluation.rtf:17.5f}"
        )
    report |= {"speedup": real_time["float32"] / real_time["int4"], "model": str(file)}
    heard = recognizer.transcribe(test[0].samples())
    said = ["", f"spoken:     {test[0].text}", f"recognised: {heard}", ""]
    return report, "\n".join(["", *rows, *said])


def _draw(report: dict[str, Any], path: Path) -> None:
    """Bars of size and word error rate, float32 beside int4."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(7, 3), layout="constrained")
    panels = (
        ("size in MB", [report[f"bytes_{name}"] / 1e6 for name in _FORMATS], "{:.2f}"),
        ("WER on unseen voices in %", [100 * report[f"wer_{name}"] for name in _FORMATS], "{:.2f}"),
    )
    for axis, (title, heights, label) in zip(axes, panels, strict=True):
        bars = axis.bar(_FORMATS, heights, color=["#9aa5b1", "#2f6f9f"], width=0.6)
        axis.bar_label(bars, [label.format(height) for height in heights])
        axis.set_title(title)
        axis.margins(y=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    partial = path.with_name("partial." + path.name)
    figure.savefig(partial, dpi=150)
    partial.replace(path)
    pyplot.close(figure)


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
