from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from edgeroberta import escaping
from edgeroberta.evaluation.per_stage import PerStageMetrics, StageRow
from edgeroberta.report import card
from edgeroberta.report.base_card import BaseCard

GOLDEN = Path(__file__).parent / "golden" / "card.md"


@pytest.fixture
def manifest():
    return {
        "task": {"problem": "single_label_classification", "labels": ["negative", "positive"], "pair": False},
        "max_length": 512,
        "engines": ["onnxruntime", "openvino"],
        "created_by": "0.1.0",
        "target": "cpu",
        "precision": "int8",
        "lineage": [{"stage": "distill", "seconds": 61.26}, {"stage": "quantize", "seconds": 12.0}],
        "baseline": {"model": "/home/someone/models/reviews", "parameters": 30_300_000, "bytes": 121_200_000},
    }


@pytest.fixture
def report():
    latency = {"p50_ms": 1.234}
    good = {
        "engine": "onnxruntime",
        "version": "1.31.1",
        "status": "ok",
        "metrics": {"accuracy": 0.809},
        "agreement": 0.981,
        "latency": latency,
        "judgement": {"verdict": "PASS"},
    }
    failed = {"judgement": {"verdict": "FAIL"}}
    absent = {"metrics": None, "agreement": None, "latency": None, "version": None, **failed}
    return {
        "judgement": {"verdict": "PASS", "reason": "the drop is small", "rows_needed": None},
        "metric": "accuracy",
        "data": {"source": "/home/someone/reviews.csv", "rows": 1000},
        "baseline": {
            "dtype": "float32",
            "device": "NVIDIA H200",
            "metrics": {"accuracy": 0.818},
            "latency": None,
        },
        "engines": [good, {**absent, "engine": "openvino", "status": "not installed"}],
    }


def front_matter(text):
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_a_card_reads_as_it_should(manifest, report):
    manifest.update(engines=["tensorrt", "onnxruntime", "openvino"], target="jetson")
    waiting = {**report["engines"][1], "engine": "tensorrt"}
    rows = (
        StageRow(
            "baseline", "checkpoint", 0.884, None, 1.0, 0, 0.051, 30_300_000, 122_600_000, "e", 5.1, 1.0
        ),
        StageRow("quantize", "graph", 0.872, 0.012, 0.95, 44, 0.061, 30_300_000, 32_700_000, "e", 1.2, 4.25),
    )
    report.update(
        engines=[waiting, *report["engines"]],
        data={**report["data"], "texts": 20, "leaked": 7},
        warnings=["the labels <do not> measure"],
        per_stage=asdict(PerStageMetrics("accuracy", 872, 872, 90, rows)),
    )
    text = card.write(manifest, report, base=BaseCard("mit"))
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_cascade_tells_its_tiers_and_its_promise(manifest, report):
    tiers = [
        {"name": "tiny", "threshold": 0.9, "share": 0.4},
        {"name": "int8", "threshold": None, "share": 0.6},
    ]
    choice = {"kept": True, "reason": "", "rows": 1182, "agreement": 0.99, "confidence": 0.95, "tiers": tiers}
    rows_of = {"source": "train.csv", "rows": 1200, "set_aside": True}
    report["cascade"] = {"choice": choice, "rows_of": rows_of, "heldout": {}}
    manifest["cascade"] = {"last": "int8"}
    manifest["lineage"][0]["tier"] = "tiny"
    text = card.write(manifest, report)
    assert "## Tiers" in text
    assert "- promise: at least 99 % of such texts get the answer of int8, with 95 % confidence" in text
    assert "tiny: distill" in text
    assert "Optimum and other tools open the last tier alone" in text


def test_what_does_not_apply_is_left_out(manifest, report):
    unmeasured = asdict(PerStageMetrics("accuracy", 872, 872, 90, missing="no"))
    for per_stage in (None, unmeasured):  # of a report of version 0.2, and of one without a runtime
        text = card.write({**manifest, "engines": ["onnxruntime"]}, {**report, "per_stage": per_stage})
        assert not [
            part for part in ("What each stage lost", "On the device", "Warning", "reshape") if part in text
        ]
    report["engines"] = report["engines"][1:]
    assert "model-index" not in front_matter(card.write(manifest, report))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "Texts are cut off after 512 tokens (`truncated` says when). The model"),
        (
            {"long_text": "windows", "stride": 128},
            "Texts of more than 512 tokens are read in windows (`windows` says how many). The model",
        ),
        (
            {"long_text": "refuse", "stride": 0},
            "Texts of more than 512 tokens are refused; of the held-out rows, such were cut off. The model",
        ),
    ],
)
def test_what_happens_to_long_texts_is_told(manifest, report, fields, told):
    limits = card.write({**manifest, **fields}, report).split("## Limits\n\n")[1]
    assert limits.startswith(told)


