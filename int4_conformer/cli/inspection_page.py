"""What a `.tflite` file holds, on one page: bytes, codes and kernels."""

import collections
from collections.abc import Sequence
from html import escape

import numpy as np

from int4_conformer.cli.page_parts import bar_figure
from int4_conformer.errors import UserError
from int4_conformer.tables import smaller
from int4_conformer.tflite import kernel_profile
from int4_conformer.tflite.flatbuffer import Constant
from int4_conformer.tflite.inspection import Inspection
from int4_conformer.tflite.metadata import Metadata
from int4_conformer.training.report_page import details, page, section, table, tile

_CODES = ("int2", "int4", "int8")
# Weights that are drawn, and those that are listed at once.
_DRAWN, _LISTED = 30, 20
_WIDTH, _NAMES, _LINE = 720, 330, 18
# Seconds of noise that the file hears for its kernels.
_HEARD = 2.0
_CHART = 'style="width:100%;height:auto;font:12px system-ui,sans-serif" role="img"'


def inspection_page(found: Inspection, content: bytes) -> str:
    """The page as HTML; it loads nothing.

    Args:
        found: of the file.
        content: the file.
    """
    weights = [x for x in found.tensors if x.dtype in (*_CODES, "float32") and not x.is_scale]
    weights.sort(key=lambda constant: -constant.nbytes)
    quantized = [x for x in weights if x.dtype in _CODES and x.scale is not None]
    recipe = f"recipe {found.metadata.recipe}" if found.metadata else "no recogniser of ours"
    body = [
        f"<header><h1>{escape(found.path)}</h1><p class='muted'>{escape(recipe)}</p></header>",
        _tiles(found),
        section("What its bytes are for", _uses(found)),
        section(
            "Bytes of the largest weights",
            "<p>Dark: in the file. Light: in float32.</p>",
            _bars(weights[:_DRAWN]),
        ),
        section(
            "Codes",
            "<p>How often each code occurs. A code carries as many bits as its entropy says; the "
            "rounding error is what rounding to the nearest code costs on average, beside the "
            "weight itself.</p>",
            _codes(quantized),
        )
        if quantized
        else "",
        section("Operators", _counts(found.operators, "operator")),
        section("Kernels", _kernels(content, found.metadata)) if found.metadata else "",
    ]
    return page(f"{found.path}: what it holds", body)


