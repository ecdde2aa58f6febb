from __future__ import annotations

import pytest

from benchmarks import page
from benchmarks.page import SERVER, WASM, Measured
from edgeroberta.errors import UsageError

#: What a page kept to its promises says: visits, then answers of two rounds.
GOOD = {"first": [9.0, 0.5, 0.7], "typed": [40.0, 50.0, 60.0, 45.0, 55.0], "asked": [10.0] * 5, "keys": 6}


def found(**other: object) -> dict[str, float]:
    return dict(page.row(WASM, Measured(**{**GOOD, **other})).values)


def test_the_first_visit_is_told_apart_from_the_others():
    values = found()
    assert values["first answer, first visit, s"] == 9.0
    assert values["first answer, later visits, s"] == pytest.approx(0.6)
    assert values["slowest of them, s"] == 0.7
    assert (values["key to answer, p50 ms"], values["sending to answer, p50 ms"]) == (50.0, 10.0)
    assert (values["keys"], values["answers"], values["errors in the console"]) == (6, 5, 0)


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        ({}, [True, True, True]),
        ({"first": [9.0, 0.5, 3.1]}, [False, True, True]),
        ({"typed": [61.0] * 5}, [True, False, True]),
        ({"errors": ["404"]}, [True, True, False]),
    ],
)
def test_the_page_in_webassembly_is_held_to_each_promise(other, kept):
    rows = [page.row(WASM, Measured(**{**GOOD, **other})), page.row(SERVER, Measured(**GOOD))]
    assert [check.ok for check in page.checks(rows)] == [*kept, True]


def test_the_server_is_held_to_a_quiet_console_alone():
    slow = Measured(**{**GOOD, "first": [9.0, 9.0], "typed": [100.0] * 5, "errors": ["no"]})
    checks = page.checks([page.row(WASM, Measured(**GOOD)), page.row(SERVER, slow)])
    assert [check.ok for check in checks] == [True, True, True, False]


def test_packages_that_are_not_there_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "EXAMPLE", tmp_path)
    with pytest.raises(UsageError) as caught, page.example(tmp_path):
        pass
    assert "npm ci" in caught.value.hint


def test_a_missing_browser_is_named(monkeypatch):
    monkeypatch.setattr(page.chromium, "find", lambda: None)
    with pytest.raises(UsageError) as caught:
        page.measured({}, [], 1)
    assert caught.value.hint == "apt install chromium"
