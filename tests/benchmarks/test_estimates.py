from __future__ import annotations

import pytest

from benchmarks import estimates, tables
from benchmarks.results import Row


def test_an_interval_is_that_of_student_s_t():
    found = estimates.estimate("accuracy %", [80.0, 82.0, 84.0])
    assert (found.mean, found.seeds) == (82.0, (80.0, 82.0, 84.0))
    assert found.half_width == pytest.approx(4.303 * 2 / 3**0.5, abs=1e-4)
    assert estimates.estimate("accuracy %", [80.0]).half_width is None


def test_a_difference_is_taken_seed_by_seed():
    found = estimates.difference("d", [10.0, 20.0, 30.0], [9.0, 19.0, 29.0])
    assert (found.mean, found.half_width) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("seeds", "expected", "said"),
    [
        ([1.0, 1.1, 1.2], 1, "yes"),
        ([1.0, 1.1, 1.2], -1, "no"),
        ([1.0, -1.1, 1.2], 1, "within noise"),
        ([5.0], 1, "one seed cannot tell"),
    ],
)
def test_an_order_is_seen_only_outside_the_interval(seeds, expected, said):
    assert estimates.order(estimates.estimate("d", seeds), expected=expected) == said


def test_estimates_stand_in_a_line_with_what_is_said_of_them():
    rows = [
        Row(name="a", title="one", values=(("steps", 3.0),), estimates=(estimates.estimate("ppl", [9.5]),)),
        Row(
            name="b",
            title="other",
            estimates=(estimates.estimate("ppl", [10.0, 10.2, 10.4]),),
            words=(("order", "yes"),),
        ),
    ]
    assert tables._laid(rows).splitlines() == [
        "|  | ppl | steps | order |",
        "| --- | ---: | ---: | ---: |",
        "| one | 9.50 | 3.00 | – |",
        "| other | 10.20 ± 0.50 | – | yes |",
    ]


@pytest.mark.parametrize(
    ("seeds", "cell"),
    [([1000.0, 1040.0], "1020 ± 254"), ([50.0, 50.3], "50.1 ± 1.9"), ([50.0, 50.001], "50.00 ± 0.01")],
)
def test_as_many_digits_are_shown_as_the_interval_tells(seeds, cell):
    assert estimates.cell(estimates.estimate("n", seeds)) == cell
