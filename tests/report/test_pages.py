"""Pages need nothing else, and no text of somebody's can make anything but text of them."""

from __future__ import annotations

import colorsys
import re
import string
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree

import example_reports
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from page_reader import PageReader, check_policy, skeleton

from edgeroberta import escaping
from edgeroberta.evaluation.result import Report
from edgeroberta.report import pages
from edgeroberta.report.listing import ROOM, listing
from edgeroberta.report.verification import page
from edgeroberta.tasks import Problem

pytest.importorskip("jinja2")

HOSTILE = (
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "<!-- --><svg onload=alert(1)>]]>",
    "{{ 7 * 7 }}{% raw %}&lt;b&gt;&#60;",
    "\x00\x1b[2J\x9b\u202e\u2066\u2028\ud800\r",
    "`|*_~\\n</td></tr></table><h1>",
)
#: Longer than a text that is cut.
LONG = 60
PARTS = st.sampled_from([*HOSTILE, *string.punctuation, "a", " ", "\n", "\t", "é", "שלום", "😀"])
TEXTS = st.one_of(st.lists(PARTS, max_size=8).map("".join), st.text(max_size=40))


@cache
def plain(problem: Problem) -> str:
    return page(example_reports.make(problem, rows=60, labels=("aa", "bb", "cc"), name="-"))


@pytest.mark.parametrize("problem", Problem)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=TEXTS)
@example(text="".join(HOSTILE))
def test_texts_labels_and_names_never_become_markup(problem, text):
    """The elements and attributes are those of a page whose texts are harmless, in the same order."""
    report = example_reports.make(problem, rows=60, labels=("aa", "bb", "cc"), name=f"-{text}")
    shown = page(report)
    read = PageReader(shown)
    assert skeleton(read) == skeleton(PageReader(plain(problem)))
    assert read.raw == PageReader(plain(problem)).raw
    assert not read.odd
    assert escaping.plain(shown) == shown
    check_policy(read)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_was_written_is_what_is_read(text):
    report = example_reports.make(rows=40, name=text)
    words = "".join(PageReader(page(report)).words).replace("\r", "")
    for flip in report.flips:
        assert escaping.plain(flip.text) in words


def test_a_page_of_ten_thousand_rows_with_a_thousand_long_changed_answers_is_below_a_megabyte():
    report = example_reports.make(rows=10_000, wrong=0.1, long=60)
    assert 1000 < len(report.flips) < 1300
    shown = page(report)
    assert len(shown.encode()) < 1_000_000
    assert len(re.findall("<tr><td>", shown)) > len(report.flips)
    assert "are cut to" not in shown
    long = page(example_reports.make(rows=10_000, wrong=0.1, long=1000, name="<&>" * 20))
    assert len(long.encode()) < 1_000_000
    assert "Texts are cut to" in long


def test_a_listing_cuts_texts_before_it_leaves_rows_out():
    few = listing(("a", "b", "text"), [("x", "y", "&" * 3000)] * 100, (0, 1), texts=True)
    assert (few.cut, few.left_out, len(few.rows)) == (1000, 0, 100)
    assert {len(row[2]) for row in few.rows} == {1000}
    many = listing(("a", "b", "text"), [("x" * 40, "y" * 40, "&" * 40)] * 30_000, (0, 1), texts=True)
    assert (many.cut, many.left_out + len(many.rows)) == (100, 30_000)
    assert sum(len("".join(row).replace("&", "&amp;")) for row in many.rows) < ROOM
    assert many.choices == ((f"{'x' * 40} → {'y' * 40}", len(many.rows)),)
    different = listing(("a", "b"), [(str(row), "y") for row in range(9)], (0, 1))
    assert different.choices == ()


def test_only_a_page_with_rows_to_search_has_a_script():
    report = example_reports.make(rows=50)
    with_rows, without = (PageReader(page(each)) for each in (report, replace(report, flips=())))
    for read in (with_rows, without):
        check_policy(read)
    assert "script" in with_rows.tags
    assert "script" not in without.tags
    assert "hidden" in dict(next(attrs for tag, attrs in with_rows.elements if ("id", "search") in attrs))


