"""Masked words through whole recipes: from plain texts to a bundle with a verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from masked import texts

import edgeroberta

FAST = {"precision": "fp32", "batch_size": 16, "learning_rate": 3e-3, "epochs": 1}
LAX = {"verify.gate.max_drop": 1.0, "verify.gate.min_agreement": 0.0, "verify.latency_rows": 2}


@pytest.fixture
def plain(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("\n".join(texts(300)))
    return "texts.txt"


@pytest.fixture
def adapted(tiny_headless_checkpoint, plain) -> tuple[Path, Any]:
    """A tiny encoder that has learnt the words of the texts, and the result of that run."""
    settings = {
        **{f"finetune.{name}": value for name, value in FAST.items()},
        "finetune.epochs": 10,
        "finetune.dropout": 0,
        "build.engines": ["onnxruntime"],
    }
    result = edgeroberta.compress(
        tiny_headless_checkpoint,
        plain,
        task="fill-mask",
        recipe="fill-mask-int8",
        output="adapted",
        settings={**settings, **LAX},
    )
    (found,) = Path("adapted.work").glob("*-finetune-*")
    return found, result


def small(stage: str) -> dict[str, Any]:
    return {f"{stage}.{name}": value for name, value in FAST.items()}


def report(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(folder) / "reports" / "report.json").read_text())
    return found


def test_an_encoder_is_adapted_and_judged_by_masked_words(adapted):
    _, result = adapted
    assert result.verdict == "PASS"
    told = report("adapted")
    (engine,) = told["engines"]
    assert told["baseline"]["metrics"]["accuracy"] > 0.3
    assert engine["metrics"]["perplexity"] == pytest.approx(
        told["baseline"]["metrics"]["perplexity"], rel=0.2
    )
    assert engine["agreement"] > 0.8
    (masks,) = edgeroberta.load("adapted")("a great <mask>").masks
    assert len(masks) == 5
    assert masks[0].text.strip()


@pytest.mark.slow
@pytest.mark.parametrize("chosen", ["fp32", "int8", "int8-distill", "prune-int8", "tiny"])
def test_every_recipe_ends_in_a_bundle_with_a_verdict(adapted, plain, chosen):
    model, _ = adapted
    settings: dict[str, Any] = {
        "int8-distill": small("distill"),
        "prune-int8": small("prune.recovery"),
        "tiny": {**small("distill"), **small("prune.recovery"), "vocabulary.size": 400},
    }.get(chosen, {})
    result = edgeroberta.compress(model, plain, recipe=chosen, output=chosen, settings={**settings, **LAX})
    assert result.verdict == "PASS"
    told = report(chosen)
    for engine in told["engines"]:
        assert engine["metrics"]["accuracy"] > 0.05
        assert 1 < engine["metrics"]["perplexity"] < 1000
    rows = edgeroberta.evaluate(chosen).report.data["rows"]
    assert rows == told["data"]["rows"]
