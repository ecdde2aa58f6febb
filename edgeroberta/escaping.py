"""Texts of others, made safe where they are shown: on a terminal, in Markdown, in HTML.

Standard library only: this module is imported on the device.
"""

from __future__ import annotations

import re

#: Characters that steer a terminal or turn the direction of a line: C0 and C1 controls but tab and line feed,
#: the separators of lines and paragraphs, bidirectional marks, and halves of surrogate pairs.
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: What GitHub Markdown may take for markup; an underscore inside a word is none.
_MARKUP = re.compile(r"[\\`*<>\[\]|~&]|(?<!\w)_|_(?!\w)")


def plain(text: str) -> str:
    r"""Write control characters as escapes such as ``\x1b``; tabs and line feeds stay.

    Returns a text that a terminal only shows.
    """
    return _CONTROL.sub(_escaped, text)


def one_line(text: str) -> str:
    r"""Write control characters as escapes, and tabs and line feeds, too: a name stays in its line."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def plain_json(text: str) -> str:
    r"""Write control characters in serialized JSON as its own escapes, ``\u001b``; it means the same."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def markdown(text: str) -> str:
    """Make a text safe in Markdown, also inside a table: no markup of its own, no pipes, one line."""
    return " ".join(_MARKUP.sub(r"\\\g<0>", plain(text)).split())


def code(text: str) -> str:
    """Return a text as inline code of Markdown, whatever backticks are in it."""
    shown = one_line(text)
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _escaped(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
