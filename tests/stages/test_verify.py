from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import fake_bundles
import numpy as np
import pytest
from fake_progress import Heard
from pydantic import ValidationError

from edgeroberta import targets
from edgeroberta.context import Context
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.errors import UsageError
from edgeroberta.evaluation import baseline_store
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.stages.verify import VerifyConfig, verify
from edgeroberta.storage.artifact import Artifact, Kind, Lineage

SITES = [{"linear_op": "layer.0.ffn.out", "choice": "float", "error": 0.5, "reason": "the worst"}]
CONFIG = VerifyConfig(latency_rows=5)


@pytest.fixture
def context(tmp_path, tiny_checkpoint) -> Context:
    """A toy draft, held against a tiny baseline that knows nothing of it."""
    draft = fake_bundles.write(tmp_path / "draft")
    rng = np.random.default_rng(0)
    texts = tuple(" ".join(rng.choice(fake_bundles.WORDS, size=6)) + f" {row}" for row in range(60))
    rows = Rows(texts, None, np.arange(60) % 2, "rows.csv")
    lineage = Lineage("quantize", "k", {"samples": 8}, 0, {}, {}, 1.5, notes={"linear_ops": SITES})
    for name in ("output", "scratch"):
        (tmp_path / name).mkdir()
    return Context(
        output=tmp_path / "output",
        scratch=tmp_path / "scratch",
        inputs={Kind.DRAFT: Artifact(draft, Kind.DRAFT, lineage)},
        checkpoint=Checkpoint(tiny_checkpoint),
        baseline=Checkpoint(tiny_checkpoint),
        task=fake_bundles.TASK,
        data=Splits(rows, rows, rows, None, fake_bundles.TASK.labels),
        target=targets.load("cpu"),
        seed=0,
        reference=None,
        progress=Heard(),
        history=(lineage,),
    )


def agreeing_reference(context: Context, *, wrong: int, **changes: Any) -> Context:
    draft = context.inputs[Kind.DRAFT].path
    made = fake_bundles.make_reference(draft, context.data.heldout, wrong=wrong)
    facts = {"model_digest": context.baseline.digest, **changes}
    baseline_store.save(replace(made, **facts), context.scratch / "given")
    return replace(context, reference=context.scratch / "given")


def test_the_stage_measures_the_full_size_model_and_keeps_it(context):
    notes = verify(CONFIG, context)
    # The toy's answers have nothing to do with those of the baseline.
    assert notes["verdict"] == "FAIL"
    assert "the gate asks for 95.0%" in notes["reason"]
    stored = baseline_store.load(context.output / "reference")
    assert stored.rows == 60
    assert stored.model_digest == context.baseline.digest
    written = sorted(file.name for file in context.output.iterdir())
    assert written == ["reference", "report.html", "report.json", "report.md"]
    found = fake_bundles.read_json(context.output / "report.json")
    assert found["linear_ops"] == SITES
    assert found["lineage"][0]["stage"] == "quantize"
    assert found["lineage"][0]["notes"] == {}
    assert found["baseline"]["latency"]["calls"] == 60


