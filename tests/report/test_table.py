from __future__ import annotations

import subprocess
import sys

import pytest

from edgeroberta.report import Column, Table, html

WORDS = Column("engine", right=False)
TABLE = Table(
    (WORDS, Column("p50", "ms"), Column("status", right=False)),
    (("onnxruntime", "1.50", ""), ("open|vino <2>", "12.25", "ok")),
    ("One *note*.", "Two."),
)


def test_words_are_set_flush_left_and_numbers_flush_right():
    assert TABLE.text().splitlines() == [
        "engine         p50 ms  status",
        "onnxruntime      1.50",
        "open|vino <2>   12.25  ok",
        "",
        "One *note*.",
        "Two.",
    ]


def test_markdown_says_how_columns_are_set_and_has_no_markup_of_a_cell():
    assert TABLE.markdown().splitlines() == [
        "| engine | p50 ms | status |",
        "| --- | ---: | --- |",
        "| onnxruntime | 1.50 |  |",
        r"| open\|vino \<2\> | 12.25 | ok |",
        "",
        r"- One \*note\*.",
        "- Two.",
    ]


def test_cells_that_are_markdown_already_are_left_as_they_are():
    assert "| **missed** |" in Table.of(["verdict"], [["**missed**"]]).markdown(escape=str)


def test_a_page_and_a_notebook_show_the_same_table_without_markup_or_controls_of_a_cell():
    shown = html(Table.of(["", "n"], [["<b>\x1b[2J", "1"]]))
    assert '<th class="number">n</th>' in shown
    assert r'<td>&lt;b&gt;\x1b[2J</td><td class="number">1</td>' in shown
    assert TABLE._repr_html_() == html(TABLE)
    assert "<p>One *note*.</p>" in html(TABLE)


def test_control_characters_of_a_cell_stay_in_their_line():
    assert Table.of(["name"], [["a\nb\x1b"]]).text() == r"name" + "\n" + r"a\nb\x1b"


@pytest.mark.parametrize("row", [(), ("a",), ("a", "b", "c")])
def test_rows_of_other_lengths_are_refused(row):
    with pytest.raises(ValueError, match=f"a row of {len(row)} cells for 2 columns"):
        Table.of(("one", "two"), [row])


def test_text_and_markdown_need_no_jinja2_and_html_says_what_to_install():
    code = """
import sys
sys.modules["jinja2"] = None
from edgeroberta.errors import UnavailableError
from edgeroberta.report import Table
table = Table.of(["a"], [["b"]])
assert table.text() and table.markdown()
try:
    table._repr_html_()
except UnavailableError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        "rendering a template needs the package 'jinja2', which is not installed",
        "  next: pip install 'edgeroberta[compress]'",
    ]
