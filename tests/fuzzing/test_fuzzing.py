"""Damaged inputs of every kind: each is read, or refused in few words with an error that has a code."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest

from edgeroberta.errors import EdgeRobertaError
from fuzzing import inputs
from fuzzing.harness import TOLD, Case, judge
from fuzzing.mutation import Verbatim, damaged, document, dumps
from fuzzing.run import cases

# 500 in ten parts, so that the processes of the tests share them.
PART, PARTS = 50, 10


@pytest.mark.parametrize("part", range(PARTS))
def test_no_damaged_input_is_an_unexpected_error(tmp_path, part):
    wrong = {
        case.name: found for case in cases(1, PART, tmp_path, first=part * PART) if (found := judge(case))
    }
    assert not wrong


@pytest.mark.slow
def test_no_damaged_input_of_five_thousand_is_an_unexpected_error(tmp_path):
    wrong = {case.name: found for case in cases(2, 5_000, tmp_path) if (found := judge(case))}
    assert not wrong


def test_an_input_is_the_same_whenever_it_is_made(tmp_path):
    def content(folder: Path) -> list[tuple[str, dict[str, bytes]]]:
        folder.mkdir()
        made = cases(3, 12, folder)
        return [
            (
                case.name,
                {file.name: file.read_bytes() for file in sorted(case.folder.iterdir()) if file.is_file()},
            )
            for case in made
        ]

    assert content(tmp_path / "first") == content(tmp_path / "second")


def _case(folder: Path, run) -> Case:
    return Case("x", folder, run)


def test_what_is_wrong_is_seen(tmp_path, monkeypatch):
    def fail(error: BaseException):
        def run() -> None:
            raise error

        return run

    def leave() -> None:
        (tmp_path / "left").touch()

    def spin() -> None:
        while True:
            pass

    assert judge(_case(tmp_path, lambda: None)) is None
    assert judge(_case(tmp_path, fail(EdgeRobertaError("no")))) is None
    assert judge(_case(tmp_path, fail(SystemExit(2)))) is None
    assert "ValueError" in str(judge(_case(tmp_path, fail(ValueError("odd")))))
    assert "left with" in str(judge(_case(tmp_path, fail(SystemExit(77)))))
    assert "without a code or a reason" in str(judge(_case(tmp_path, fail(EdgeRobertaError("")))))
    assert "characters" in str(judge(_case(tmp_path, lambda: print("x" * (TOLD + 1), file=sys.stderr))))
    assert "unexpected" in str(
        judge(_case(tmp_path, lambda: print("error: unexpected KeyError: 1", file=sys.stderr)))
    )
    assert "left behind" in str(judge(_case(tmp_path, leave)))
    monkeypatch.setattr("fuzzing.harness.SECONDS", 0.1)
    assert "took more than" in str(judge(_case(tmp_path, spin)))


def test_odd_values_come_through_as_they_are_written():
    assert dumps({"a": [Verbatim("1e999"), Verbatim("[[")]}) == '{"a": [1e999, [[]}'


def test_damage_changes_what_it_damages():
    rng = Random(0)
    sound = {"a": [1, 2, {"b": "c"}], "d": None}
    assert sum(document(rng, sound) != sound for _ in range(50)) > 35
    assert sound == {"a": [1, 2, {"b": "c"}], "d": None}
    assert sum(damaged(rng, b"some bytes") != b"some bytes" for _ in range(50)) > 40


def test_every_kind_is_among_the_inputs():
    made = {Random(f"1 {number}").choice(inputs.KINDS).__name__ for number in range(PART * PARTS)}
    assert made == {make.__name__ for make in inputs.KINDS}
