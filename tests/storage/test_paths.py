from __future__ import annotations

from pathlib import Path

import pytest

from edgeroberta.errors import UsageError
from edgeroberta.storage.paths import named


def test_home_is_filled_in_and_other_paths_stay(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named("~/x.csv") == tmp_path / "x.csv"
    assert named("a/b.csv") == Path("a/b.csv")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a" * 300, "no path that can be looked at (File name too long)"),
        ("~no-such-user/x", "no path that is known (Could not determine home directory.)"),
    ],
)
def test_what_can_be_no_path_is_refused(name, what):
    with pytest.raises(UsageError) as caught:
        named(name)
    assert (caught.value.what, caught.value.where) == (what, name)