def entropy(counts: np.ndarray) -> float:
    """Bits that a code carries, of how often each occurs [codes]."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def rounding_error(weight: Constant) -> float:
    """The expected error of rounding to codes, in dB beside the weight: -20 is a tenth of it.

    An error of rounding is as likely anywhere within half a step. What the weight was before is
    not in the file.
    """
    codes = weight.values().astype(np.float64)
    if weight.block is not None:
        scale = np.repeat(weight.scale, weight.block, axis=-1).reshape(codes.shape)
    else:
        shape = [1] * codes.ndim
        shape[weight.quantized_dimension] = -1
        scale = np.reshape(weight.scale, shape if weight.scale.size > 1 else [1] * codes.ndim)
    power = np.square(codes * scale).mean()
    noise = np.square(np.broadcast_to(scale, codes.shape)).mean() / 12
    return float(10 * np.log10(noise / power)) if power else 0.0


def _tiles(found: Inspection) -> str:
    tiles = [
        tile("Bytes", f"{found.total_bytes:,}", f"{smaller(found.ratio_to_float32)} than float32"),
        tile("Parameters", f"{found.parameters:,}"),
        tile("Operators", f"{sum(found.operators.values()):,}"),
        tile("Needs", found.runtime or "unknown", "TensorFlow Lite"),
    ]
    return f'<dl class="grid tiles">{"".join(tiles)}</dl>'


def _uses(found: Inspection) -> str:
    rows = [
        (f"{total.use}, {total.dtype}", f"{total.values:,}", total.nbytes) for total in found.totals
    ]
    rows += [
        ("scales and zero points", "", found.quantization_bytes),
        ("metadata", "", found.metadata_bytes),
        ("operators, names, shapes", "", found.structure_bytes),
    ]
    shown = [
        (name, values, f"{nbytes:,}", f"{100 * nbytes / found.total_bytes:.1f}%")
        for name, values, nbytes in rows
    ]
    return table(("what", "values", "bytes", "of the file"), shown, "<>>>")


def _bars(weights: Sequence[Constant]) -> str:
    """A line for each weight: its bytes in the file and in float32."""
    most = max((4 * weight.size for weight in weights), default=1)
    lines = []
    for place, weight in enumerate(weights):
        y, width = place * _LINE, (_WIDTH - _NAMES) / most
        name = weight.name if len(weight.name) < 48 else f"…{weight.name[-46:]}"
        lines.append(
            f"<g><title>{escape(weight.name)}: {weight.nbytes:,} bytes, {4 * weight.size:,} in "
            f"float32</title>"
            f'<text x="{_NAMES - 8}" y="{y + 13}" text-anchor="end" fill="var(--muted)">'
            f"{escape(name)}</text>"
            f'<rect x="{_NAMES}" y="{y + 3}" width="{4 * weight.size * width:.1f}" height="12" '
            'fill="var(--line)"/>'
            f'<rect x="{_NAMES}" y="{y + 3}" width="{weight.nbytes * width:.1f}" height="12" '
            'fill="var(--series-1)"/></g>'
        )
    label = f"bytes of {len(weights)} weights in the file and in float32"
    box = f"0 0 {_WIDTH} {_LINE * len(weights)}"
    return f'<svg {_CHART} aria-label="{label}" viewBox="{box}">{"".join(lines)}</svg>'


def _occurrences(weight: Constant) -> np.ndarray:
    """How often each code from -2^(bits - 1) on occurs."""
    half = 1 << (int(weight.dtype[3:]) - 1)
    return np.bincount(weight.values().astype(np.int64).ravel() + half, minlength=2 * half)


def _codes(quantized: Sequence[Constant]) -> str:
    """A figure for each type, and a line for each weight."""
    figures: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    rows = []
    for weight in quantized:
        counts = _occurrences(weight)
        figures[weight.dtype].append(counts)
        # The lowest code never occurs: the ends are +-(2^(bits - 1) - 1).
        ends = (counts[1] + counts[-1]) / counts.sum()
        rows.append(
            (
                weight.name,
                weight.dtype,
                " x ".join(map(str, weight.shape)),
                f"{entropy(counts):.2f}",
                f"{100 * ends:.2f}%",
                f"{rounding_error(weight):.1f} dB",
            )
        )
    header = ("weight", "type", "shape", "bits carried", "at the ends", "rounding error")
    first, more = rows[:_LISTED], rows[_LISTED:]
    parts = [_histogram(dtype, figures[dtype]) for dtype in _CODES if dtype in figures]
    parts.append(table(header, first, "<<<>>>"))
    if more:
        parts.append(details(f"{len(more):,} more", table(header, more, "<<<>>>")))
    return "\n".join(parts)


def _histogram(dtype: str, weights: Sequence[np.ndarray]) -> str:
    counts = sum(weights)
    codes = range(-(counts.size // 2), counts.size // 2)
    words = (
        f"{counts.sum():,} codes of {len(weights):,} weights carry {entropy(counts):.2f} bits each"
    )
    return bar_figure(dtype, words, counts, [*map(str, codes)], (str(codes[0]), str(codes[-1])))


def _counts(counts: dict[str, int], what: str) -> str:
    rows = [(name, f"{count:,}") for name, count in sorted(counts.items(), key=lambda x: -x[1])]
    return table((what, "times"), rows, "<>")


def _kernels(content: bytes, metadata: Metadata) -> str:
    """What ran when the file heard some noise, and for how long."""
    blocks = max(1, round(_HEARD * metadata.sample_rate / metadata.block_samples))
    noise = np.random.default_rng(0).normal(scale=0.1, size=blocks * metadata.block_samples)
    inputs = {"pcm": noise.astype(np.float32)}
    try:
        ran = kernel_profile.profile(content, "serving_default", inputs, metadata.delegate)
    except UserError as error:
        # A file of a fixed length, or a LiteRT without its profiler.
        return f'<p class="muted">They were not looked at: {escape(str(error))}</p>'
    kernels = sum(ran.kernels.values(), collections.Counter())
    times = sum(ran.microseconds.values(), collections.Counter())
    rows = [
        (name, f"{kernels[name]:,}", f"{microseconds:,}")
        for name, microseconds in times.most_common(_LISTED)
    ]
    shown = f"The {len(rows)} that took longest of one run of {_HEARD:g} s of noise on this machine"
    return f"<p>{shown}.</p>" + table(("kernel", "times", "microseconds"), rows, "<>>")
