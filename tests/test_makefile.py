"""The Makefile: which tests each of its targets runs."""

from __future__ import annotations

import re
from pathlib import Path

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def test_every_test_is_run_by_exactly_one_target() -> None:
    rules = re.findall(
        r"^(test[a-z-]*):.*\n\t.*pytest -m '?([^'\n]+)", MAKEFILE.read_text(encoding="utf-8"), re.M
    )
    runs = {
        target: [(slow, far) for slow in (0, 1) for far in (0, 1) if _chosen(mark, slow, far)]
        for target, mark in rules
    }
    assert runs == {"test": [(0, 0)], "test-slow": [(1, 0)], "test-optimum": [(0, 1), (1, 1)]}


def _chosen(mark: str, slow: int, interchange: int) -> bool:
    return bool(eval(mark, {"slow": slow, "interchange": interchange}))
