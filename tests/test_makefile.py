"""The Makefile: which tests each of its targets runs."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

from edgeroberta import recipe

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def test_every_test_is_run_by_exactly_one_target():
    rules = re.findall(
        r"^(test[a-z-]*):.*\n\t.*pytest -m '?([^'\n]+)", MAKEFILE.read_text(encoding="utf-8"), re.M
    )
    runs = {
        target: [marks for marks in itertools.product((0, 1), repeat=3) if _chosen(mark, *marks)]
        for target, mark in rules
    }
    # (slow, interchange, arm); nothing is both of the last two.
    runs = {target: [marks for marks in found if marks[1:] != (1, 1)] for target, found in runs.items()}
    assert runs == {
        "test": [(0, 0, 0)],
        "test-slow": [(1, 0, 0)],
        "test-optimum": [(0, 1, 0), (1, 1, 0)],
        "test-arm": [(0, 0, 1), (1, 0, 1)],
    }


def test_the_demo_asks_for_settings_that_there_are():
    text = MAKEFILE.read_text(encoding="utf-8")
    rule = text[text.index("\ndemo:") :].partition("\n\n")[0].replace("\\\n", "")
    arguments = shlex.split(next(line for line in rule.splitlines() if " compress " in line).split("||")[0])
    name = arguments[arguments.index("--recipe") + 1]
    settings = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--set"]
    assert recipe.load(name, settings).stages[0].stage.name == "distill"


def _chosen(mark: str, slow: int, interchange: int, arm: int) -> bool:
    return bool(eval(mark, {"slow": slow, "interchange": interchange, "arm": arm}))
