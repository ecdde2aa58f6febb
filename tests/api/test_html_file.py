from __future__ import annotations

import sys

import pytest

from edgeroberta.api import html_file
from edgeroberta.errors import UnavailableError, UsageError
from edgeroberta.report import rendering


def test_a_place_for_a_page_is_checked(tmp_path):
    assert html_file.checked(None) is None
    assert html_file.checked(str(tmp_path / "bench.html")) == tmp_path / "bench.html"
    (tmp_path / "folder.html").mkdir()
    for name in ("rows.csv", "folder.html", "missing/bench.html"):
        with pytest.raises(UsageError) as caught:
            html_file.checked(tmp_path / name)
        assert (caught.value.code, caught.value.where) == ("usage", "--html")


def test_without_jinja2_a_page_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    rendering._environment.cache_clear()
    with pytest.raises(UnavailableError) as caught:
        html_file.checked(tmp_path / "bench.html")
    assert caught.value.code == "unavailable.extra"


def test_a_page_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch):
    assert html_file.write(tmp_path / "a.html", "x") == f"written to {tmp_path / 'a.html'}"

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeroberta.storage.artifact.write_text", full)
    assert html_file.write(tmp_path / "b.html", "x").startswith("warning: ")
