"""The gate on embeddings: pairs are drawn anew, and a cosine tells which are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeroberta.data.rows import Rows
from edgeroberta.evaluation import flips, soundness
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.gate import PairedAnswers, apply_gate
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict
from edgeroberta.tasks import Outputs, Problem, Task

TASK = Task(Problem.EMBEDDING, (), dimensions=16, pooling="mean")
PAIRS = 400
GATE = GateLimits(max_drop=0.02, min_agreement=0.9)


def outputs(noise: float, seed: int = 1, *, alike: float = 1.0) -> Outputs:
    """Embeddings of pairs of which the second is ever less alike to the first."""
    random = np.random.default_rng(0)
    first = random.normal(size=(PAIRS, 16))
    second = first + np.linspace(0.1, 3, PAIRS)[:, None] * random.normal(size=(PAIRS, 16)) * alike
    both = np.stack([first, second], axis=1).reshape(-1, 16)
    both = both + noise * np.random.default_rng(seed).normal(size=both.shape)
    return Outputs(both.astype(np.float32), np.arange(0, 2 * PAIRS + 1, 2))


SCORES = np.linspace(5, 0, PAIRS).astype(np.float32)
IDS = np.stack([np.arange(PAIRS)] * 2, axis=1)
SEARCHED = replace(TASK, judged_by="recall@10")


@pytest.mark.parametrize(("task", "labels"), [(TASK, SCORES), (SEARCHED, IDS)])
def test_a_model_that_keeps_its_embeddings_passes_and_one_that_loses_them_fails(task, labels):
    full = outputs(0.0, alike=0.3)
    kept, _ = apply_gate(PairedAnswers(task, full, outputs(0.02, alike=0.3), labels), GATE)
    lost, _ = apply_gate(PairedAnswers(task, full, outputs(3.0, alike=0.3), labels), GATE)
    assert (kept.verdict, lost.verdict) == (GateVerdict.PASS, GateVerdict.FAIL)


def test_which_cosine_is_the_same_answer_is_the_gate_s():
    answers = PairedAnswers(TASK, outputs(0.0), outputs(0.4), SCORES)
    strict, evidence = apply_gate(answers, replace(GATE, max_drop=1.0))
    loose, more = apply_gate(answers, replace(GATE, max_drop=1.0, min_cosine=0.6))
    assert (strict.verdict, loose.verdict) == (GateVerdict.FAIL, GateVerdict.PASS)
    assert evidence.agreement.mean < 0.5 < 0.95 < more.agreement.mean


def test_scores_that_have_nothing_to_do_with_embeddings_measure_nothing():
    rows = Rows(tuple(map(str, range(PAIRS))), tuple(map(str, range(PAIRS))), SCORES, "x.csv", apart=True)
    assert soundness.examine(TASK, outputs(0.0), rows, GATE).meaningless is None
    mixed = replace(rows, labels=np.random.default_rng(2).permutation(SCORES))
    found = soundness.examine(TASK, outputs(0.0), mixed, GATE)
    assert "no better than by chance" in str(found.meaningless)
    # Similarities have no ids that could be in another order.
    assert found.warnings[-1].endswith("; they may be of other rows, or of another model")
    ids = replace(rows, labels=IDS)
    assert soundness.examine(SEARCHED, outputs(0.0, alike=0.3), ids, GATE).meaningless is None
    noise = np.random.default_rng(5).normal(size=(2 * PAIRS, 16)).astype(np.float32)
    lost = soundness.examine(SEARCHED, Outputs(noise, outputs(0.0).offsets), ids, GATE)
    assert "by chance (recall@10 " in str(lost.meaningless)  # what it is judged by


def test_pairs_that_changed_most_are_shown_first():
    full = outputs(0.0)
    values = full.values.copy()
    values[20:22] = -values[20:22]  # the pair 10
    values[40] += 0.8 * np.abs(values[40]).mean() * np.where(np.arange(16) % 2, 1, -1)  # a little of pair 20
    rows = Rows(("a",) * PAIRS, ("b",) * PAIRS, SCORES, "x.csv", apart=True)
    stored = BaselineAnswers.__new__(BaselineAnswers)
    for name, value in (("task", TASK), ("outputs", full)):
        object.__setattr__(stored, name, value)
    shown = flips.examples(rows, stored, Outputs(values, full.offsets), 5, texts=True)
    assert [each.row for each in shown] == [10, 20]
    assert (shown[0].text, shown[0].pair) == ("a", "b")
    assert float(shown[0].truth) == pytest.approx(SCORES[10], abs=0.01)


@pytest.mark.parametrize(("passages", "metric", "told"), [(10, "recall@10", 1), (11, "recall@10", 0)])
def test_searches_among_fewer_passages_than_are_looked_at_are_told_of(passages, metric, told):
    labels = np.stack([np.arange(PAIRS), np.arange(PAIRS) % passages], axis=1)
    rows = Rows(tuple(map(str, range(PAIRS))), tuple(map(str, range(PAIRS))), labels, "x.csv", apart=True)
    task = replace(SEARCHED, judged_by=metric)
    found = soundness.examine(task, outputs(0.0, alike=0.3), rows, GATE)
    said = f"{metric} is 100% whatever the model, since only {passages} different passages are searched"
    assert sum(warning.startswith(said) for warning in found.warnings) == told
