"""A bundle that finds entities, from its answers to the report and the card."""

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
from tagged import outputs_of, word_tags

from edgeroberta.data.rows import Rows
from edgeroberta.evaluation import EvaluationOptions, baseline_store, flips, soundness, verify
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, Report
from edgeroberta.metrics import all_metrics
from edgeroberta.progress import Progress
from edgeroberta.report import card
from edgeroberta.report import verification as written
from edgeroberta.tasks import Outputs, Problem, Task

LABELS = ("O", "B-EMAIL", "I-EMAIL", "B-CITY", "I-CITY")
TASK = Task(Problem.TOKENS, LABELS, aggregation="simple")
GATE = GateLimits(max_drop=0.03, min_agreement=0.9)


def tagged(count: int) -> list[list[str]]:
    """Sentences with a city, every tenth with an e-mail address."""
    return [
        ["O", "B-CITY", "I-CITY", *(["O", "B-EMAIL"] if row % 10 == 0 else ["O"] * (row % 3))]
        for row in range(count)
    ]


def rows_of(tags: list[list[str]]) -> Rows:
    texts = [
        " ".join(chr(97 + (row + place) % 26) for place in range(len(each))) for row, each in enumerate(tags)
    ]
    return Rows(tuple(f"{text} {row}" for row, text in enumerate(texts)), None, word_tags(tags, LABELS), "x")


