from __future__ import annotations

from edgeroberta.errors import EdgeRobertaError, shortened


def test_a_text_that_is_short_enough_stays_as_it_is():
    assert shortened("x" * 10, 10) == "x" * 10


def test_of_a_long_text_both_ends_are_shown():
    assert shortened("start" + "x" * 1_000 + "end", 10) == "start … 998 more characters … xxend"


def test_every_part_of_a_message_is_shortened():
    value = repr(["x"] * 100_000)
    error = EdgeRobertaError(value, where=value, hint=value)
    assert len(str(error)) < 6_200
    assert all("more characters" in str(part) for part in (error.what, error.where, error.hint))
