"""The head of a card is what the Hub reads, as its own client reads it."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData, metadata_load
from huggingface_hub.repocard_data import eval_results_to_model_index

from edgeroberta.report import base_card, card
from edgeroberta.report.base_card import BaseCard
from edgeroberta.report.front_matter import HUB_METRICS
from edgeroberta.tasks import KINDS, Problem

#: Ids of metrics on the Hub, of its library ``evaluate`` and of MTEB, whose names end in places.
METRICS = {
    *(
        "accuracy",
        "f1",
        "precision",
        "recall",
        "exact_match",
        "matthews_correlation",
        "pearsonr",
        "spearmanr",
    ),
    *("recall_at_1", "recall_at_5", "recall_at_10", "mrr_at_10"),
}
#: Of each kind of task: labels, and an example in the form of its widget.
FORMS = {
    Problem.SINGLE_LABEL: {"text"},
    Problem.MULTI_LABEL: {"text"},
    Problem.REGRESSION: {"text"},
    Problem.TOKENS: {"text"},
    Problem.SPANS: {"text", "context"},
    Problem.MASKED: {"text"},
    Problem.EMBEDDING: {"source_sentence", "sentences"},
}


@pytest.fixture
def manifest():
    config = {"model": "someone/roberta", "hub_id": "someone/roberta", "data": {"data": "x.csv"}}
    return {
        "task": {"problem": "single_label_classification", "labels": ["no", "yes"], "pair": False},
        "max_length": 512,
        "engines": ["onnxruntime"],
        "created_by": "0.1.0",
        "target": "cpu",
        "precision": "int8",
        "lineage": [{"stage": "source", "seconds": 0.0, "config": config}],
        "baseline": {"model": "someone/roberta", "parameters": 30_300_000, "bytes": 121_200_000},
    }


@pytest.fixture
def report():
    engine = {
        "engine": "onnxruntime",
        "version": "1.31.1",
        "status": "ok",
        "metrics": {"accuracy": 0.809},
        "agreement": 0.981,
        "latency": {"p50_ms": 1.234},
        "judgement": {"verdict": "PASS"},
    }
    baseline = {"dtype": "float32", "device": "a CPU", "metrics": {"accuracy": 0.818}, "latency": None}
    return {
        "judgement": {"verdict": "PASS", "reason": "the drop is small", "rows_needed": None},
        "metric": "accuracy",
        "data": {"source": "reviews.csv", "rows": 1000},
        "baseline": baseline,
        "engines": [engine],
    }


def fields(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize("problem", list(Problem))
def test_the_client_of_the_hub_reads_the_head_of_every_kind_of_task(manifest, report, tmp_path, problem):
    kind = KINDS[problem]
    manifest["task"].update(problem=problem.value, pair=problem is Problem.SPANS)
    if problem is Problem.EMBEDDING:
        manifest["task"].update(labels=[], pooling="mean", dimensions=20, normalize=True)
    metric = kind.default_metric
    report.update(metric=metric)
    report["engines"][0]["metrics"] = {metric: 0.75}
    report["baseline"]["metrics"] = {metric: 0.76}
    text = card.write(manifest, report, base=BaseCard("mit", languages=("en",)))
    (tmp_path / "README.md").write_text(text)
    read = ModelCard.load(tmp_path / "README.md")
    assert isinstance(read.data, ModelCardData)
    (result,) = read.data.eval_results
    assert isinstance(result, EvalResult)
    assert (result.metric_value, result.task_type) == (0.75, kind.optimum_task)
    assert result.metric_type in METRICS
    assert read.data.pipeline_tag == kind.optimum_task
    assert (read.data.license, read.data.language) == ("mit", ["en"])
    found = metadata_load(tmp_path / "README.md")
    assert found == fields(text)
    again = eval_results_to_model_index(read.data.model_name, read.data.eval_results)
    assert again == found["model-index"]
    (example,) = found["widget"]
    assert set(example) == FORMS[problem]


def test_every_metric_of_every_kind_is_one_of_the_hub():
    names = {name for kind in KINDS.values() for name in kind.metrics}
    assert {HUB_METRICS.get(name, name) for name in names} <= METRICS
    assert set(HUB_METRICS) <= names | {"cmrc_exact_match"}


def test_a_cascade_is_read_as_well(manifest, report):
    manifest["cascade"] = {"last": "int8"}
    manifest["lineage"].append({"stage": "quantize", "seconds": 1.0, "tier": "tiny"})
    tiers = [
        {"name": "tiny", "threshold": 0.9, "share": 0.4},
        {"name": "int8", "threshold": None, "share": 0.6},
    ]
    choice = {"kept": True, "reason": "", "rows": 1182, "agreement": 0.99, "confidence": 0.95, "tiers": tiers}
    rows_of = {"source": "train.csv", "rows": 1200, "set_aside": True}
    report["cascade"] = {"choice": choice, "rows_of": rows_of, "heldout": {}}
    read = ModelCard(card.write(manifest, report))
    assert (read.data.base_model, read.data.to_dict()["base_model_relation"]) == (
        "someone/roberta",
        "quantized",
    )


@pytest.mark.parametrize(
    ("stages", "precision", "relation"),
    [
        ((), "int8", "quantized"),
        (("distill", "quantize"), "int8", "quantized"),
        (("finetune", "quantize"), "int8", "finetune"),
        (("pretrain", "finetune"), "fp32", "finetune"),
        (("prune",), "fp32", None),
    ],
)
def test_what_it_is_to_its_base_model_is_told(manifest, report, stages, precision, relation):
    manifest["lineage"] += [{"stage": stage, "seconds": 1.0} for stage in stages]
    manifest["precision"] = precision
    found = fields(card.write(manifest, report))
    assert (found["base_model"], found.get("base_model_relation")) == ("someone/roberta", relation)


def test_a_model_of_a_folder_has_no_relation(manifest, report):
    manifest["lineage"][0]["config"] = {"model": "reviews", "data": {"data": "x.csv"}}
    assert not {"base_model", "base_model_relation"} & set(fields(card.write(manifest, report)))


@pytest.mark.parametrize(
    ("source", "dataset"),
    [
        (
            "nyu/glue:sst2[validation]",
            {"name": "nyu/glue", "type": "nyu/glue", "config": "sst2", "split": "validation"},
        ),
        ("imdb[test]", {"name": "imdb", "type": "imdb", "split": "test"}),
        ("reviews.csv", None),
        ("other/set[test]", None),
    ],
)
def test_a_data_set_of_the_hub_goes_by_its_id(manifest, report, source, dataset):
    manifest["lineage"][0]["config"]["hub_datasets"] = ["nyu/glue:sst2", "imdb"]
    report["data"]["source"] = source
    found = fields(card.write(manifest, report))
    told = found["model-index"][0]["results"][0]["dataset"]
    assert told == (dataset or {"name": source.rsplit("/")[-1], "type": "held-out"})
    assert found.get("datasets") == (None if dataset is None else [dataset["type"]])


def test_a_chinese_model_is_tried_with_chinese(manifest, report):
    (example,) = fields(card.write(manifest, report, base=BaseCard(languages=("zh",))))["widget"]
    assert example == {"text": "音乐很好，但是后半部分太长了。"}


@pytest.mark.parametrize(("family", "mask"), [("roberta", "<mask>"), ("bert", "[MASK]")])
def test_a_masked_example_has_the_mask_of_the_family(manifest, report, family, mask):
    manifest["task"]["problem"] = "fill_mask"
    (example,) = fields(card.write(manifest, report, family=family))["widget"]
    assert mask in example["text"]


def test_a_pair_is_tried_with_a_pair(manifest, report):
    manifest["task"]["pair"] = True
    (example,) = fields(card.write(manifest, report))["widget"]
    assert set(example) == {"text", "text_pair"}


@pytest.mark.parametrize(
    ("readme", "stated"),
    [
        ("---\nlicense: mit\n---\n# A model\n", BaseCard("mit")),
        ("---\nlicense: mit\nlanguage: en\n---\n", BaseCard("mit", languages=("en",))),
        ("---\nlanguage: [en, 7, zh]\n---\n", BaseCard(languages=("en", "zh"))),
        ("---\nlicense: other\n---\n", BaseCard()),
        (
            "---\nlicense: other\nlicense_name: llama\nlicense_link: LICENSE\n---\n",
            BaseCard("other", "llama", "LICENSE"),
        ),
        ("---\nlicense: unknown\n---\n", BaseCard()),
        ("---\ntags: [roberta]\n---\n", BaseCard()),
        ("---\nlicense: [\n---\n", BaseCard()),
        ("---\n- license\n---\n", BaseCard()),
        ("# A model\n\n---\nlicense: mit\n---\n", BaseCard()),
        (None, BaseCard()),
    ],
)
def test_what_is_inherited_is_what_the_models_own_card_states(tmp_path, readme, stated):
    if readme is not None:
        (tmp_path / "README.md").write_text(readme)
    assert base_card.read(tmp_path) == stated


@pytest.mark.parametrize(
    ("base", "told"),
    [
        (BaseCard("mit"), "The card of someone/roberta states the licence `mit`, which holds"),
        (BaseCard("other", "llama", "LICENSE"), "states the licence `llama` (LICENSE), which holds"),
        (BaseCard(), "The card of someone/roberta states no licence that could be inherited"),
    ],
)
def test_the_licence_is_told_in_the_card_and_none_is_made_up(manifest, report, base, told):
    text = card.write(manifest, report, base=base)
    assert told in text.split("## Licence\n")[1]
    assert fields(text).get("license") == base.license
