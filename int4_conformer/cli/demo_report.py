"""What the demo tells: a table, and a picture of bars."""

from pathlib import Path
from typing import Any

from int4_conformer.tables import columns

# Of the files that the demo writes.
FORMATS = ("float32", "int4")
# Which of the trainings that were made before the demo's own is like.
_OURS = "w4a8"


def table(report: dict[str, Any]) -> str:
    """What was measured, in plain text.

    Args:
        report: what the demo writes as report.json.
    """
    rows = [
        (
            training["title"],
            f"{100 * training['wer']:.2f}% *",
            f"{report['bytes_float32'] if name == 'float' else training['bytes']:,}",
            f"{report['rtf_float32']:.5f}" if name == "float" else "",
        )
        for name, training in report["trainings"].items()
        if name != _OURS
    ]
    rows.append(
        (
            f"{report['trainings'][_OURS]['title']}: this run",
            f"{100 * report['wer_int4']:.2f}%  ",
            f"{report['bytes_int4']:,}",
            f"{report['rtf_int4']:.5f}",
        )
    )
    plain = report["trainings"]["float"]
    parts = [
        columns(("tiny", "WER", "bytes", "real-time factor"), rows, "<>>>"),
        f"This run is {report['bytes_float32'] / report['bytes_int4']:.2f} times smaller than "
        f"float32, and {report['speedup']:.2f} times as fast.\n"
        f"{_note(report)} of {plain['steps']:,} steps on "
        f"{plain['utterances']:,} utterances (benchmarks/accuracy)",
        f"spoken:     {report['spoken']}\nrecognised: {report['recognised']}",
    ]
    if report["people"]:
        rows = [(one["model"], one["spoken"], one["recognised"]) for one in report["people"]]
        parts.append(
            "People, heard by the models of the package:\n\n"
            + columns(("model", "spoken", "recognised"), rows, "<<<")
        )
    return "\n" + "\n\n".join(parts) + "\n"


def draw(report: dict[str, Any], path: Path) -> None:
    """Bars of size and word error rate: float32, quantized afterwards, and trained in 4 bits."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    trainings = report["trainings"]
    others = [name for name in trainings if name != _OURS]
    figure, axes = pyplot.subplots(
        1, 2, figsize=(9, 3.4), layout="constrained", width_ratios=(2, len(others) + 1)
    )
    panels = (
        (
            "size in MB",
            ["float32", "4 bits"],
            [report[f"bytes_{name}"] / 1e6 for name in FORMATS],
        ),
        (
            "WER on unseen voices in %",
            [*(f"{_wrapped(trainings[name]['title'])} *" for name in others), "4 bits:\nthis run"],
            [*(100 * trainings[name]["wer"] for name in others), 100 * report["wer_int4"]],
        ),
    )
    for axis, (title, names, heights) in zip(axes, panels, strict=True):
        colours = ["#9aa5b1"] * (len(names) - 1) + ["#2f6f9f"]
        bars = axis.bar(names, heights, color=colours, width=0.6)
        axis.bar_label(bars, [f"{height:.2f}" for height in heights])
        axis.set_title(title)
        axis.margins(y=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_xlabel(_note(report), fontsize=8)
    partial = path.with_name("partial." + path.name)
    figure.savefig(partial, dpi=150)
    partial.replace(path)
    pyplot.close(figure)


def _note(report: dict[str, Any]) -> str:
    """What the asterisk stands for."""
    seeds = report["trainings"]["float"]["seeds"]
    return f"* mean of {seeds} earlier training{'s' * (seeds > 1)}"


def _wrapped(title: str) -> str:
    return title.replace(", ", ",\n")