def test_an_interrupted_run_does_not_measure_the_full_size_model_again(context, monkeypatch):
    verify(CONFIG, context)

    def never(*arguments: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("edgeroberta.evaluation.baseline.measure", never)
    verify(CONFIG, context)


def test_a_left_over_reference_of_other_rows_is_measured_again(context):
    verify(CONFIG, context)
    fewer = replace(context.data, heldout=context.data.heldout.select(range(40)))
    again = replace(context, data=fewer)
    verify(CONFIG, again)
    assert baseline_store.load(context.output / "reference").rows == 40
    assert any(line.startswith("measuring the baseline again") for line in context.progress.lines)


@pytest.mark.parametrize(("wrong", "verdict"), [(0, "INCONCLUSIVE"), (12, "FAIL")])
def test_a_given_reference_decides(context, wrong, verdict):
    """60 rows labelled without regard to the toy: agreement alone decides at 12 of 60, and 60 are few."""
    notes = verify(CONFIG, agreeing_reference(context, wrong=wrong))
    assert notes["verdict"] == verdict
    assert baseline_store.load(context.output / "reference").device == "NVIDIA H200"


@pytest.mark.parametrize("what", ["model_digest", "data_digest"])
def test_a_given_reference_of_another_model_or_of_other_rows_is_refused(context, what):
    with pytest.raises(UsageError):
        verify(CONFIG, agreeing_reference(context, wrong=0, **{what: "5" * 64}))


def test_the_gate_is_the_recipe_s(context):
    lenient = VerifyConfig.model_validate(
        {"gate": {"max_drop": 1, "min_agreement": 0}, "latency_rows": 5, "examples": 0}
    )
    found = verify(lenient, context)
    # Nothing fails it, but the rows' labels are no more than chance to the baseline.
    assert found["verdict"] == "INCONCLUSIVE"
    assert "the labels do not measure this model: " in found["reason"]
    written = json.loads((context.output / "report.json").read_text(encoding="utf-8"))
    (warning,) = written["warnings"]
    assert warning.startswith("the labels do not measure this model: ")
    assert written["data"]["texts"] == 60
    assert written["data"]["leaked"] == 0
    for name in ("report.md", "report.html"):
        assert "WARNING: the labels do not measure" in (context.output / name).read_text(encoding="utf-8")
    found = fake_bundles.read_json(context.output / "report.json")
    assert found["gate"] == {
        "max_drop": 1.0,
        "min_agreement": 0.0,
        "confidence": 0.95,
        "min_kept": None,
        "metric": None,
        "min_recall": {},
        "max_recall_drop": None,
        "min_cosine": None,
        "swaps": None,
        "robustness": None,
        "slices": None,
    }
    assert found["flips"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"gate": {"max_drop": -0.1}},
        {"gate": {"min_agreement": 1.2}},
        {"gate": {"confidence": 1}},
        {"gate": {"max_dorp": 0.1}},
        {"latency_rows": 0},
        {"engines": "all"},
    ],
)
def test_a_bad_config_is_refused(fields):
    with pytest.raises(ValidationError):
        VerifyConfig.model_validate(fields)


def test_the_stage_measures_every_model_of_the_run_for_the_per_stage_metrics(context):
    content = context.baseline.digest
    source = Lineage("source", content, {}, 0, {}, {}, 0.0, content=content)
    full = Artifact(context.baseline.folder, Kind.CHECKPOINT, source)
    kept = context.scratch / "per-stage-rows"
    notes = verify(CONFIG, replace(context, artifacts=(full, context.inputs[Kind.DRAFT]), per_stage=kept))
    assert "per_stage" not in notes
    found = fake_bundles.read_json(context.output / "report.json")["per_stage"]
    assert [row["stage"] for row in found["rows"]] == ["baseline", "quantize"]
    assert [row["error"] for row in found["rows"]] == [None, None]
    # The toy knows nothing of the baseline.
    assert found["rows"][1]["flips"] > 0
    assert found["measured"] == 60
    assert len(list(kept.iterdir())) == 2
    assert "## What each stage lost" in (context.output / "report.md").read_text(encoding="utf-8")


def test_without_the_artifacts_of_a_run_there_are_no_per_stage_metrics(context):
    verify(CONFIG, context)
    assert fake_bundles.read_json(context.output / "report.json")["per_stage"] is None


CHANGES = VerifyConfig(latency_rows=5, swaps=("gender",), perturb=("typos", "case"))


def with_women(context: Context) -> Context:
    heldout = context.data.heldout
    texts = tuple(f"she {text}" if row % 2 else text for row, text in enumerate(heldout.texts))
    return replace(context, data=replace(context.data, heldout=replace(heldout, texts=texts)))


