"""Which of several candidates is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import stage_contexts

from edgeroberta import metrics
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.latency.calltimes import CallTimes
from edgeroberta.metrics import Interval
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.search import probing
from edgeroberta.search.candidate_recipes import CandidateSettings
from edgeroberta.search.candidates import Candidate, PredictedResult
from edgeroberta.search.probing import ShortDistillation, pick, tie_notice
from edgeroberta.targets import load
from edgeroberta.tasks import Problem, Task


def predicted(p50: float, speedup: float) -> PredictedResult:
    return PredictedResult(CallTimes(p50, p50, 2 * p50, 3 * p50), speedup, 10e6)


SLOW = Candidate((0, 1), (), None, predicted(0.0020, 3.0), 0.8, True)
FAST = Candidate((0,), (), None, predicted(0.0012, 5.0), 0.7, True)
LIKE_SLOW = replace(SLOW, layers=(0, 1, 2), predicted=predicted(0.00195, 3.0))
BEST = ShortDistillation(SLOW, 0.95, 0.9)
TIED, WORSE = Interval(0.01, -0.005, 0.025), Interval(0.03, 0.01, 0.05)


def test_the_fastest_of_those_that_are_tied_with_the_best_is_made():
    assert pick((BEST, ShortDistillation(FAST, 0.94, 0.9, TIED))).candidate is FAST


def test_a_candidate_that_is_behind_beyond_doubt_is_not_made_however_fast():
    probes = (BEST, ShortDistillation(FAST, 0.92, 0.9, WORSE))
    assert pick(probes).candidate is SLOW
    assert tie_notice(probes, SLOW) is None


def test_of_equally_fast_ones_the_one_with_more_agreement_is_made():
    assert pick((BEST, ShortDistillation(LIKE_SLOW, 0.94, 0.9, TIED))).candidate is SLOW


def test_ties_are_named():
    probes = (BEST, ShortDistillation(FAST, 0.94, 0.9, TIED), ShortDistillation(LIKE_SLOW, 0.9, 0.9, WORSE))
    assert tie_notice(probes, FAST) == (
        "tied, since the validation texts cannot tell them apart: 2 layers and 1 layer; "
        "1 layer is made of these"
    )


def test_copies_of_a_text_do_not_tell_candidates_apart(monkeypatch, tmp_path):
    """Ten texts fifty times over, of which the faster candidate has one wrong: fifty rows, but one text."""
    right = np.tile([1.0, 0.0], (500, 1))
    wrong = right.copy()
    wrong[::10] = [0.0, 1.0]
    answers: Mapping[str, Any] = {"model": right, "2 layers": right, "1 layer": wrong}
    monkeypatch.setattr(probing, "_answers", lambda model, job: answers[model.folder.name])
    monkeypatch.setattr(probing.candidate_recipes, "training_steps", lambda one, recovery: one.name)
    monkeypatch.setattr(probing.candidate_recipes, "steps", lambda name: name)
    made = lambda name, job, progress: [SimpleNamespace(artifact=SimpleNamespace(path=Path(name)))]  # noqa: E731
    monkeypatch.setattr(probing.pipeline, "make", made)
    task = Task(Problem.SINGLE_LABEL, ("a", "b"))
    rows = Rows(tuple(f"text {i % 10}" for i in range(500)), None, np.zeros(500, np.int64), "x")
    job = PipelineJob(
        Checkpoint(Path("model")),
        task,
        Splits(rows, rows, rows, None, task.labels),
        load("cpu"),
        tmp_path,
        tmp_path,
    )
    probes = probing.rank((SLOW, FAST), CandidateSettings({}, {}, {}, {}), job, progress=Progress())
    assert [(probe.candidate, probe.tied) for probe in probes] == [(SLOW, True), (FAST, True)]
    several = replace(rows, texts=tuple(f"text {i}" for i in range(500)))
    job = replace(job, data=replace(job.data, validation=several))
    probes = probing.rank((SLOW, FAST), CandidateSettings({}, {}, {}, {}), job, progress=Progress())
    assert [(probe.candidate, probe.tied) for probe in probes] == [(SLOW, True), (FAST, False)]


def test_models_that_label_tokens_are_compared_by_the_entities_of_texts(tiny_token_checkpoint, tmp_path):
    task = stage_contexts.TASKS["tokens"]
    rows = stage_contexts.rows_of(task, 20, 0)
    splits = Splits(rows, rows, rows, None, task.labels)
    model = Checkpoint(tiny_token_checkpoint)
    job = PipelineJob(model, task, splits, load("cpu"), tmp_path, tmp_path)
    outputs = probing._answers(model, job)
    assert outputs.places is not None
    assert len(outputs.values) > len(outputs) == 20
    assert 0 <= probing._score(job, outputs) < 1
    other = replace(outputs, values=outputs.values[:, ::-1].copy())
    assert metrics.agrees(task, outputs, outputs).all()
    assert not metrics.agrees(task, outputs, other).all()
