"""A training on one page: curves, word errors in their places, settings, commands."""

import datetime
import json
import math
import shlex
import sys
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from int4_conformer.files import json_lines, write_beside
from int4_conformer.progress import duration
from int4_conformer.remote_path import AnyPath
from int4_conformer.training import report_alignments
from int4_conformer.training.report_alignments import percent
from int4_conformer.training.report_curves import Curve, chart
from int4_conformer.training.report_page import details, page, section, table, tile
from int4_conformer.training.run_folder import read_run_config
from int4_conformer.training.training_config import TrainingConfig

Line = dict[str, Any]

# Points of the curves; of what a longer training recorded, they are evenly spaced.
_POINTS = 20_000
# Evaluations and commands that are listed, and characters of a setting.
_LISTED, _CHARACTERS = 100, 200
# Word errors by pass in metrics.jsonl, and how they are called.
_PASSES = {"dev_wer": "dev", "dev_wer_first_pass": "dev, first pass"}


def write_report(folder: AnyPath) -> AnyPath:
    """Writes what a training folder tells of its run to report.html in it, whole or not at all.

    Files that are not there and lines that were cut short are passed over.

    Args:
        folder: of the training; it needs a config.json, nothing else.

    Returns:
        Where the page is.

    Raises:
        UserError: the folder is no training folder, or cannot be written to.
    """
    config = read_run_config(folder)
    metrics = _of_the_run(json_lines(folder / "metrics.jsonl"))
    progress = _of_the_run(json_lines(folder / "progress.jsonl", _POINTS))
    commands = list(json_lines(folder / "commands.jsonl"))
    transcripts = [
        line
        for line in json_lines(folder / "transcripts.jsonl")
        if line.keys() >= {"reference", "hypothesis"}
    ]
    name = folder.resolve().name
    body = [
        _headline(name, config),
        _tiles(config, metrics, progress),
        _curves(config, metrics, progress, commands),
        _word_errors(metrics, transcripts),
        _skipped(folder),
        _settings(config),
        _commands(commands),
    ]
    report = folder / "report.html"
    # A file name on the command line may be no UTF-8.
    content = page(f"{name}: training report", body).encode(errors="replace")
    write_beside(report, content)
    return report


def _of_the_run(lines: Iterable[Line]) -> list[Line]:
    """Lines of steps, without those that a resumed run took again."""
    found = [line for line in lines if isinstance(line.get("step"), int) and _number(line["step"])]
    steps = np.array([line["step"] for line in found])
    # The lowest step from each line on.
    later = np.minimum.accumulate(np.append(steps, np.inf)[::-1])[::-1][1:]
    return [line for line, taken in zip(found, steps < later, strict=True) if taken]


def _headline(name: str, config: Line) -> str:
    model = config["model"]
    recipe = model.get("recipe")
    recipe = recipe.get("name") if isinstance(recipe, dict) else recipe
    written = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    facts = [str(fact) for fact in (model.get("name"), recipe) if fact]
    return (
        f"<header><h1>{escape(name)}</h1>"
        f'<p class="muted">{escape(" · ".join([*facts, f"as of {written}"]))}</p></header>'
    )


def _tiles(config: Line, metrics: Sequence[Line], progress: Sequence[Line]) -> str:
    last = _last(progress, metrics)
    steps = config["training"].get("steps")
    step = max((line["step"] for line in (*progress[-1:], *metrics[-1:])), default=0)
    tiles = [tile("Step", f"{step:,}", f"of {steps:,}" if isinstance(steps, int) else "")]
    evaluated = [line for line in metrics if _number(line.get("dev_wer"))]
    if evaluated:
        best = min(evaluated, key=lambda line: line["dev_wer"])
        newest = evaluated[-1]
        first = newest.get("dev_wer_first_pass")
        remark = f"first pass {percent(first)}" if _number(first) else f"at step {newest['step']:,}"
        tiles.append(tile("Dev word errors", percent(newest["dev_wer"]), remark))
        tiles.append(
            tile("Lowest dev errors", percent(best["dev_wer"]), f"at step {best['step']:,}")
        )
    if _number(last.get("loss")):
        tiles.append(tile("Training loss", f"{last['loss']:.3g}", "nats an utterance"))
    if _number(last.get("seconds")):
        tiles.append(tile("Time trained", duration(last["seconds"])))
    if _number(last.get("audio_hours_per_hour")):
        speed = last["audio_hours_per_hour"]
        tiles.append(
            tile("Throughput", f"{speed:,.{0 if speed >= 10 else 1}f}", "audio hours an hour")
        )
    if _number(last.get("parameters")):
        tiles.append(tile("Parameters", f"{last['parameters']:,}"))
    if _number(last.get("skipped")):
        tiles.append(tile("Skipped steps", f"{last['skipped']:,.0f}"))
    return f'<dl class="grid tiles">{"".join(tiles)}</dl>'


