"""A report as one HTML file that needs nothing else: no scripts, no fonts, no pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as escape_html
from typing import TYPE_CHECKING

from edgeroberta.escaping import plain
from edgeroberta.evaluate.report_text import Section, signed_points

if TYPE_CHECKING:
    from edgeroberta.evaluate.report import Report


def escape(text: str) -> str:
    """Make a text safe in a page: no markup, no control characters."""
    return escape_html(plain(text))


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c1e21; background: #fff; }
h1, h2 { line-height: 1.2; }
h1.PASS { color: #1a7f37; } h1.FAIL { color: #c62828; } h1.INCONCLUSIVE { color: #9a6700; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { border-bottom: 1px solid #d0d7de; padding: 0.35rem 0.7rem; text-align: left; vertical-align: top; }
th { background: #f6f8fa; }
svg { max-width: 100%; font: 12px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0d1117; } th { background: #161b22; }
  th, td { border-color: #30363d; } svg text { fill: #e6edf3; }
}
"""

_WIDTH = 640
_LABELS = 130
_ROW = 28


def page(report: Report, parts: Sequence[Section]) -> str:
    """Write sections as a page.

    Args:
        report: The report, for the drawing of the intervals.
        parts: What it says, from :func:`edgeroberta.evaluate.report_text.sections`.

    Returns:
        HTML.
    """
    body = []
    for number, part in enumerate(parts):
        tag = f'h1 class="{report.verdict}"' if number == 0 else "h2"
        body.append(f"<{tag}>{escape(part.title)}</{tag[:2]}>")
        body += [f"<p>{escape(sentence)}</p>" for sentence in part.sentences]
        if number == 0:
            body.append(_intervals(report))
        if part.header:
            body.append(_table(part))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(parts[0].title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _table(part: Section) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in part.header)
    rows = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in part.rows]
    lines = "\n".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _intervals(report: Report) -> str:
    """Draw each engine's drop with its interval, and the line that the gate draws."""
    shown = [(result.engine, result.drop) for result in report.engines if result.drop is not None]
    if not shown:
        return ""
    limit = report.gate.allowed(report.full_size["metrics"][report.metric])
    ends = [0.0, limit, *(end for _, drop in shown for end in (drop.low, drop.high))]
    low, high = min(ends), max(ends)
    margin = 0.08 * (high - low) or 0.01
    low, high = low - margin, high + margin

    def x(value: float) -> str:
        return f"{_LABELS + (value - low) / (high - low) * (_WIDTH - _LABELS - 10):.1f}"

    height = _ROW * (len(shown) + 1) + 10
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">']
    parts.append(f"<title>Drop of {escape(report.metric)} in points, with its interval</title>")
    for value, colour, text in ((0.0, "#8c959f", "0"), (limit, "#c62828", f"gate {signed_points(limit)}")):
        parts.append(f'<line x1="{x(value)}" x2="{x(value)}" y1="18" y2="{height}" stroke="{colour}"/>')
        parts.append(f'<text x="{x(value)}" y="12" text-anchor="middle">{escape(text)}</text>')
    for number, (engine, drop) in enumerate(shown):
        y = _ROW * (number + 1) + 8
        parts.append(f'<text x="0" y="{y + 4}">{escape(engine)}</text>')
        span = f'x1="{x(drop.low)}" x2="{x(drop.high)}" y1="{y}" y2="{y}"'
        parts.append(f'<line {span} stroke="#0969da" stroke-width="4"/>')
        parts.append(f'<circle cx="{x(drop.mean)}" cy="{y}" r="6" fill="#0969da"/>')
    return "\n".join([*parts, "</svg>"])
