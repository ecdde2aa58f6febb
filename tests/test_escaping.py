"""Texts of others on a terminal, in Markdown and in a card."""

from __future__ import annotations

import json
import logging
import re

import pytest

from edgeroberta import escaping
from edgeroberta.cli import console
from edgeroberta.progress import BarProgress, PlainProgress
from edgeroberta.report import Table

#: Clears the screen, returns, turns the direction, ends a line in Unicode, is half a surrogate pair.
HOSTILE = "\x1b[2Ja\rb\u202ec\u2028d\x9be\ud800"
SHOWN = r"\x1b[2Ja\x0db\u202ec\u2028d\x9be\ud800"


def test_control_characters_become_visible_and_other_scripts_stay():
    assert escaping.plain(HOSTILE) == SHOWN
    for text in ("two\nlines\tand a tab", "Zwölf こんにちは مرحبا 😀 – 👩‍👩‍👧"):
        assert escaping.plain(text) == text
    assert escaping.one_line("a\nb\tc") == r"a\nb\tc"


def test_json_with_control_characters_means_the_same():
    text = escaping.plain_json(json.dumps({HOSTILE: [HOSTILE, "ä"]}, indent=2, ensure_ascii=False))
    assert json.loads(text) == {HOSTILE: [HOSTILE, "ä"]}
    assert escaping.plain(text) == text
    assert "ä" in text


@pytest.mark.parametrize(
    ("text", "code"),
    [("good", "`good`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("a\nb|c", r"`a\nb|c`"), ("", "`  `")],
)
def test_inline_code_holds_whatever_is_in_it(text, code):
    assert escaping.code(text) == code


def test_markdown_of_a_text_has_no_markup_of_its_own():
    text = escaping.markdown("# [x](http://y) *b* <i> a|b\n~~c~~ &lt; _d_ snake_case \x1b")
    assert text == r"# \[x\](http://y) \*b\* \<i\> a\|b \~\~c\~\~ \&lt; \_d\_ snake_case \\x1b"


def test_nothing_that_the_command_line_prints_reaches_a_terminal_raw(capsys):
    console.out(HOSTILE)
    console.out_json({"label": HOSTILE})
    console.say(HOSTILE)
    console.set_voice()
    logging.getLogger("edgeroberta.test").warning("%s", HOSTILE[:-1])  # pytest reports it, to other processes
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert escaping.plain(text) == text
        assert text.count(r"\u202e") >= 2


def test_progress_and_tables_show_names_in_one_line(capsys):
    import sys

    for progress in (PlainProgress(sys.stderr, seconds=0), BarProgress(sys.stderr)):
        progress.line(HOSTILE)
        with progress.bar(HOSTILE, 2, "rows") as advance:
            advance(1, HOSTILE + "\n")
    shown = re.sub(r"\r|\x1b\[(?:\??\d+(?:;\d+)*)?[mKAhl]", "", capsys.readouterr().err)  # rich's own
    assert escaping.plain(shown) == shown
    assert Table.of(["a\nb", HOSTILE], [["long", "x"]], words=2).text().splitlines() == [
        rf"a\nb  {SHOWN}",
        "long  x",
    ]