def test_the_front_matter_is_what_the_hub_reads(manifest, report):
    found = front_matter(card.write(manifest, report))
    assert found == {
        "library_name": "edgeroberta",
        "pipeline_tag": "text-classification",
        "tags": ["edgeroberta", "roberta", "onnx", "int8", "onnxruntime", "openvino"],
        "widget": [{"text": "The music was good, but the second half was too long."}],
        "model-index": [
            {
                "name": "reviews (int8)",
                "results": [
                    {
                        "task": {"type": "text-classification"},
                        "dataset": {"name": "reviews.csv", "type": "held-out"},
                        "metrics": [{"type": "accuracy", "name": "accuracy (onnxruntime)", "value": 0.809}],
                    }
                ],
            }
        ],
    }


SNAPSHOT = "/home/someone/.cache/models--someone--roberta/snapshots/0f3e9"


def test_a_model_of_the_hub_goes_by_its_id(manifest, report):
    manifest["baseline"]["model"] = SNAPSHOT
    config = {"model": "someone/roberta", "hub_id": "someone/roberta", "data": {"data": "x.csv"}}
    manifest["lineage"].insert(0, {"stage": "source", "seconds": 0.0, "config": config})
    text = card.write(manifest, report, base=BaseCard("mit"))
    assert "# someone/roberta, compressed to int8\n" in text
    found = front_matter(text)
    assert (found["base_model"], found["license"]) == ("someone/roberta", "mit")
    assert found["model-index"][0]["name"] == "someone/roberta (int8)"
    assert "0f3e9" not in text


def test_a_folder_goes_by_the_name_that_was_typed_and_has_no_base_model(manifest, report):
    manifest["baseline"]["model"] = "/home/someone/.cache/edgeroberta/checkpoints/0f3e9"
    config = {"model": "models/reviews", "data": {"data": "x.csv"}}
    manifest["lineage"].insert(0, {"stage": "source", "seconds": 0.0, "config": config})
    text = card.write(manifest, report)
    assert "# reviews, compressed to int8\n" in text
    assert not {"base_model", "license"} & set(front_matter(text))


def test_a_base_model_that_was_fine_tuned_first_is_called_so(manifest, report):
    config = {"model": "someone/roberta", "hub_id": "someone/roberta", "data": {"data": "x.csv"}}
    source = {"stage": "source", "seconds": 0.0, "config": config}
    manifest["lineage"] = [source, {"stage": "finetune", "seconds": 9.0}]
    text = card.write(manifest, report)
    assert "# someone/roberta, fine-tuned, compressed to int8\n" in text


def test_the_packaged_default_names_its_encoder_and_licence(manifest, report):
    config = {"model": "packaged", "limit": None}
    manifest["lineage"].insert(0, {"stage": "source", "seconds": 0.0, "config": config})
    manifest["baseline"]["model"] = "/home/someone/.cache/edgeroberta/teacher/00-finetune-0f3e9"
    text = card.write(manifest, report)
    name = "granite-embedding-30m-english fine-tuned on Rotten Tomatoes"
    assert f"# {name}, compressed to int8\n" in text
    found = front_matter(text)
    assert found["base_model"] == "ibm-granite/granite-embedding-30m-english"
    assert found["license"] == "apache-2.0"
    assert found["model-index"][0]["name"] == f"{name} (int8)"


@pytest.mark.parametrize(
    ("initialization", "name", "base"),
    [
        ("checkpoint", "someone/roberta, adapted and fine-tuned", "someone/roberta"),
        ("random", "An encoder pre-trained from random weights, fine-tuned", None),
    ],
)
def test_a_model_that_was_pre_trained_is_called_so(manifest, report, initialization, name, base):
    config = {"model": "someone/roberta", "hub_id": "someone/roberta", "data": {"data": "x.csv"}}
    manifest["lineage"] = [
        {"stage": "source", "seconds": 0.0, "config": config},
        {"stage": "pretrain", "seconds": 9.0, "config": {"initialization": initialization}},
        {"stage": "finetune", "seconds": 9.0},
    ]
    text = card.write(manifest, report, base=BaseCard("mit"))
    assert f"# {name}, compressed to int8\n" in text
    assert front_matter(text).get("base_model") == base
    assert front_matter(text).get("license") == (base and "mit")