def test_changed_texts_are_asked_of_the_baseline_and_stored_for_the_next_time(context):
    context = with_women(context)
    verify(CHANGES, context)
    found = fake_bundles.read_json(context.output / "report.json")["engines"][0]
    assert [each["name"] for each in found["swaps"]] == ["gender"]
    assert found["swaps"][0]["rows"] == 44  # with "actor"
    assert [(each["name"], each["changed"]) for each in found["robustness"]] == [("typos", 60), ("case", 60)]
    stored = baseline_store.load(context.output / "reference").changed
    assert stored is not None
    assert [each.name for each in stored.options.swaps] == ["gender"]
    assert (stored.options.perturb, stored.options.seed) == (("typos", "case"), 0)
    assert len(stored.outputs) == 44 + 2 * 60
    for name in ("report.md", "report.html"):
        told = (context.output / name).read_text(encoding="utf-8")
        assert "Swapped terms" in told
        assert "Perturbed texts" in told


def test_without_changed_texts_nothing_of_them_is_left(context):
    context = with_women(context)
    verify(CHANGES, context)
    verify(CONFIG, context)
    assert baseline_store.load(context.output / "reference").changed is None
    assert sorted(file.name for file in (context.output / "reference").iterdir()) == [
        "outputs.npz",
        "reference.json",
    ]


def test_an_interrupted_run_asks_no_changed_text_again(context, monkeypatch):
    context = with_women(context)
    verify(CHANGES, context)

    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("edgeroberta.measure.torch_baseline.TorchBaseline.outputs", never)
    verify(CHANGES, context)


def test_a_given_reference_in_float_is_asked_here_what_it_lacks(context):
    context = agreeing_reference(with_women(context), wrong=0)
    verify(CHANGES, context)
    assert len(fake_bundles.read_json(context.output / "report.json")["engines"][0]["robustness"]) == 2


def test_a_given_reference_in_half_precision_must_have_been_asked(context):
    context = agreeing_reference(with_women(context), wrong=0, dtype="float16")
    with pytest.raises(UsageError) as refused:
        verify(CHANGES, context)
    assert refused.value.what == (
        "the baseline ran in float16 and was not asked these changed texts "
        "(--swaps gender --perturb typos,case)"
    )
    assert refused.value.code == "usage.changed-texts"
    assert "edgeroberta reference MODEL --data … --swaps gender --perturb typos,case" in refused.value.hint


@pytest.mark.parametrize(
    "fields",
    [
        {"gate": {"swaps": {"max_increase": 1.5}}},
        {"gate": {"swaps": {"max_increse": 0.1}}},
        {"gate": {"swaps": 0.02}},
        {"gate": {"robustness": {"max_drop": -0.1}}},
        {"gate": {"robustness": {"min_agreement": True}}},
        {"swaps": "gender"},
        {"perturb": 3},
    ],
)
def test_bad_settings_of_changed_texts_are_refused(fields):
    with pytest.raises(ValidationError):
        VerifyConfig.model_validate(fields)


def test_slices_are_measured_judged_and_kept_in_the_report(context):
    heldout = replace(context.data.heldout, columns={"dialect": ("scots",) * 8 + ("irish",) * 52})
    context = replace(context, data=replace(context.data, heldout=heldout))
    config = VerifyConfig.model_validate(
        {
            "latency_rows": 5,
            "slices": {"columns": ["dialect"], "label": True},
            "gate": {"max_drop": 1, "min_agreement": 0, "slices": {"max_drop": 0.5, "min_agreement": 0.5}},
        }
    )
    verify(config, agreeing_reference(context, wrong=0))
    found = fake_bundles.read_json(context.output / "report.json")
    assert found["slices"]["columns"] == ["dialect"]
    assert found["gate"]["slices"] == {"max_drop": 0.5, "min_agreement": 0.5}
    by = [(each["by"], each["name"], each["rows"]) for each in found["engines"][0]["slices"]]
    assert by == [
        ("dialect", "irish", 52),
        ("dialect", "scots", 8),
        ("label", "negative", 30),
        ("label", "positive", 30),
    ]
    assert "## Slice by slice" in (context.output / "report.md").read_text(encoding="utf-8")
    assert "<svg" in (context.output / "report.html").read_text(encoding="utf-8")
