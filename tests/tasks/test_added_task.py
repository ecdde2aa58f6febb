"""The kind of task that docs/explanation/tasks.md shows, carried out: nothing but its row knows it."""

from __future__ import annotations

from types import SimpleNamespace

import doc_pages
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from edgeroberta import metrics
from edgeroberta.data import Rows
from edgeroberta.evaluation import flips, soundness
from edgeroberta.evaluation.gate import PairedAnswers, apply_gate
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.fake import FakeTokenizer
from edgeroberta.tasks import KINDS, Outputs, Problem, Task

LABELS = ("one", "two", "three", "four", "five")
TASK = Task(Problem.SINGLE_LABEL, LABELS)
GATE = GateLimits(max_drop=0.05, min_agreement=0.5, confidence=0.95)


@pytest.fixture(autouse=True)
def _grades(tmp_path, monkeypatch) -> None:
    """Put the row of the page in the place of one label of many, which checkpoints and data know by name."""
    (code,) = doc_pages.blocks(doc_pages.text(doc_pages.DOCS / "explanation" / "tasks.md"), "python")
    (tmp_path / "shown_grades.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    import shown_grades

    monkeypatch.setitem(KINDS, Problem.SINGLE_LABEL.value, shown_grades.Grades())


def answers(labels, *, noise, seed):
    """Logits of a model that is right but for some noise."""
    draw = np.random.default_rng(seed)
    distance = np.abs(np.arange(len(LABELS)) - labels[:, None])
    return (draw.normal(0, noise, distance.shape) - 2 * distance).astype(np.float32)


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, len(LABELS), 1000)


def test_its_metric_is_that_of_scikit_learn(labels):
    found = answers(labels, noise=3, seed=1)
    kappa = cohen_kappa_score(TASK.decide(found), labels, weights="quadratic")
    assert metrics.all_metrics(TASK, found, labels)["kappa"] == pytest.approx(kappa)
    assert TASK.metric == "kappa"


def test_the_gate_passes_a_model_that_is_as_good_and_fails_a_worse_one(labels):
    full = answers(labels, noise=1, seed=1)
    same, worse = (full + answers(labels * 0, noise=noise, seed=2) * 0.1 for noise in (0.1, 60))
    for ours, verdict in ((same, GateVerdict.PASS), (worse, GateVerdict.FAIL)):
        judgement, evidence = apply_gate(PairedAnswers(TASK, full, ours, labels), GATE)
        assert judgement.verdict is verdict
        assert evidence.metric == "kappa"
        assert evidence.drop.low < evidence.drop.mean < evidence.drop.high


def test_labels_in_another_order_are_found(labels):
    full = answers(labels, noise=1, seed=1)
    texts = tuple(f"text {row}" for row in range(len(labels)))
    right = Rows(texts, None, labels, "texts")
    wrong = Rows(texts, None, np.roll(np.arange(5), 1)[labels], "texts")
    assert soundness.examine(TASK, full, right, GATE).meaningless is None
    assert "kappa would be" in soundness.examine(TASK, full, wrong, GATE).meaningless


def test_changed_answers_are_shown_in_its_words(labels):
    full, ours = answers(labels, noise=1, seed=1), answers(labels, noise=3, seed=2)
    rows = Rows(tuple(map(str, labels)), None, labels, "texts")
    reference = SimpleNamespace(task=TASK, outputs=Outputs.of_texts(full))
    shown = flips.examples(rows, reference, Outputs.of_texts(ours), 3)
    assert len(shown) == 3
    distances = [abs(LABELS.index(each.baseline) - LABELS.index(each.compressed)) for each in shown]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 1


class Session:
    """An engine that answers each input with its row."""

    name, version = "table", "0"

    def __init__(self, rows):
        self.rows = rows

    def padded_length(self, length):
        return length

    def run(self, input_ids, attention_mask):
        return self.rows[input_ids[:, 1]]

    def close(self):
        pass


def test_a_runtime_answers_as_the_gate_has_it(labels):
    rows = answers(labels[:20], noise=4, seed=3) / 4
    runtime = Runtime(Session(rows), FakeTokenizer(), TASK, pad_token_id=-1)
    found = runtime([f"text {row}" for row in range(20)])
    assert [LABELS.index(each.label) for each in found] == TASK.decide(rows).tolist()
    assert any(each.score < max(each.scores.values()) for each in found)  # the median, not the largest


def test_a_bundle_opens_with_its_goldens_and_answers_so(make_bundle, make_checkpoint):
    bundle = make_bundle(make_checkpoint(LABELS))
    with Runtime.open(bundle) as runtime:
        text = "The film is great."
        assert runtime(text).label == LABELS[int(runtime.task.decide(runtime.outputs([text]))[0])]
        assert runtime.task.metric == "kappa"
