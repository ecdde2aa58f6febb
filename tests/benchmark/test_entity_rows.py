"""Rows of a bench of models that find entities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import fake_bundles
from fake_bundles import FakeWorker
from tagged import outputs_of, word_tags

from edgeroberta.benchmark import table
from edgeroberta.benchmark.comparison import Comparison, compare
from edgeroberta.benchmark.row import BASELINE, BUNDLE, EvaluationData, RowSpec
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan
from edgeroberta.progress import Progress
from edgeroberta.tasks import Outputs, Problem, Task

LABELS = ("O", "B-EMAIL", "I-EMAIL", "B-CITY", "I-CITY")
TASK = Task(Problem.TOKENS, LABELS)
TAGS = [["O", "B-CITY", "I-CITY", *(["B-EMAIL"] if row % 10 == 0 else ["O"])] for row in range(600)]
ROWS = Rows(tuple(f"a b c {row}" for row in range(600)), None, word_tags(TAGS, LABELS), "x")


def benched(bundle: Path, lost: int, gate: GateLimits) -> Comparison:
    """Bench a bundle that misses so many of the 60 e-mail addresses beside its baseline."""
    missing = [
        [tag.replace("B-EMAIL", "O") if row < 10 * lost else tag for tag in tags]
        for row, tags in enumerate(TAGS)
    ]
    tables: Mapping[str | None, Outputs] = {
        None: outputs_of(TAGS, LABELS),
        "onnxruntime": outputs_of(missing, LABELS),
    }
    specs = (
        RowSpec(BASELINE, SubjectSpec("torch", "full", ROWS.inputs()), GateLimits()),
        RowSpec(BUNDLE, SubjectSpec("bundle", str(bundle), ROWS.inputs(), engine="onnxruntime"), gate),
    )
    return compare(
        specs,
        EvaluationData(TASK, ROWS.inputs(), ROWS),
        RepetitionPlan(rounds=2, calls=3, warmup=2),
        progress=Progress(),
        start=lambda spec: FakeWorker(spec, tables[spec.engine]),
    )


def test_entities_are_counted_and_a_lost_type_is_an_answer_that_is_wrong(tmp_path):
    bundle = fake_bundles.write(tmp_path / "bundle")
    gate = GateLimits(max_drop=0.03, min_agreement=0.9)
    found = benched(bundle, 10, gate)
    (full, ours) = found.rows
    assert (found.metric, full.metric, full.agreement) == ("f1", 1.0, 1.0)
    assert ours.status is RowStatus.OK
    assert 0.99 < (ours.metric or 0) < 1
    assert ours.agreement == 590 / 600
    bounded = benched(
        bundle, 10, GateLimits(max_drop=0.03, min_agreement=0.9, max_recall_drop={"EMAIL": 0.05})
    )
    wrong = bounded.rows[1]
    assert wrong.status is RowStatus.WRONG
    assert wrong.detail.startswith("the drop of the recall of EMAIL is +16.7 (")
    assert "recall of EMAIL" in table.text(bounded)
