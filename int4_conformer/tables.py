"""Tables in plain text."""

from collections.abc import Sequence


def smaller(ratio: float) -> str:
    """A size that another is `ratio` times of, in words: "7.73x smaller" or "1.04x larger"."""
    return f"{ratio:.2f}x smaller" if ratio >= 1 else f"{1 / ratio:.2f}x larger"


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> str:
    """Aligns cells in columns.

    Args:
        header: the first line's cells.
        rows: those of the others.
        alignment: "<" or ">" for each column.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}"
            for cell, side, width in zip(row, alignment, widths, strict=True)
        ).rstrip()
        for row in [header, *rows]
    )
