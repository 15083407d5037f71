"""Curves of a training as SVG pictures in the page's own colours."""

import dataclasses
import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

# Colours stand for those of the page, which depend on the reader's screen.
_TEXT, _LINE, _SERIES = "#010101", "#020202", ("#030303", "#040404")
_VARIABLES = {
    _TEXT: "var(--muted)",
    _LINE: "var(--line)",
    _SERIES[0]: "var(--series-1)",
    _SERIES[1]: "var(--series-2)",
}
# What a screen can show of a curve.
_POINTS = 240
# Ratio of values from which on a scale is logarithmic.
_DECADES = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """Values by step; not finite ones are left out of the picture."""

    name: str
    # Float [points], ascending.
    steps: np.ndarray
    # Float [points].
    values: np.ndarray

    def finite(self) -> "Curve":
        """The points that can be drawn."""
        kept = np.isfinite(self.steps) & np.isfinite(self.values)
        return dataclasses.replace(self, steps=self.steps[kept], values=self.values[kept])


def chart(
    title: str,
    curves: Sequence[Curve],
    *,
    unit: str,
    marked: bool = False,
    logarithmic: bool = False,
    restarts: Sequence[int] = (),
    limit: float | None = None,
) -> str:
    """A figure with its caption as HTML; nothing if no curve has a point.

    Args:
        title: what is drawn.
        curves: up to two, of which those of many points are drawn as their mean and range.
        unit: of the values.
        marked: whether each point gets a mark, and the lowest is named: for few points.
        logarithmic: whether the scale may be logarithmic, if the values call for it.
        restarts: steps from which the training went on, drawn as dotted lines.
        limit: a value to draw as a dashed line.
    """
    curves = [finite for curve in curves if len((finite := curve.finite()).steps)]
    if not curves:
        return ""
    words = "; ".join(_in_words(curve, unit, marked) for curve in curves)
    svg = _svg(curves, marked=marked, logarithmic=logarithmic, restarts=restarts, limit=limit)
    prefix = re.sub(r"\W+", "-", title.lower())
    # Ids are those of one page.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(f"{title}: {words}")}" ', 1)
    return (
        f'<figure class="card"><h3>{escape(title)}</h3>\n{svg}\n'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def thinned(curve: Curve, points: int = _POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A curve of at most so many points, each of them the mean of its neighbours.

    Returns:
        Steps, float [points]; lowest, mean and highest values, float [3, points].
    """
    count = len(curve.steps)
    edges = np.unique(np.linspace(0, count, min(points, count) + 1).astype(int))[:-1]
    sizes = np.diff(np.append(edges, count))
    return np.add.reduceat(curve.steps, edges) / sizes, np.stack(
        [
            np.minimum.reduceat(curve.values, edges),
            np.add.reduceat(curve.values, edges) / sizes,
            np.maximum.reduceat(curve.values, edges),
        ]
    )


def _in_words(curve: Curve, unit: str, marked: bool) -> str:
    """What the curve shows, for those who do not see it."""
    first, last = curve.values[0], curve.values[-1]
    text = f"{last:.4g}" if len(curve.steps) == 1 else f"from {first:.4g} to {last:.4g}"
    text = f"{text} {unit}".rstrip()
    if marked and len(curve.steps) > 1:
        best = int(np.argmin(curve.values))
        text += f", lowest {curve.values[best]:.4g} at step {curve.steps[best]:,.0f}"
    return f"{curve.name}: {text}" if curve.name else text


def _svg(
    curves: Sequence[Curve],
    *,
    marked: bool,
    logarithmic: bool,
    restarts: Sequence[int],
    limit: float | None,
) -> str:
    # Here, since matplotlib takes a while, and a training without evaluations does not need it.
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    figure = Figure(figsize=(3.5, 2.0))
    # With room for half of the last step's label.
    axes = figure.add_axes((0.14, 0.23, 0.79, 0.68))
    styles: list[dict[str, Any]] = [{"linestyle": "-"}, {"linestyle": "--"}]
    if marked:
        styles = [style | {"marker": mark} for style, mark in zip(styles, "os", strict=True)]
    lowest, highest = np.inf, -np.inf
    for curve, colour, style in zip(curves, _SERIES, styles, strict=False):
        steps, (low, mean, high) = thinned(curve)
        if np.any(high > low):
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
        alone = {"marker": "o"} if len(steps) == 1 else {}
        axes.plot(
            steps,
            mean,
            color=colour,
            label=curve.name,
            markersize=3.5,
            linewidth=1.4,
            **style | alone,
        )
        lowest, highest = min(lowest, low.min()), max(highest, high.max())
    if logarithmic and lowest > 0 and highest / lowest > _DECADES:
        axes.set_yscale("log")
    elif lowest >= 0:
        axes.set_ylim(bottom=0, top=1.06 * highest or None)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        formatter = ScalarFormatter()
        formatter.set_powerlimits((-3, 6))
        axes.yaxis.set_major_formatter(formatter)
    if limit is not None:
        axes.axhline(limit, color=_TEXT, linestyle="--", linewidth=1)
    for step in restarts:
        axes.axvline(step, color=_TEXT, linestyle=":", linewidth=1)
    if len(curves) > 1:
        axes.legend(frameon=False, labelcolor=_TEXT, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("step", color=_TEXT, fontsize=9)
    axes.tick_params(which="both", colors=_TEXT, labelsize=9, length=0)
    axes.grid(axis="y", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=_LINE)
    for part in (figure, axes):
        part.patch.set_visible(False)

    text = io.StringIO()
    # Texts stay texts, and the same curves the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The page's style gives the size.
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.strip()
