"""Recipes that pre-train in compress: which text they get, and what is refused before anything runs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_stages
import pytest

import edgeroberta
from edgeroberta import demo, recipe
from edgeroberta.data import DataSpec
from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.pipeline import compression, compression_inputs
from edgeroberta.pipeline.compression_inputs import CompressionInputs, CompressionRequest
from edgeroberta.progress import Progress
from edgeroberta.tasks import Problem

END = "  - export: {}\n  - build: {}\n  - verify: {}\n  - bundle: {}\n"
ROWS = [f"The film number {i} is great." for i in range(60)]


@pytest.fixture
def files(tmp_path, monkeypatch) -> None:
    """Labelled rows and documents in the current folder, of which some are the same texts."""
    monkeypatch.chdir(tmp_path)
    _csv("rows.csv", ("text", "label"), [(text, i % 2) for i, text in enumerate(ROWS)])
    _csv(
        "pairs.csv", ("first", "second", "label"), [(text, f"And {i}", i % 2) for i, text in enumerate(ROWS)]
    )
    Path("plain.txt").write_text("\n".join(ROWS))
    Path("texts.txt").write_text("\n".join([*ROWS, *(f"A review of {i} words." for i in range(40))]))
    for name, stages in {
        "masks": "  - pretrain: {}\n",
        "own": "  - pretrain: {}\n  - finetune: {}\n",
        "student": "  - pretrain: {}\n  - finetune: {}\n  - distill: {max_length: 96}\n",
    }.items():
        Path(f"{name}.yaml").write_text(f"schema_version: 1\nname: {name}\nstages:\n{stages}{END}")


def _csv(name: str, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    with Path(name).open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])


def request(model: Path, data: str = "rows.csv", chosen: str = "own", **fields: Any) -> CompressionRequest:
    spec = DataSpec(data, unlabelled=fields.pop("unlabelled", "texts.txt"), limit=fields.get("limit"))
    asked = CompressionRequest(
        model=str(model),
        data=spec,
        recipe=f"./{chosen}.yaml" if "-" not in chosen else chosen,
        overrides=(),
        target="cpu",
        output=Path("out"),
        work=None,
        reference=None,
    )
    return replace(asked, **fields)


def find(asked: CompressionRequest) -> CompressionInputs:
    return compression_inputs.find(asked, recipe.load(asked.recipe))


def documents(found: CompressionInputs) -> list[str]:
    assert found.corpus is not None
    return [text for part in found.corpus.chunks() for text in part]


def test_documents_that_models_are_judged_by_are_left_out(files, tiny_headless_checkpoint):
    found = find(request(tiny_headless_checkpoint))
    judged = {*found.data.heldout.texts, *found.data.validation.texts}
    texts = documents(found)
    assert judged
    assert not judged & set(texts)
    assert len(texts) == 100 - len(judged)
    assert set(found.data.train.texts) <= set(texts)


def test_so_are_texts_of_which_words_are_masked(files, tiny_mask_checkpoint):
    found = find(request(tiny_mask_checkpoint, "plain.txt", "masks", task="fill-mask"))
    assert found.task.problem is Problem.MASKED
    judged = len(found.data.heldout) + len(found.data.validation)
    assert all("<mask>" in text for text in found.data.heldout.texts)
    assert len(documents(found)) == 100 - judged


def test_pairs_of_texts_are_pre_trained_on_single_documents(files, tiny_headless_checkpoint):
    asked = request(tiny_headless_checkpoint, "pairs.csv", "student")
    spec = replace(asked.data, text="first", text_pair="second")
    found = find(replace(asked, data=spec))
    assert found.task.pair
    assert found.data.unlabelled is None
    assert len(documents(found)) == 100 - len(found.data.heldout) - len(found.data.validation)
    assert "distill: rows are pairs of texts, so documents are pre-trained on and nothing else" in found.told


def test_a_student_reads_the_beginning_of_each_document_and_a_recipe_without_one_none(
    files, tiny_headless_checkpoint
):
    found = find(request(tiny_headless_checkpoint, chosen="student"))
    assert found.data.unlabelled is not None
    assert "distill: of each unlabelled document the first 96 tokens are read" in found.told
    plain = find(request(tiny_headless_checkpoint))
    assert plain.data.unlabelled is None
    assert plain.data.training_digest != found.data.training_digest


def test_where_the_text_was_is_kept_for_the_next_run(files, tiny_headless_checkpoint, tmp_path):
    found = find(request(tiny_headless_checkpoint))
    assert found.said["data"]["unlabelled"] == str(tmp_path / "texts.txt")


def test_other_recipes_have_no_corpus(files, tiny_headless_checkpoint):
    assert find(request(tiny_headless_checkpoint, chosen="finetune-int8")).corpus is None


@pytest.mark.parametrize(
    ("chosen", "change", "error", "told"),
    [
        ("adapt", {}, UsageError, "the recipe 'adapt' ends in a checkpoint, not in a bundle"),
        ("adapt-int8", {"unlabelled": None}, UsageError, "pre-trains on unlabelled text, and none is given"),
        ("masks", {}, RecipeError, "no stage teaches it a task"),
        ("masks", {"task": "text-classification"}, RecipeError, "no stage teaches it a task"),
        ("own", {"reference": Path("ref")}, UsageError, "makes its own baseline"),
        ("own", {"unlabelled": "nowhere/x.txt"}, UsageError, "no such file"),
    ],
    ids=str,
)
def test_what_cannot_be_pre_trained_is_refused(files, tiny_headless_checkpoint, chosen, change, error, told):
    asked = request(tiny_headless_checkpoint, chosen=chosen, **change)
    asked = replace(asked, recipe=chosen) if chosen.startswith("adapt") else asked
    for run in (compression.preview, lambda each: compression.compress(each, progress=Progress())):
        with pytest.raises(error, match=told):
            run(asked)
    assert not Path("out.work").exists()


def test_the_way_out_of_a_checkpoint_recipe_is_named(files, tiny_headless_checkpoint):
    with pytest.raises(UsageError) as raised:
        find(replace(request(tiny_headless_checkpoint), recipe="adapt"))
    assert raised.value.hint == "edgeroberta pretrain MODEL --unlabelled TEXT --recipe adapt -o out/"


def test_a_new_vocabulary_has_other_tokens_than_the_masks_of_rows(files, tmp_path):
    chosen = fake_stages.of_text(tmp_path / "log", vocabulary="train")
    steps = (*chosen.stages, *fake_stages.recipe(tmp_path / "log").stages)
    with pytest.raises(RecipeError, match="rows are masked with the tokens of MODEL") as raised:
        compression_inputs.text_inputs.require_learning(replace(chosen, stages=steps), "fill-mask")
    assert raised.value.where == "adapt.yaml: stages[0].pretrain"


def test_a_budget_is_asked_of_a_fine_tuned_model(files, tiny_checkpoint):
    with pytest.raises(UsageError, match="does not say how a smaller model is to learn"):
        edgeroberta.compress(
            tiny_checkpoint,
            "rows.csv",
            unlabelled="texts.txt",
            recipe="adapt-int8",
            speedup=2,
            output="out",
        )


def test_the_packaged_default_pre_trains_on_the_packaged_documents(
    files, tiny_headless_checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        demo, "prepare", lambda cache: demo.DemoSources(tiny_headless_checkpoint, DataSpec("rows.csv"))
    )
    monkeypatch.setattr(demo, "prepare_documents", lambda cache: tmp_path / "texts.txt")
    found = find(replace(request(tiny_headless_checkpoint), model=None, data=None))
    assert len(documents(found)) == 100 - len(found.data.heldout) - len(found.data.validation)
    kept = find(replace(request(tiny_headless_checkpoint), model=None, data=None, recipe="finetune-int8"))
    assert kept.corpus is None


def test_a_whole_run_pre_trains_fine_tunes_and_reports_the_curve(files, tiny_headless_checkpoint, tmp_path):
    quick = {"precision": "fp32", "batch_size": 8}
    settings = {
        **{f"{stage}.{name}": value for stage in ("pretrain", "finetune") for name, value in quick.items()},
        "pretrain.accumulation": 1,
        "pretrain.max_length": 16,
        "finetune.epochs": 1,
        "build.engines": ["onnxruntime"],
        "verify.latency_rows": 2,
    }
    given: dict[str, Any] = {"recipe": "./own.yaml", "settings": settings, "output": "out"}
    result = edgeroberta.compress(tiny_headless_checkpoint, "rows.csv", unlabelled="texts.txt", **given)
    report = json.loads((tmp_path / "out" / "reports" / "report.json").read_text())
    (found,) = report["pretraining"]
    assert found["documents"] < 100
    assert found["history"][0]["step"] == 0
    assert "## Pre-training" in (tmp_path / "out" / "reports" / "report.md").read_text()
    page = (tmp_path / "out" / "reports" / "report.html").read_text()
    assert "Perplexity on held-out text, step by step" in page
    assert "adapted and fine-tuned" in (tmp_path / "out" / "README.md").read_text()
    # The baseline is what the last of the leading stages made.
    assert [row["stage"] for row in report["per_stage"]["rows"]][:2] == ["baseline", "export"]
    assert [each.artifact.lineage.stage for each in result.run.stages][:2] == ["pretrain", "finetune"]