def test_the_packaged_encoder_that_was_adapted_is_its_base(manifest, report):
    config = {"model": "packaged", "limit": None}
    manifest["lineage"] = [
        {"stage": "source", "seconds": 0.0, "config": config},
        {"stage": "pretrain", "seconds": 9.0, "config": {}},
        {"stage": "finetune", "seconds": 9.0},
    ]
    found = front_matter(card.write(manifest, report))
    assert found["base_model"] == "ibm-granite/granite-embedding-30m-english"
    assert found["license"] == "apache-2.0"


def test_a_pair_is_used_as_a_pair(manifest, report):
    assert 'runtime("some text")' in card.write(manifest, report)
    manifest["task"]["pair"] = True
    assert 'runtime(("first text", "second text"))' in card.write(manifest, report)


def test_the_python_of_the_card_is_python(manifest, report):
    code = card.write(manifest, report).split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert "pip install 'edgeroberta[onnxruntime]'" in code


def test_hostile_names_of_model_labels_and_data_stay_texts(manifest, report):
    manifest["baseline"]["model"] = "/home/me/a`b|<script>[x](y)\x1b[2J\n---"
    manifest["task"]["labels"] = ["a`b", "---\n# x", "\u202eevil"]
    text = card.write(manifest, {**report, "data": {"source": "rows`\n```\x1b.csv", "rows": 9}})
    _, front, body = text.split("---\n", 2)
    (entry,) = yaml.safe_load(front)["model-index"]
    assert entry["name"] == r"a`b|<script>[x](y)\x1b[2J\n--- (int8)"
    assert body.startswith("\n# a\\`b\\|\\<script\\>\\[x\\](y)\\\\x1b\\[2J ---, compressed to int8\n")
    assert "\nLabels: ``a`b``, `---\\n# x`, `\\u202eevil`.\n" in body
    assert escaping.plain(text) == text


def test_a_model_that_labels_tokens_is_found_and_loaded_as_one(manifest, report):
    manifest["task"] = {**manifest["task"], "problem": "token_classification", "labels": ["O", "B-PER"]}
    report["metric"] = "f1"
    report["engines"][0]["metrics"] = {"f1": 0.95}
    text = card.write(manifest, report)
    found = front_matter(text)
    assert (
        found["pipeline_tag"]
        == found["model-index"][0]["results"][0]["task"]["type"]
        == "token-classification"
    )
    assert "`ORTModelForTokenClassification`" in text
    assert "`OVModelForTokenClassification`" in text
    assert "SequenceClassification" not in text


@pytest.mark.parametrize(("family", "text"), [("roberta", "some <mask>"), ("bert", "some [MASK]")])
def test_a_model_that_fills_masks_is_shown_a_text_with_one_and_has_no_labels(manifest, report, family, text):
    manifest["task"] = {"problem": "fill_mask", "labels": [], "pair": False, "dimensions": 20, "mask_id": 4}
    written = card.write(manifest, report, family=family)
    assert f'print(runtime("{text}"))' in written
    assert "Labels:" not in written


def test_a_card_tells_of_swapped_and_perturbed_texts(manifest, report):
    nearly = {"mean": 0.011, "low": -0.003, "high": 0.026}
    report["engines"][0]["swaps"] = [
        {
            "name": "gender",
            "rows": 312,
            "texts": 312,
            "guessed": 12,
            "baseline": 0.031,
            "compressed": 0.042,
            "only_baseline": 2,
            "only_compressed": 5,
            "increase": nearly,
            "most": 0.02,
            "verdict": "INCONCLUSIVE",
        }
    ]
    report["engines"][0]["robustness"] = [
        {
            "name": "typos",
            "changed": 990,
            "baseline": 0.79,
            "compressed": 0.77,
            "baseline_loss": 0.028,
            "compressed_loss": 0.039,
            "drop": {"mean": 0.02, "low": 0.005, "high": 0.035},
            "agreement": {"mean": 0.95, "low": 0.93, "high": 0.97},
            "most": None,
            "least": None,
            "verdict": None,
        }
    ]
    text = card.write(manifest, report)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.split("\n")]
    assert ["onnxruntime", "gender", "312", "3.1", "4.2", "+1.1 (-0.3 to +2.6)", "2", "5", "2.0",
            "INCONCLUSIVE"] in cells  # fmt: skip
    assert ["onnxruntime", "typos", "990", "79.0", "77.0", "2.8", "3.9", "+2.0 (+0.5 to +3.5)",
            "95.0 (93.0 to 97.0)", "–", "not judged"] in cells  # fmt: skip
    assert "In 12 rows of gender the next word decides what a term stands for" in text
