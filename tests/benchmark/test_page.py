from __future__ import annotations

from dataclasses import replace

import fake_tables
import pytest
from page_reader import PageReader, check_policy, skeleton

from edgeroberta import escaping
from edgeroberta.benchmark import page
from edgeroberta.benchmark.comparison import Comparison
from edgeroberta.measure.clock import CallShape, summarise
from edgeroberta.measure.protocol import RowStatus

pytest.importorskip("jinja2")

HOSTILE = "</script><img src=x onerror='alert(1)'>\"&\u202e\x1b"


def comparison(name: str = "") -> Comparison:
    """A table of a baseline, two engines and one that answers wrong."""
    found = fake_tables.comparison()
    (row,) = found.rows[:1]
    times = (
        ("baseline", 0.01, 0.9),
        ("bundle", 0.001, 0.88),
        ("bundle", 0.0012, 0.89),
        ("bundle", 0.0005, 0.2),
    )
    rows = [
        replace(
            row,
            name=kind,
            engine=f"engine {number}{name}",
            latency=summarise([[seconds, seconds * 1.2] * 30] * 3, CallShape(warmup=9)),
            metric=metric,
            bytes=30_000_000,
            peak_bytes=90_000_000,
            status=RowStatus.WRONG if metric < 0.5 else RowStatus.OK,
        )
        for number, (kind, seconds, metric) in enumerate(times)
    ]
    return replace(found, rows=tuple(rows), notes=(f"odd{name}",))


def test_a_page_draws_times_front_memory_and_size_and_has_all_tables():
    read = PageReader(page.page("demo", [(None, comparison())]))
    check_policy(read)
    drawings = [dict(attrs)["aria-label"] for tag, attrs in read.elements if tag == "svg"]
    assert drawings == [
        "Median time of a call, row by row",
        "Share of the calls that is answered, by time",
        f"{comparison().metric} against latency, p50",
        "Size on disk, row by row",
        "Peak memory, row by row",
    ]
    words = "".join(read.words)
    assert "Benchmark of demo" in words
    assert "mean 95 %" in words  # of the second table
    assert "script" not in read.tags


def test_what_answers_wrong_is_told_and_is_no_point_of_the_front():
    shown = page.page("demo", [(None, comparison())])
    front = shown[shown.index("against latency") :]
    front = front[: front.index("</svg>")]
    assert "engine 2" in front
    assert "engine 3" not in front
    assert shown.count('class="dot bad"') == 3  # its time, size and memory
    assert ", wrong" in shown


def test_hosts_have_sections_of_their_own():
    shown = page.page("demo", [("board", comparison()), ("user@other", comparison())])
    assert "<h2>What was measured on board</h2>" in shown
    assert "<h2>What was measured on user@other</h2>" in shown
    assert "<h1" in shown


def test_what_was_not_measured_leaves_no_empty_frame():
    rows = [
        replace(each, latency=None, bytes=None, peak_bytes=None, status=RowStatus.MISSING)
        for each in comparison().rows
    ]
    read = PageReader(page.page("demo", [(None, replace(comparison(), rows=tuple(rows)))]))
    assert not {"svg", "figure"} & set(read.tags)


def test_names_never_become_markup():
    shown = page.page(HOSTILE, [(HOSTILE, comparison(HOSTILE))])
    read = PageReader(shown)
    assert skeleton(read) == skeleton(PageReader(page.page("x", [("y", comparison("z"))])))
    assert escaping.plain(shown) == shown
    check_policy(read)
