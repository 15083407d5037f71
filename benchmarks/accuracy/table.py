"""Tables and a picture of the runs in benchmarks/accuracy/results.

    python benchmarks/accuracy/table.py

writes benchmarks/accuracy/RESULTS.md, the table between `<!-- accuracy -->` and `<!-- end -->` of
README.md, docs/accuracy.png, and what `int4-conformer demo` sets its own training beside. Word
errors are those of the exported files, and seeds are pooled: a rate is the mean of theirs,
intervals draw utterances and seeds again. Differences to float32 are of seeds that both have.
int4_conformer/evaluation/significance.py has the statistics.
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from experiments import ANCHOR, CORPORA, TRAIN, VARIANTS

from int4_conformer.evaluation.significance import (
    Interval,
    permutation_test,
    wer_difference,
    wer_interval,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "accuracy"
RESULTS = FOLDER / "results"
README = ROOT / "README.md"
PAGE = FOLDER / "RESULTS.md"
PICTURE = ROOT / "docs" / "accuracy.png"
DEMO = ROOT / "int4_conformer" / "cli" / "demo_trainings.json"

# What README compares with float32.
_SHORT = ("w4a8", "ptq_int4")
# What the demo sets beside its own training, and the corpus and set of both.
_DEMO = {
    ANCHOR: "float32",
    "ptq_int8": "8 bits, after training",
    "ptq_int4": "4 bits, after training",
    "w4a8": "4 bits, trained",
}
_DEMO_SET = ("synthetic", "test")
_HEAD = """\
# Accuracy

*How many words do bits cost?*

The recogniser is `tiny` (1 M parameters), trained and measured as `experiments.py` has it.
`python benchmarks/accuracy/run.py --data=PATH --output=FOLDER --corpus=CORPUS` makes the runs.
Their commands, seeds, commits and words are in [results/](results). From these, `make results`
makes this page, the table of README.md and its picture; `make reproduce` runs a part of them anew.

Word errors are those of the exported `.tflite` file, heard one utterance after the other. The
columns:

- "seeds": of how many trainings the row is, one for each random seed.
- "WER": the mean word error rate of the seeds, with its 95% interval from 10,000 draws of
  utterances and seeds. With one seed, utterances alone are drawn, and the interval says nothing of
  other trainings. With three, it takes what trainings differ by for a fifth too little.
- "less float32": the difference in points to float32 of the same seeds, drawn in pairs. Below 0,
  the row is better.