def reference_of(rows: Rows, outputs: Outputs) -> BaselineAnswers:
    few = Rows(("a", "b"), None, np.array([0, 1]), "x")
    made = fake_bundles.fixed_reference(few, np.eye(2, dtype=np.float32))
    return replace(
        made,
        task=TASK,
        outputs=outputs,
        metrics=all_metrics(TASK, outputs, rows.labels),
        rows=len(rows),
        data_digest=rows.digest,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return fake_bundles.write(tmp_path_factory.mktemp("bundle"))


def verified(bundle: Path, *, lost: int, gate: GateLimits = GATE, **options: Any) -> Report:
    """Verify a model that misses so many of the 60 e-mail addresses."""
    tags = tagged(600)
    rows = rows_of(tags)
    missing = [
        [tag.replace("B-EMAIL", "O") if row < 10 * lost else tag for tag in each]
        for row, each in enumerate(tags)
    ]
    answers = outputs_of(missing, LABELS)
    return verify(
        bundle,
        rows,
        reference_of(rows, outputs_of(tags, LABELS)),
        options=EvaluationOptions(gate=gate, latency_rows=5, **options),
        progress=Progress(),
        start=lambda spec: FakeWorker(spec, answers),
    )


def test_a_loss_that_f1_hides_is_told_with_its_label(bundle):
    assert verified(bundle, lost=10).verdict is GateVerdict.PASS
    report = verified(bundle, lost=10, gate=replace(GATE, max_recall_drop={"EMAIL": 0.05}))
    assert report.verdict is GateVerdict.FAIL
    assert report.judgement.reason.startswith("onnxruntime: the drop of the recall of EMAIL is +16.7 (")
    (found,) = report.engines[0].recalls
    assert (found.label, found.count, found.texts, found.baseline) == ("EMAIL", 60, 60, 1.0)
    assert found.recall.mean == pytest.approx(50 / 60)
    assert (report.problem, report.scheme, report.metric) == ("token_classification", "IOB2", "f1")


def test_a_report_of_entities_says_what_is_asked_and_found_of_each_type(bundle, tmp_path):
    gate = replace(
        GATE, min_recall={"EMAIL": 0.9, "CITY": 0.95}, max_recall_drop={"EMAIL": 0.02, "CITY": 0.05}
    )
    report = verified(bundle, lost=3, gate=gate)
    assert set(written.write(report, tmp_path)) == set(written.FILES)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert (
        "Of single labels, at least 90.0% of EMAIL, 95.0% of CITY must be found, and the recall of EMAIL may "
        "fall by at most 2.0 points, of CITY by 5.0." in text
    )
    assert (
        "Entities are read from IOB2 tags as seqeval reads them by default, f1 100.0 of the baseline and "
        "99.8 of the bundle; in its strict mode, f1_strict, 100.0 of the baseline and 99.8 of the bundle."
        in text
    )
    (row,) = (line for line in text.splitlines() if line.startswith("| onnxruntime | EMAIL |"))
    assert row.startswith("| onnxruntime | EMAIL | 60 | 100.0 | 95.0 (")
    assert row.endswith("| 2.0 | INCONCLUSIVE |")
    assert "| CITY | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" in text
    assert "| EMAIL | 100.0 | 100.0 | 100.0 | 100.0 | 95.0 | 97.4 |" in text
    assert "Label by label" in (tmp_path / "report.html").read_text(encoding="utf-8")
    stored = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert stored["gate"]["min_recall"] == {"EMAIL": 0.9, "CITY": 0.95}
    assert stored["engines"][0]["recalls"][0]["label"] == "EMAIL"
    assert stored["engines"][0]["metrics"]["recall[EMAIL]"] == pytest.approx(0.95)


def test_changed_entities_are_told_by_their_characters_unless_texts_are_kept(bundle):
    (flip, *_) = verified(bundle, lost=1).flips
    assert (flip.text, flip.baseline, flip.compressed) == (None, "CITY: 2-5, EMAIL: 8-9", "CITY: 2-5")
    (flip, *_) = verified(bundle, lost=1, keep_examples=True).flips
    assert flip.text == "a b c d e 0"
    assert (flip.truth, flip.compressed) == ("CITY: b c, EMAIL: e", "CITY: b c")


def test_a_card_of_entities_is_what_the_hub_takes_for_one(bundle):
    gate = replace(GATE, min_recall={"EMAIL": 0.9})
    report = json.loads(json.dumps(verified(bundle, lost=3, gate=gate).to_json()))
    manifest = {
        "task": TASK.to_json(),
        "max_length": 512,
        "engines": ["onnxruntime"],
        "created_by": "0.5.0",
        "target": "cpu",
        "precision": "int8",
        "lineage": [],
        "baseline": {"model": "tagger", "parameters": 30_000_000, "bytes": 120_000_000},
    }
    text = card.write(manifest, report)
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["pipeline_tag"] == "token-classification"
    (result,) = front["model-index"][0]["results"]
    assert result["task"] == {"type": "token-classification"}
    assert [each["type"] for each in result["metrics"]] == ["f1", "precision", "recall"]
    assert "ORTModelForTokenClassification" in text
    assert "| EMAIL | 100.0 | 100.0 | 100.0 | 100.0 | 95.0 | 97.4 |" in text
    assert "| onnxruntime | EMAIL | 60 | 100.0 | 95.0 (" in text


def test_a_reference_of_entities_is_read_back_with_places_and_aggregation(tmp_path):
    tags = tagged(20)
    rows = rows_of(tags)
    made = reference_of(rows, outputs_of(tags, LABELS))
    baseline_store.save(made, tmp_path)
    found = baseline_store.load(tmp_path)
    assert found.task == TASK
    assert found.to_json() == made.to_json()
    for name in ("values", "offsets", "places"):
        np.testing.assert_array_equal(getattr(found.outputs, name), getattr(made.outputs, name))
    assert found.metrics["recall[EMAIL]"] == 1.0
    baseline_store.check(found, rows=rows, task=TASK)


@pytest.mark.parametrize("seed", range(5))
def test_tags_that_a_model_knows_are_sound(seed):
    tags = tagged(80)
    assert examined(tags, noisy(tags, seed)) == soundness.DataSoundness()


def noisy(tags: list[list[str]], seed: int) -> list[list[str]]:
    """A model that misses three of ten entities."""
    rng = np.random.default_rng(seed)
    return [[tag if rng.random() < 0.7 else "O" for tag in each] for each in tags]


def examined(tags: list[list[str]], said: list[list[str]]) -> soundness.DataSoundness:
    return soundness.examine(TASK, outputs_of(said, LABELS), rows_of(tags), GateLimits())


def test_types_in_another_order_are_told_by_their_names():
    tags = tagged(200)
    swap = {"B-CITY": "B-EMAIL", "I-CITY": "I-EMAIL", "B-EMAIL": "B-CITY"}
    found = examined([[swap.get(tag, tag) for tag in each] for each in tags], noisy(tags, 0))
    assert found.meaningless is not None
    assert found.meaningless.startswith("the share of entities with the right type would be ")
    assert found.meaningless.endswith(
        "if labels of the data stood for others of the model: 'CITY' for 'EMAIL', 'EMAIL' for 'CITY'"
    )


def test_tags_of_other_texts_do_not_measure_the_model():
    tags = tagged(300)
    rng = np.random.default_rng(2)
    apart = [
        [*["O"] * int(rng.integers(0, 6)), "B-CITY", *["O"] * int(rng.integers(1, 4))] for _ in range(300)
    ]
    found = examined(
        [[*each, *["O"] * 12][:12] for each in apart], [[*each, *["O"] * 12][:12] for each in tags]
    )
    assert found.meaningless is not None


def test_a_model_that_finds_nothing_is_not_measured():
    tags = tagged(100)
    found = examined(tags, [["O"] * len(each) for each in tags])
    assert found.meaningless is not None
    assert "no better than by chance (f1 0.0% on 100 different texts)" in found.meaningless


def test_sentences_known_from_training_are_told():
    tags = tagged(200)
    rows = rows_of(tags)
    outputs = outputs_of(noisy(tags, 1), LABELS)
    found = soundness.examine(TASK, outputs, rows, GateLimits(), leaked=50)
    assert found.warnings[0].startswith("50 of the 200 rows (25.0%) are also among the training data")


def test_changed_entities_are_told_where_the_models_cut_texts_into_other_tokens():
    tags = [["O", "B-CITY", "I-CITY"], ["B-EMAIL", "O"]]
    rows = rows_of(tags)
    full = outputs_of(tags, LABELS)
    # The other model has two tokens for the second word, and misses the first text's city.
    values, places = full.part(0)
    other = Outputs.pack([values[[0, 0, 0, 0]], full.part(1)[0]], [places[[0, 1, 1, 2]], full.part(1)[1]])
    (flip,) = flips.examples(rows, reference_of(rows, full), other, 10)
    assert (flip.row, flip.baseline, flip.compressed) == (0, "CITY: 2-5", "nothing")
