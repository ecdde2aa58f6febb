"""A bundle that answers questions, from its answers to the report and the card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np
import pytest
import yaml
from fake_bundles import FakeWorker

from edgeroberta.benchmark import payload
from edgeroberta.data import load_heldout
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation import EvaluationOptions, baseline_store, soundness, verify
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, Report
from edgeroberta.metrics import all_metrics
from edgeroberta.progress import Progress
from edgeroberta.report import card
from edgeroberta.report import verification as written
from edgeroberta.tasks import AnswerSpans, Outputs, Problem, Task
from edgeroberta.tasks.span_search import FIRST, OTHER

TASK = Task(Problem.SPANS, ("start", "end"), pair=True)
TWO = replace(TASK, no_answer=0.0)
GATE = GateLimits(max_drop=0.03, min_agreement=0.9)
WORDS = 12
#: First and last word of an answer; None for no answer.
Said = tuple[int, int] | None


def context(row: int) -> str:
    return " ".join(f"w{(7 * row + place) % 97}" for place in range(WORDS))


def words(row: int) -> list[tuple[int, int]]:
    found, start = [], 0
    for word in context(row).split(" "):
        found.append((start, start + len(word)))
        start += len(word) + 1
    return found


def rows_of(known: list[Said], *, source: str = "x") -> Rows:
    contexts = tuple(context(row) for row in range(len(known)))
    spans = [
        np.array([(words(row)[said[0]][0], words(row)[said[1]][1])] if said else [], np.int64).reshape(-1, 2)
        for row, said in enumerate(known)
    ]
    packed = AnswerSpans.pack(spans)
    labels = AnswerSpans(packed.values, packed.offsets, contexts=contexts, documents=contexts)
    return Rows(tuple(f"What {row}?" for row in range(len(known))), contexts, labels, source)


def outputs_of(said: list[Said]) -> Outputs:
    values, places = [], []
    for row, each in enumerate(said):
        special = [(0, 0, FIRST), (0, 0, OTHER)]
        rows = [*special, *((*span, number) for number, span in enumerate(words(row))), (0, 0, OTHER)]
        logits = np.zeros((len(rows), 2), np.float32)
        first, last = (0, 0) if each is None else (each[0] + 2, each[1] + 2)
        logits[first, 0] = logits[last, 1] = 9.0
        values.append(logits)
        places.append(np.array(rows, np.int64))
    return Outputs.pack(values, places)


def drawn(count: int, seed: int = 0, *, none: float = 0.0) -> list[Said]:
    random = np.random.default_rng(seed)
    found: list[Said] = []
    for _ in range(count):
        start, length = int(random.integers(WORDS - 2)), int(random.integers(3))
        found.append(None if random.random() < none else (start, start + length))
    return found


def reference_of(rows: Rows, outputs: Outputs, task: Task) -> BaselineAnswers:
    few = Rows(("a", "b"), None, np.array([0, 1]), "x")
    made = fake_bundles.fixed_reference(few, np.eye(2, dtype=np.float32))
    return replace(
        made,
        task=task,
        outputs=outputs,
        metrics=all_metrics(task, outputs, rows.labels),
        rows=len(rows),
        data_digest=rows.digest,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return fake_bundles.write(tmp_path_factory.mktemp("bundle"))


def verified(
    bundle: Path,
    known: list[Said],
    said: list[Said],
    *,
    task: Task = TASK,
    gate: GateLimits = GATE,
    **options: Any,
) -> Report:
    """Verify a model whose baseline is always right."""
    rows, answers = rows_of(known), outputs_of(said)
    return verify(
        bundle,
        rows,
        reference_of(rows, outputs_of(known), task),
        options=EvaluationOptions(gate=gate, latency_rows=5, **options),
        progress=Progress(),
        start=lambda spec: FakeWorker(spec, answers),
    )


def losing(known: list[Said], lost: int) -> list[Said]:
    """Answer so many questions with another word."""
    return [(WORDS - 1, WORDS - 1) if row < lost else each for row, each in enumerate(known)]


@pytest.mark.parametrize(
    ("lost", "verdict"), [(0, GateVerdict.PASS), (4, GateVerdict.PASS), (150, GateVerdict.FAIL)]
)
def test_the_gate_passes_a_model_that_keeps_its_answers_and_fails_one_that_loses_them(bundle, lost, verdict):
    known = drawn(600)
    report = verified(bundle, known, losing(known, lost))
    assert report.verdict is verdict
    assert (report.problem, report.metric) == ("question_answering", "f1")
    assert report.engines[0].agreement == pytest.approx(1 - lost / 600)
    assert report.engines[0].flips == lost


def test_an_answer_that_is_a_word_longer_loses_a_part_of_f1_and_all_of_exact_match(bundle):
    known: list[Said] = [(3, 4)] * 300
    report = verified(bundle, known, [(3, 5)] * 300)
    assert report.engines[0].metrics["f1"] == pytest.approx(0.8)
    assert report.engines[0].metrics["exact_match"] == 0
    assert report.engines[0].drop.mean == pytest.approx(0.2)


def test_questions_without_an_answer_are_told_and_bounded_by_themselves(bundle, tmp_path):
    known = drawn(600, none=0.3)
    said = [(0, 0) if each is None and row % 2 else each for row, each in enumerate(known)]
    gate = replace(GATE, max_drop=0.9, min_agreement=0.1, max_recall_drop={"NoAns": 0.1})
    report = verified(bundle, known, said, task=TWO, gate=gate)
    assert report.verdict is GateVerdict.FAIL
    assert "the drop of the recall of NoAns is " in report.judgement.reason
    written.write(report, tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| NoAns | 100.0 | 100.0 |" in text
    assert "| HasAns | 100.0 | 100.0 | 100.0 | 100.0 |" in text
    assert "cmrc" not in text  # the contexts are of words between spaces


def test_both_ways_to_compare_answers_are_told_where_they_differ(bundle, tmp_path):
    known: list[Said] = [(3, 4)] * 300
    report = verified(bundle, known, known, task=TASK.judge_by("cmrc_f1"))
    assert report.metric == "cmrc_f1"
    written.write(report, tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Answers are compared word by word as SQuAD's script does it, f1 100.0 of the baseline" in text
    assert "cmrc_f1 100.0 of the baseline and 100.0 of the bundle." in text


def test_changed_answers_are_told_by_their_characters_unless_texts_are_kept(bundle):
    known = drawn(100)
    start, end = words(0)[known[0][0]][0], words(0)[known[0][1]][1]
    other = words(0)[-1]
    (flip,) = verified(bundle, known, losing(known, 1)).flips
    assert (flip.text, flip.pair) == (None, None)
    assert (flip.truth, flip.baseline, flip.compressed) == (f"{start}-{end}",) * 2 + ("{}-{}".format(*other),)
    (flip,) = verified(bundle, known, losing(known, 1), keep_examples=True).flips
    assert (flip.text, flip.pair) == ("What 0?", context(0))
    assert flip.truth == repr(context(0)[start:end])
    assert flip.compressed == repr(context(0)[slice(*other)])


def test_a_card_of_answers_is_what_the_hub_takes_for_one(bundle):
    known = drawn(600)
    report = json.loads(json.dumps(verified(bundle, known, losing(known, 3)).to_json()))
    manifest = {
        "task": TASK.to_json(),
        "max_length": 512,
        "engines": ["onnxruntime"],
        "created_by": "0.5.0",
        "target": "cpu",
        "precision": "int8",
        "lineage": [],
        "baseline": {"model": "answerer", "parameters": 30_000_000, "bytes": 120_000_000},
    }
    text = card.write(manifest, report)
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["pipeline_tag"] == "question-answering"
    (result,) = front["model-index"][0]["results"]
    assert result["task"] == {"type": "question-answering"}
    assert [each["type"] for each in result["metrics"]] == ["f1", "exact_match"]
    assert "ORTModelForQuestionAnswering" in text
    assert 'runtime(question="Who?", context="a text with the answer")' in text


def test_a_reference_of_answers_is_read_back_with_its_places(tmp_path):
    known = drawn(20, none=0.2)
    rows = rows_of(known)
    made = reference_of(rows, outputs_of(known), TWO)
    baseline_store.save(made, tmp_path)
    found = baseline_store.load(tmp_path)
    assert found.task == TWO
    for name in ("values", "offsets", "places"):
        np.testing.assert_array_equal(getattr(found.outputs, name), getattr(made.outputs, name))
    baseline_store.check(found, rows=rows, task=TWO)


def test_a_reference_that_is_read_with_another_threshold_has_the_metrics_of_that():
    known = drawn(40, none=0.5)
    rows = rows_of(known)
    made = reference_of(rows, outputs_of(known), TWO)
    always = baseline_store.read_as(made, TASK, rows)
    assert (always.task, made.metrics["exact_match"]) == (TASK, 1)
    assert always.metrics == all_metrics(TASK, made.outputs, rows.labels)
    assert always.metrics["exact_match"] < 0.8
    assert baseline_store.read_as(made, replace(TWO, judged_by="exact_match"), rows).metrics is made.metrics


def test_rows_are_the_same_on_a_device(tmp_path):
    rows = rows_of(drawn(30, none=0.2))
    file = tmp_path / "rows.jsonl"
    file.write_bytes(payload.rows_jsonl(rows, TWO))
    again = load_heldout(payload.spec_of(rows, TWO, str(file)), TWO)
    assert again.digest == rows.digest


def examined(known: list[Said], said: list[Said], task: Task = TASK) -> soundness.DataSoundness:
    return soundness.examine(task, outputs_of(said), rows_of(known), GateLimits())


@pytest.mark.parametrize("seed", range(5))
def test_answers_that_a_model_knows_are_sound(seed):
    known = drawn(80, seed)
    random = np.random.default_rng(seed)
    noise = drawn(80, seed + 100)
    said = [each if random.random() < 0.6 else noise[row] for row, each in enumerate(known)]
    assert examined(known, said) == soundness.DataSoundness()


@pytest.mark.parametrize("seed", range(5))
def test_answers_of_other_questions_do_not_measure_the_model(seed):
    known = drawn(300, seed)
    found = examined(known, [known[row - 7] for row in range(300)])
    assert found.meaningless is not None
    assert found.meaningless.startswith("the baseline's answers fit them no better than by chance (f1 ")
    # Answers have no ids that could be in another order.
    assert found.warnings[-1].endswith("; they may be of other rows, or of another model")


def test_answers_in_chinese_are_told_by_the_metric_that_they_are_judged_by():
    known = drawn(300, 0)
    found = examined(known, [known[row - 7] for row in range(300)], replace(TASK, judged_by="cmrc_f1"))
    assert "by chance (cmrc_f1 " in str(found.meaningless)


def test_a_model_that_is_no_better_than_no_answer_to_all_is_told(bundle):
    known = drawn(200, none=0.6)
    said: list[Said] = [
        (0, 0) if (each is None) == (row % 10 == 0) else each for row, each in enumerate(known)
    ]
    found = examined(known, said, TWO)
    assert found.meaningless is None
    (warning,) = found.warnings
    assert "is not beyond doubt better than answering nothing to every text" in warning
    assert examined(known, known, TWO) == soundness.DataSoundness()