def test_every_drawing_has_a_name_and_a_sentence():
    for problem in Problem:
        read = PageReader(page(example_reports.make(problem, rows=60)))
        drawings = [dict(attrs) for tag, attrs in read.elements if tag == "svg"]
        assert len(drawings) >= 4
        for each in drawings:
            assert each["role"] == "img"
            assert each["aria-label"]
        assert read.tags.count("figcaption") == read.tags.count("figure")


def bare(report: Report) -> Report:
    """Leave out what reports of version 0.9 did not have."""
    old = {
        "answers": None,
        "flips": tuple(replace(flip, confidence=None) for flip in report.flips[:10]),
        "baseline": {**report.baseline, "latency": {**report.baseline["latency"], "quantiles_ms": ()}},
        "engines": tuple(
            replace(each, latency=replace(each.latency, quantiles_ms=())) for each in report.engines
        ),
    }
    return replace(report, **old)


def test_what_a_report_does_not_have_leaves_no_empty_frame():
    report = example_reports.make(rows=80)
    shown = page(bare(report))
    for title in ("The answers of both models", "How long texts take"):
        assert f"<h2>{title}</h2>" in page(report)
        assert title not in shown
    empty = page(replace(bare(report), linear_ops=(), per_stage=None, flips=(), engines=()))
    assert "<svg" not in empty
    assert "<figure" not in empty


COLOUR = re.compile(r"--(\w+): (#[0-9a-f]{3,6})")


def luminance(colour: str) -> float:
    """As WCAG 2.2 has it."""
    digits = colour.lstrip("#")
    digits = "".join(2 * each for each in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_texts_and_drawings_can_be_told_from_what_is_behind_them_in_both_schemes():
    light, dark = pages._source("page.css").split("@media", 2)[:2]
    for colours in (dict(COLOUR.findall(light)), dict(COLOUR.findall(dark))):
        assert len(colours) == 14
        for name in ("ink", "soft", "pass", "fail", "open"):
            for behind in ("paper", "head") if name in ("ink", "soft") else ("paper",):
                assert contrast(colours[name], colours[behind]) >= 4.5, name
        assert contrast(colours["ink"], colours["heat"]) >= 4.5  # the strongest colour of a cell
        for name in ("s0", "s1", "s2", "s3", "axis"):
            assert contrast(colours[name], colours["paper"]) >= 3, name


#: How linear RGB is seen without one kind of cones (Machado, Oliveira and Fernandes, 2009).
BLIND = {
    "protan": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deutan": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
}


def test_series_differ_by_colour_for_the_colour_blind_and_by_dashes_in_print():
    style = pages._source("page.css")
    light, dark = style.split("@media", 2)[:2]
    for colours in (dict(COLOUR.findall(light)), dict(COLOUR.findall(dark))):
        first, second = (colours[name] for name in ("s0", "s1"))
        for matrix in BLIND.values():
            seen = [
                [sum(a * b for a, b in zip(row, linear(colour), strict=True)) for row in matrix]
                for colour in (first, second)
            ]
            hues = [colorsys.rgb_to_hsv(*(min(1, max(0, each)) for each in one))[0] for one in seen]
            assert abs(hues[0] - hues[1]) > 0.2
    dashes = re.findall(r"\.line\.s(\d) \{ stroke-dasharray: ([\d ]+); \}", style)
    assert [number for number, _ in dashes] == ["1", "2", "3"]
    assert len({dash for _, dash in dashes}) == 3


def linear(colour: str) -> list[float]:
    return [(int(colour[place : place + 2], 16) / 255) ** 2.2 for place in (1, 3, 5)]


def test_a_drawing_is_a_file_of_its_own_with_the_style_of_pages():
    found = ElementTree.fromstring(pages.picture('<svg class="plot"><line class="grid"/></svg>'))
    assert found.tag == "{http://www.w3.org/2000/svg}svg"
    assert found.attrib == {"class": "plot"}
    style, line = found
    assert "svg .grid" in (style.text or "")
    assert line.attrib == {"class": "grid"}
