from __future__ import annotations

import numpy as np

from edgeroberta.progress import Progress
from edgeroberta.quantization import fp32_fallback as budget
from edgeroberta.tasks import Outputs

SITES = ("a", "b", "c")
EXACT = Outputs.of_texts(np.zeros((100, 2), np.float32))
#: What each matmul in int8 adds to the error of the logits, and the answers it changes.
HARM = {"a": (0.01, 0), "b": (0.5, 6), "c": (0.2, 3)}


class Model:
    def __init__(self) -> None:
        self.measured: list[frozenset[str]] = []

    def measure(self, fp32_fallback: frozenset[str], texts: int) -> Outputs:
        self.measured.append(fp32_fallback)
        logits = EXACT.values[:texts].copy()
        changed = sum(HARM[s][1] for s in SITES if s not in fp32_fallback)
        logits[:, 0] = sum(HARM[s][0] for s in SITES if s not in fp32_fallback)
        logits[:changed, 1] = 1
        return Outputs.of_texts(logits)


def same(a: Outputs, b: Outputs) -> float:
    return float((a.values[:, 1] == b.values[:, 1]).mean())


def fit(min_agreement: float, max_float: int) -> tuple[budget.FallbackResult, Model]:
    model = Model()
    found = budget.fall_back_to_fp32(
        model.measure,
        same,
        EXACT,
        SITES,
        min_agreement=min_agreement,
        max_float=max_float,
        progress=Progress(),
    )
    return found, model


def test_a_graph_within_the_budget_is_measured_once_and_stays_int8():
    found, model = fit(0.9, 2)
    assert (found.fp32_fallback, found.within_budget, len(model.measured)) == ({}, True, 1)
    assert found.agreement == 0.91


def test_the_worst_matmul_is_put_back_and_no_more_than_needed():
    found, _ = fit(0.95, 2)
    assert list(found.fp32_fallback) == ["b"]
    assert (
        found.fp32_fallback["b"] == "int8 kept 91.0 % of the answers, under 95.0 %; float here brings 97.0 %"
    )
    assert found.within_budget


def test_a_second_one_follows_when_the_first_does_not_suffice():
    found, _ = fit(0.99, 2)
    assert list(found.fp32_fallback) == ["b", "c"]
    assert found.agreement == 1.0


def test_a_budget_that_cannot_be_met_says_so_and_keeps_the_best():
    found, _ = fit(0.99, 1)
    assert (list(found.fp32_fallback), found.within_budget, found.agreement) == (["b"], False, 0.97)


def test_a_budget_that_all_matmuls_together_cannot_meet_ends_when_none_is_left():
    found, _ = fit(1.01, 10)
    assert (sorted(found.fp32_fallback), found.within_budget, found.agreement) == (
        ["a", "b", "c"],
        False,
        1.0,
    )
