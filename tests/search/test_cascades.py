"""Cascades as candidates of a budget, on the table of round numbers of :mod:`test_shapes`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fake_latency
import numpy as np
import pytest

from edgeroberta import metrics
from edgeroberta.latency.calltimes import CallTimes
from edgeroberta.metrics import Interval
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.search import candidate_recipes
from edgeroberta.search.candidate_recipes import CandidateSettings
from edgeroberta.search.candidates import BundleSize, Candidate, PredictedResult
from edgeroberta.search.cascades import CascadeSearch, agreement
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.probing import ShortDistillation, pick
from edgeroberta.search.shapes import RESERVE, ShapeSearch, equal
from edgeroberta.tasks import Outputs, Problem, Task

SHAPE = EncoderShape(1000, 64, 16, 66, 1, 2, (LayerShape(4, 256),) * 6)
FOOTPRINT = BundleSize(copies=1, tokenizer=100_000)
TASK = Task(Problem.SINGLE_LABEL, ("a", "b"))


def search(limits: BudgetLimits, task: Task = TASK, texts: int = 10_000) -> CascadeSearch:
    """A layer takes 1 ms and a call 0.1; the baseline 24.1 ms in float and 6.1 ms in int8."""
    table = fake_latency.round_table(SHAPE)
    return CascadeSearch(ShapeSearch(equal(SHAPE), table, (8, 16, 32), limits, FOOTPRINT), task, texts)


def layers(found: Any) -> list[int]:
    return [len(candidate.layers) for candidate in found]


def answers(rows: int, *, wrong: int) -> tuple[Outputs, Outputs]:
    """Outputs of a student and a teacher: the student is surer with each row, and wrong on the first ones."""
    teacher = np.tile(np.array([[0, 3]], np.float32), (rows, 1))
    student = np.zeros((rows, 2), np.float32)
    student[:, 1] = 1 + np.arange(rows) / rows
    student[:wrong] = student[:wrong, ::-1]
    return Outputs.of_texts(student), Outputs.of_texts(teacher)


def test_students_leave_time_for_the_baseline():
    """3.8 ms are aimed at: two layers leave time for a fifth of the texts, and one for two fifths."""
    assert layers(search(BudgetLimits(speedup=6)).students()) == [2, 1]
    assert layers(search(BudgetLimits(speedup=12)).students()) == []


@pytest.mark.parametrize(
    ("limits", "task", "texts"),
    [
        (BudgetLimits(speedup=6), replace(TASK, problem=Problem.EMBEDDING, labels=(), dimensions=8), 10_000),
        (BudgetLimits(speedup=6, keep=1.0), TASK, 10_000),
        (BudgetLimits(speedup=6), TASK, 500),
    ],
    ids=["answers without a confidence", "a promise that nothing keeps", "too few texts for the thresholds"],
)
def test_without_a_promise_there_is_no_cascade(limits, task, texts):
    assert search(limits, task, texts).students() == ()


def test_a_cascade_is_as_fast_as_its_mean_and_its_tail_is_that_of_both_models():
    found = search(BudgetLimits(speedup=6))
    (student, _) = found.students()
    predicted = found.predict(student, 0.2)
    assert predicted.times == CallTimes(*(pytest.approx(each) for each in (3.3e-3, 2.1e-3, 8.1e-3, 8.1e-3)))
    assert predicted.speedup == pytest.approx(24.1 / 3.3)
    single = found.space.of_layers(6).predicted.bytes
    assert single < predicted.bytes < 2 * single - FOOTPRINT.tokenizer


@pytest.mark.parametrize("limits", [BudgetLimits(speedup=6, p99=0.006), BudgetLimits(speedup=6, p95=0.006)])
def test_a_limit_on_the_tail_excludes_a_cascade_whose_tail_breaks_it(limits):
    """The student and the baseline together take 8.1 ms, the student alone 2.1."""
    assert search(limits).students() == ()
    assert search(replace(limits, p95=limits.p95 and 0.01, p99=limits.p99 and 0.01)).students()


def test_so_many_bytes_as_two_models_have_must_be_allowed():
    found = search(BudgetLimits(speedup=6))
    size = found.predict(found.students()[0], 0.2).bytes
    assert layers(search(BudgetLimits(speedup=6, bytes=int(size / (1 - RESERVE)) + 2)).students()) == [2, 1]
    assert layers(search(BudgetLimits(speedup=6, bytes=int(size * 0.9))).students()) == []


def test_a_student_is_asked_as_far_as_the_promise_goes():
    """Of 1,000 texts it is wrong in the 150 of which it is least sure; ten of these may be its own."""
    found = search(BudgetLimits(speedup=6))
    student, teacher = answers(1000, wrong=150)
    joined, outputs = found.join(found.students()[0], student, teacher, None)
    assert joined.escalated == pytest.approx(0.14, abs=0.001)
    assert metrics.agrees(TASK, teacher, outputs).mean() == pytest.approx(0.99, abs=0.001)
    assert joined.predicted == found.predict(joined, joined.escalated)
    assert joined.name == "cascade: 2 layers, then all"
    assert joined.to_json()["escalated"] == joined.escalated


def test_a_student_that_would_be_asked_in_vain_too_often_makes_no_cascade():
    found = search(BudgetLimits(speedup=6))
    assert found.join(found.students()[0], *answers(1000, wrong=400), None) is None
    assert found.join(found.students()[0], *answers(1000, wrong=1000), None) is None


def test_what_is_kept_of_the_metric_raises_the_promise():
    assert [agreement(BudgetLimits(keep=keep)) for keep in (0.9, 0.99, 0.995)] == [0.99, 0.99, 0.995]


def test_cascades_are_compared_with_single_models_by_their_mean():
    single = Candidate((0,), (), None, PredictedResult(CallTimes(1.1, 1.0, 2, 3), 4.0, 1.0), 0.7, True)
    quick = PredictedResult(CallTimes(1.5, 0.5, 4, 5), 3.0, 2.0)
    cascade = replace(single, predicted=quick, escalated=0.3)
    best, tied = ShortDistillation(cascade, 0.99, 0.9), Interval(0.01, -0.005, 0.025)
    assert pick((best, ShortDistillation(single, 0.98, 0.9, tied))).candidate is single
    faster = replace(single, predicted=replace(quick, times=CallTimes(1.7, 1.6, 2, 3)))
    assert pick((best, ShortDistillation(faster, 0.98, 0.9, tied))).candidate is cascade


def test_the_recipe_of_a_cascade_has_a_student_and_the_baseline_as_tiers(tmp_path):
    found = search(BudgetLimits(speedup=6, keep=0.995))
    student = replace(found.students()[0], escalated=0.2)
    base = CandidateSettings({"epochs": 1}, {"samples": 64}, {}, {"latency_rows": 5})
    made = candidate_recipes.write(student, found.space.limits, base, tmp_path / "recipe.yaml", share=False)
    cascade, verify, bundle = made.stages
    assert [step.stage.name for step in (cascade, verify, bundle)] == ["cascade", "verify", "bundle"]
    assert cascade.config.agreement == 0.995
    tiers = {tier.name: [step.stage.name for step in tier.steps] for tier in cascade.tiers}
    assert tiers == {
        "student": ["distill", "export", "quantize", "build"],
        "int8": ["export", "quantize", "build"],
    }
    assert list(cascade.tiers[0].steps[0].config.layers) == list(student.layers)
    assert verify.config.gate.min_kept == 0.995
