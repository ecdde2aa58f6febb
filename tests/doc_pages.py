"""Reads the documents of this repository: fenced blocks, commands, headings, tabs."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Pages for users, those of GitHub included.
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *DOCS.rglob("*.md")])
#: Pages that show each command beside its Python call.
GUIDES = sorted([DOCS / "quickstart.md", *(DOCS / "guides").glob("*.md")])

_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_TABS = re.compile(r'^=== "Command line"\n\n(.+?)\n=== "Python"\n\n(.+?)(?=^\S|\Z)', re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Tabs:
    """A command line and the Python call beside it."""

    commands: tuple[str, ...]
    code: str


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    """Return a page's name for the names of tests."""
    return str(page.relative_to(ROOT))


def blocks(source: str, *languages: str) -> list[str]:
    """Return the fenced blocks of some languages, also those inside tabs."""
    return [textwrap.dedent(body) for _, language, body in _FENCE.findall(source) if language in languages]


def commands(source: str) -> list[str]:
    """Return every command after a ``$``; a backslash joins lines."""
    lines = [
        line
        for block in blocks(source, "console", "sh", "bash")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [line[2:].split(" #")[0].strip() for line in lines if line.startswith("$ ")]


def tabs(source: str) -> list[Tabs]:
    """Return what stands in tabs."""
    return [
        Tabs(tuple(commands(line)), "\n".join(blocks(code, "python"))) for line, code in _TABS.findall(source)
    ]


def anchors(source: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    prose = _FENCE.sub("", source)
    return {
        re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(prose)
    }
