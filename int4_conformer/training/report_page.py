"""The frame of a report: one page of HTML that loads nothing, for phones and dark screens, too."""

from collections.abc import Sequence
from html import escape

# Nothing is loaded or run, whatever the names and transcripts in the page say.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src data:"

_STYLE = """
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1c2128; --muted: #5b6470; --line: #dfe3e8;
  --series-1: #1f5fbf; --series-2: #b45309;
  --substitution: #8a5300; --deletion: #b3261e; --insertion: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root {
  --page: #111418; --card: #1a1f25; --text: #e6e9ed; --muted: #9aa4b0; --line: #303841;
  --series-1: #7fb2ff; --series-2: #f0a64b;
  --substitution: #f0b45a; --deletion: #ff8f85; --insertion: #8fbcff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 72rem; background: var(--page);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 2.2rem 0 .7rem; font-size: 1.2rem; }
h3 { margin: 1.2rem 0 .5rem; font-size: 1rem; }
p { margin: .3rem 0; }
.muted, figcaption, dt { color: var(--muted); font-size: .875rem; }
.grid { display: grid; gap: .8rem; margin: 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
.tiles { grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.6rem), 1fr));
  margin-top: 1.2rem; }
.card { margin: 0; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; }
.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; line-height: 1.3;
  overflow-wrap: normal; }
.tiles dd + dd { color: var(--muted); font-size: .875rem; font-weight: 400; }
figure h3 { margin: 0 0 .2rem; }
figure svg { display: block; width: 100%; height: auto; }
figure svg text { font-family: system-ui, sans-serif !important; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font: .85rem/1.5 ui-monospace, monospace; }
pre { margin: .3rem 0 0; white-space: pre-wrap; }
details { margin-top: .8rem; }
summary { cursor: pointer; }
.card + .card.utterance { margin-top: .6rem; }
.words { display: flex; flex-wrap: wrap; gap: .35rem .5rem; margin-top: .4rem; line-height: 1.35; }
.mark { display: inline-flex; flex-direction: column; }
.words ins, .words del { text-decoration: none; }
.mark { border-bottom: .15rem solid; padding: 0 .2rem; border-radius: .2rem .2rem 0 0; }
.mark b { font-size: .75rem; line-height: 1.2; }
.substitution { color: var(--substitution); border-bottom-style: double; }
.deletion { color: var(--deletion); border-bottom-style: dashed; }
.deletion del, .substitution del { text-decoration: line-through; }
.insertion { color: var(--insertion); border-bottom-style: solid; }
.words.key { gap: .5rem 1.5rem; margin: .6rem 0; font-size: .875rem; }
.key div { display: flex; gap: .5rem; align-items: center; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
""".strip()


def page(title: str, body: Sequence[str]) -> str:
    """The whole page.

    Args:
        title: as a text.
        body: its parts as HTML.
    """
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_STYLE}\n</style></head>",
            "<body>",
            *body,
            "</body></html>",
            "",
        ]
    )


def section(title: str, *parts: str) -> str:
    """A part of the page under a heading; the parts are HTML."""
    return "\n".join([f"<section><h2>{escape(title)}</h2>", *parts, "</section>"])


def details(summary: str, content: str) -> str:
    """HTML that is shown when asked for."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"


def tile(name: str, value: str, remark: str = "") -> str:
    """A figure of note with its name, all texts."""
    second = f"<dd>{escape(remark)}</dd>" if remark else ""
    return f'<div class="card"><dt>{escape(name)}</dt><dd>{escape(value)}</dd>{second}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> str:
    """A table of texts.

    Args:
        header: the first line's cells.
        rows: those of the others.
        alignment: "<" or ">" for each column.
    """
    styles = [' class="number"' if side == ">" else "" for side in alignment]

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{style}>{escape(cell)}</{tag}>"
            for cell, style in zip(cells, styles, strict=True)
        )

    return "\n".join(
        [
            f'<div class="scroll card"><table><thead><tr>{line("th", header)}</tr></thead><tbody>',
            *(f"<tr>{line('td', row)}</tr>" for row in rows),
            "</tbody></table></div>",
        ]
    )