def _curves(
    config: Line, metrics: Sequence[Line], progress: Sequence[Line], commands: Sequence[Line]
) -> str:
    restarts = sorted({line["step"] for line in commands if _number(line.get("step"))} - {0})
    # Older folders have evaluations alone.
    losses = _curve(progress, "loss") if progress else _curve(metrics, "loss")
    errors = [_curve(metrics, key, name, 100) for key, name in _PASSES.items()]
    clip = config["training"].get("clip_norm")
    charts = [
        chart("Loss", [losses], unit="nats an utterance", logarithmic=True, restarts=restarts),
        chart("Word errors", errors, unit="%", marked=True, restarts=restarts),
        chart("Learning rate", [_curve(progress, "learning_rate")], unit="", restarts=restarts),
        chart(
            "Norm of the gradient",
            [_curve(progress, "gradient_norm")],
            unit="before clipping",
            logarithmic=True,
            restarts=restarts,
            limit=clip if _number(clip) else None,
        ),
        chart(
            "Throughput",
            [_curve(progress, "audio_hours_per_hour")],
            unit="hours of audio an hour",
            restarts=restarts,
        ),
        chart("Memory", [_curve(progress, "memory_mb")], unit="MB", restarts=restarts),
    ]
    if not any(charts):
        return section("Curves", '<p class="muted">Nothing was recorded yet.</p>')
    remarks = ["Shaded: lowest to highest value, around the mean."]
    if restarts:
        remarks.append("Dotted: where the training went on after a stop.")
    if charts[3] and _number(clip):
        remarks.append(f"Dashed: the norm to which gradients are clipped, {clip:g}.")
    return section(
        "Curves",
        f'<div class="grid">{"".join(charts)}</div>',
        f'<p class="muted">{escape(" ".join(remarks))}</p>',
    )


def _word_errors(metrics: Sequence[Line], transcripts: Sequence[Line]) -> str:
    parts = []
    utterances = report_alignments.aligned(transcripts)
    if utterances:
        parts.append(report_alignments.alignments(utterances))
        for title, found in (
            ("Most frequent errors", report_alignments.frequent_errors(utterances)),
            ("By speaker", report_alignments.by_speaker(utterances)),
        ):
            if found:
                parts += [f"<h3>{title}</h3>", found]
    if metrics:
        names = list(dict.fromkeys(name for line in metrics for name in line))
        rows = [[_value(line.get(name, "")) for name in names] for line in metrics[-_LISTED:]]
        summary = f"All {len(metrics):,} evaluations"
        if len(metrics) > _LISTED:
            summary = f"The last {_LISTED} of {len(metrics):,} evaluations"
        parts.append(details(summary, table(names, rows, ">" * len(names))))
    if not parts:
        parts.append('<p class="muted">There was no evaluation yet.</p>')
    return section("Word errors of the newest evaluation", *parts)


def _skipped(folder: AnyPath) -> str:
    """The batches of steps that were not taken, if there are any."""
    files = {}
    for file in (folder / "skipped").glob("step-*.jsonl"):
        step = file.stem.removeprefix("step-")
        if step.isdecimal():
            files[int(step)] = file
    if not files:
        return ""
    rows = [
        (f"{step:,}", f"{len(list(json_lines(files[step]))):,}", f"skipped/{files[step].name}")
        for step in sorted(files)
    ]
    note = "Loss or gradient were not finite or far too large; the batches are kept as manifests."
    shown = table(("step", "utterances", "manifest"), rows[-_LISTED:], ">><")
    if len(rows) > _LISTED:
        note += f" The last {_LISTED} of {len(rows):,}:"
    return section("Skipped steps", f"<p>{note}</p>", shown)


def _settings(config: Line) -> str:
    defaults = TrainingConfig().to_config()
    changed = [
        (name, _value(value), _value(defaults[name]) if name in defaults else "unknown here")
        for name, value in config["training"].items()
        if name not in defaults or defaults[name] != value
    ]
    everything = [(name, _value(value)) for name, value in _flat(config)]
    return section(
        "Settings",
        table(("setting of training", "of this run", "default"), changed, "<<<")
        if changed
        else "<p>All settings of training are the defaults.</p>",
        details(f"All {len(everything)} settings", table(("setting", "value"), everything, "<<")),
    )


def _commands(commands: Sequence[Line]) -> str:
    if not commands:
        return section("Commands", '<p class="muted">None was recorded.</p>')
    starts = []
    if len(commands) > _LISTED:
        starts.append(f'<p class="muted">The last {_LISTED} of {len(commands):,} starts:</p>')
    for line in commands[-_LISTED:]:
        argv = line.get("argv")
        words = map(str, argv) if isinstance(argv, list) else ()
        when = f"{line.get('time', '')} · from step {_value(line.get('step', 0))}"
        starts.append(
            f'<div class="card utterance"><p class="muted">{escape(when)}</p>'
            f"<pre>{escape(shlex.join(words))}</pre></div>"
        )
    return section("Commands", *starts)


def _curve(lines: Sequence[Line], key: str, name: str = "", factor: float = 1) -> Curve:
    known = [line for line in lines if _number(line.get(key))]
    return Curve(
        name=name,
        steps=np.array([line["step"] for line in known], np.float64),
        values=factor * np.array([line[key] for line in known], np.float64),
    )


def _last(progress: Sequence[Line], metrics: Sequence[Line]) -> Line:
    """The newest value of each key, wherever it stands."""
    newest: Line = {}
    for line in sorted((*metrics[-1:], *progress[-1:]), key=lambda line: line["step"]):
        newest |= line
    return newest


def _flat(settings: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _value(value: Any) -> str:
    """A setting or a figure as a cell has room for it."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= _CHARACTERS:
        return text
    return f"{text[:_CHARACTERS]} ... ({len(text):,} characters)"


def _number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # JSON has whole numbers that no float can hold.
    return is_number and abs(value) <= sys.float_info.max