- "p": the exact matched-pairs permutation test over utterances, for the trainings as they are.
- "RTF": seconds of computing per second of audio on one thread, the median of the seeds, on a
  machine with other work.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """A variant on a set: all of its seeds."""

    variant: str
    seeds: tuple[int, ...]
    # int [seeds, utterances] and [utterances].
    errors: np.ndarray
    words: np.ndarray
    # Of the file, and seconds of computing per second of audio: medians of the seeds.
    bytes: int
    rtf: float

    @property
    def wer(self) -> Interval:
        return wer_interval(self.errors, self.words)

    def of(self, seeds: tuple[int, ...]) -> np.ndarray:
        """Errors of these seeds."""
        return self.errors[[self.seeds.index(seed) for seed in seeds]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """What a variant has against float32."""

    seeds: tuple[int, ...]
    points: Interval
    p: float


def difference(anchor: Measured, other: Measured) -> Difference | None:
    """By how much a variant differs from float32, of the seeds that both have; None without any."""
    seeds = tuple(seed for seed in other.seeds if seed in anchor.seeds)
    if not seeds:
        return None
    first, second = anchor.of(seeds), other.of(seeds)
    return Difference(
        seeds=seeds,
        points=wer_difference(first, second, other.words),
        p=permutation_test(first, second),
    )


def read(results: Path, corpus: str) -> dict[str, dict[str, Measured]]:
    """What was measured of a corpus: set -> variant -> figures, in the order of experiments.py."""
    runs = [json.loads(path.read_text()) for path in sorted((results / corpus).glob("*.json"))]
    found: dict[str, dict[str, Measured]] = {}
    for name in CORPORA[corpus].sets:
        for variant in VARIANTS:
            those = [run for run in runs if run["variant"] == variant and name in run["sets"]]
            if those:
                found.setdefault(name, {})[variant] = _pooled(name, those)
    return found


def _pooled(name: str, runs: list[dict[str, Any]]) -> Measured:
    runs = sorted(runs, key=lambda run: run["seed"])
    heard = [run["sets"][name]["utterances"] for run in runs]
    ids = [[utterance[0] for utterance in utterances] for utterances in heard]
    if any(other != ids[0] for other in ids):
        raise ValueError(f"Runs of {name} are not of the same utterances; make them anew.")
    return Measured(
        variant=runs[0]["variant"],
        seeds=tuple(run["seed"] for run in runs),
        errors=np.array([[errors for _, _, errors, _ in utterances] for utterances in heard]),
        words=np.array([words for _, words, _, _ in heard[0]]),
        bytes=round(float(np.median([run["bytes"] for run in runs]))),
        rtf=float(np.median([run["sets"][name]["rtf"] for run in runs])),
    )


def page(results: Path) -> str:
    """benchmarks/accuracy/RESULTS.md."""
    parts = [_HEAD]
    for corpus, settings in CORPORA.items():
        parts.append(f"## {settings.title}\n")
        sets = read(results, corpus)
        if not sets:
            parts.append("Not measured yet.\n")
        for name, measured in sets.items():
            count, words = len(next(iter(measured.values())).words), _words(measured)
            parts.append(
                f"{settings.steps} steps of {settings.batch_seconds} s of audio"
                f" ({settings.steps_from_float} from float32). Set `{name}`: {count:,} utterances,"
                f" {words:,} words.\n"
            )
            parts.append(_table(measured))
        missing = _missing(settings.seeds, sets)
        if sets and missing:
            parts.append(f"Not measured yet: {missing}.\n")
    return "\n".join(parts)


def _words(measured: dict[str, Measured]) -> int:
    return int(next(iter(measured.values())).words.sum())


def _missing(seeds: tuple[int, ...], sets: dict[str, dict[str, Measured]]) -> str:
    """Variants whose seeds are not all there."""
    measured = next(iter(sets.values()), {})
    counts = {name: len(measured[name].seeds) if name in measured else 0 for name in VARIANTS}
    return ", ".join(
        f"{name}{f' ({count} of {len(seeds)} seeds)' if count else ''}"
        for name, count in counts.items()
        if count < len(seeds)
    )


def _table(measured: dict[str, Measured]) -> str:
    rows = [
        "| variant | weights, activations | seeds | WER | errors | less float32 | p | bytes "
        "| RTF |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for variant, found in measured.items():
        against = None
        if variant != ANCHOR and ANCHOR in measured:
            against = difference(measured[ANCHOR], found)
        cells = (
            f"`{variant}`",
            VARIANTS[variant].title,
            str(len(found.seeds)),
            _percent(found.wer),
            ", ".join(map(str, found.errors.sum(axis=1))),
            "" if against is None else _points(against.points),
            "" if against is None else f"{against.p:.2g}",
            f"{found.bytes:,}",
            f"{found.rtf:.4f}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _percent(rate: Interval) -> str:
    return f"{100 * rate.value:.2f}% ({100 * rate.low:.2f} .. {100 * rate.high:.2f})"


def _points(points: Interval) -> str:
    return f"{100 * points.value:+.2f} ({100 * points.low:+.2f} .. {100 * points.high:+.2f})"


def short_table(results: Path) -> str:
    """README's: of each set, float32 and what is most asked for."""
    titles = " | ".join(f"`{variant}`, less float32" for variant in _SHORT)
    rows = [f"| words of | seeds | float32 WER | {titles} |", "|---|---|---|---|---|"]
    for corpus, settings in CORPORA.items():
        for name, measured in read(results, corpus).items():
            if ANCHOR not in measured:
                continue
            anchor = measured[ANCHOR]
            cells = [f"{settings.title}: `{name}`", str(len(anchor.seeds)), _percent(anchor.wer)]
            for variant in _SHORT:
                against = variant in measured and difference(anchor, measured[variant])
                cells.append(_points(against.points) if against else "not measured yet")
            rows.append(f"| {' | '.join(cells)} |")
    if len(rows) == 2:
        return "No runs are committed yet."
    return "\n".join([*rows, "", "![Word errors against bytes of the file](docs/accuracy.png)"])


def updated(readme: str, results: Path) -> str:
    """README with its table written anew."""
    return filled(readme, "accuracy", short_table(results))


def filled(page: str, name: str, content: str) -> str:
    """A page with what stands between `<!-- name -->` and `<!-- end -->` written anew."""
    return re.sub(
        rf"(<!-- {name} -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{content}\n{found[2]}",
        page,
        flags=re.DOTALL,
    )


def demo_trainings(results: Path) -> str | None:
    """Of each variant that the demo compares: its mean WER, how many trainings and of what, and its
    bytes; None unless all were measured."""
    corpus, name = _DEMO_SET
    measured = read(results, corpus).get(name, {})
    if any(variant not in measured for variant in _DEMO):
        return None
    settings = CORPORA[corpus]
    (spoken,) = (part.count for part in settings.parts if part.use == TRAIN)
    found = {
        variant: {
            "title": title,
            "seeds": len(measured[variant].seeds),
            "steps": settings.steps,
            "utterances": spoken,
            "wer": round(measured[variant].wer.value, 6),
            "bytes": measured[variant].bytes,
        }
        for variant, title in _DEMO.items()
    }
    return json.dumps(found, indent=1) + "\n"


def draw(results: Path, path: Path) -> bool:
    """Draws word errors against bytes, a panel for each set; False if there is nothing to draw."""
    from matplotlib.figure import Figure

    panels = [
        (f"{settings.title}\n{name}", measured)
        for corpus, settings in CORPORA.items()
        for name, measured in read(results, corpus).items()
        if len(measured) > 1
    ]
    if not panels:
        return False
    figure = Figure(figsize=(6.4, 4.2 * len(panels)), layout="constrained")
    for axes, (title, measured) in zip(
        figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True
    ):
        curve = [found for variant, found in measured.items() if VARIANTS[variant].on_curve]
        curve.sort(key=lambda found: (found.bytes, VARIANTS[found.variant].bits))
        axes.plot(
            [found.bytes / 1e6 for found in curve],
            [100 * found.wer.value for found in curve],
            color="0.7",
            zorder=0,
        )
        for variant, found in measured.items():
            wer = found.wer
            ends = [[100 * (wer.value - wer.low)], [100 * (wer.high - wer.value)]]
            axes.errorbar(
                found.bytes / 1e6,
                100 * wer.value,
                yerr=np.maximum(ends, 0),
                fmt="s" if VARIANTS[variant].after_training else "o",
                color="tab:orange" if VARIANTS[variant].after_training else "tab:blue",
                capsize=2,
            )
            axes.annotate(
                variant,
                (found.bytes / 1e6, 100 * wer.value),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize=7,
            )
        axes.set_xscale("log")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("megabytes of the file; circles: trained so, squares: after training")
        axes.set_ylabel("word errors, % (95%)")
        axes.set_ylim(bottom=0)
    # Without the library's version, so that the same figures give the same file.
    figure.savefig(path, dpi=120, metadata={"Software": None})
    return True


if __name__ == "__main__":
    PAGE.write_text(page(RESULTS))
    README.write_text(updated(README.read_text(), RESULTS))
    draw(RESULTS, PICTURE)
    if (TRAININGS := demo_trainings(RESULTS)) is None:
        print(f"Not all variants of the demo are measured yet; {DEMO.name} stays as it is.")
    else:
        DEMO.write_text(TRAININGS)
    print(PAGE.read_text())
