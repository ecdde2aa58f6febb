"""Pages that need nothing else: one file, no request, and a policy that allows none."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable
from importlib import resources

from edgeroberta.report import rendering
from edgeroberta.report.section import Section

_TEMPLATES = resources.files("edgeroberta.report") / "templates"


def page(parts: Iterable[Section], *, verdict: str = "") -> str:
    """Write sections as one HTML file; raises UnavailableError where Jinja2 is not installed.

    The browser is told to run this page's own script and style alone, by their digests, and to fetch nothing.
    ``verdict``: class of the heading.
    """
    sections = list(parts)
    style = _source("page.css")
    script = _source("search.js") if any(each.listing for each in sections) else ""
    policy = [f"style-src '{_digest(style)}'", *([f"script-src '{_digest(script)}'"] if script else [])]
    return rendering.render(
        "page.html.j2",
        sections=sections,
        verdict=verdict,
        style=style,
        script=script,
        policy="; ".join(["default-src 'none'", *policy, "base-uri 'none'", "form-action 'none'"]),
    )


def picture(drawing: str) -> str:
    """Make a file of its own of a drawing of a page: it brings the style of pages along."""
    style = f"<style>{_source('page.css')}\nsvg {{ background: var(--paper); }}\n</style>"
    head, rest = drawing.split(">", 1)
    return head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + f">\n{style}{rest}"


@functools.cache
def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
