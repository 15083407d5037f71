"""What several pages have: bars, and recordings to listen to."""

import base64
from collections.abc import Sequence
from html import escape

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.sources.contents import flac_file

# Of a recording that can be played.
_PLAYED_SECONDS = 20
_WIDTH, _HEIGHT, _AXIS = 360, 130, 18


def bar_figure(
    title: str, words: str, counts: np.ndarray, names: Sequence[str], ends: tuple[str, str]
) -> str:
    """A figure with a bar for each count, as HTML.

    Args:
        title: what they are.
        words: what they show, as a text.
        counts: [bars].
        names: of each bar, shown when it is pointed at.
        ends: texts below the first and the last bar.
    """
    width = _WIDTH / max(1, len(counts))
    shapes = []
    for place, (count, name) in enumerate(zip(counts, names, strict=True)):
        height = _HEIGHT * count / max(1, counts.max())
        shapes.append(
            f'<rect x="{place * width:.1f}" y="{_HEIGHT - height:.1f}" width="{0.9 * width:.1f}" '
            f'height="{height:.1f}" fill="var(--series-1)">'
            f"<title>{escape(name)}: {count:,}</title></rect>"
        )
    text = 'font-size="12" fill="var(--muted)"'
    base = _HEIGHT + _AXIS - 4
    return (
        f'<figure class="card"><h3>{escape(title)}</h3>'
        f'<svg role="img" aria-label="{escape(f"{title}: {words}")}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT + _AXIS}">{"".join(shapes)}'
        f'<text x="0" y="{base}" {text}>{escape(ends[0])}</text>'
        f'<text x="{_WIDTH}" y="{base}" text-anchor="end" {text}>{escape(ends[1])}</text></svg>'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def player(pcm: np.ndarray) -> str:
    """The beginning of a recording, to listen to, as HTML.

    Args:
        pcm: int16 [samples].
    """
    content = flac_file(pcm[: _PLAYED_SECONDS * SAMPLE_RATE], SAMPLE_RATE)
    audio = base64.b64encode(content).decode()
    return f'<audio controls preload="none" src="data:audio/flac;base64,{audio}"></audio>'
