"""The head of a model card: what the Hub's pages, searches and examples go by, as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeroberta import demo
from edgeroberta.escaping import one_line
from edgeroberta.report.base_card import BaseCard
from edgeroberta.runtime.mask_token import USUAL
from edgeroberta.tasks import KINDS, Problem

#: Our metric names to those of the Hub; others are its own, such as ``accuracy`` and ``precision``.
HUB_METRICS = {
    **dict.fromkeys(("f1", "f1_strict", "micro_f1", "macro_f1", "cmrc_f1"), "f1"),
    **dict.fromkeys(("accuracy_5", "subset_accuracy"), "accuracy"),
    "cmrc_exact_match": "exact_match",
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "recall@1": "recall_at_1",
    "recall@5": "recall_at_5",
    "recall@10": "recall_at_10",
    "mrr@10": "mrr_at_10",
}
#: Metrics that are shown beside the one of the gate, where a task has them.
_BESIDE = ("precision", "recall", "accuracy", "exact_match")
#: Sentences to try a model with, by language; English where none is known.
_SENTENCES = {
    "en": ("Anna Berg flew from Oslo to Rome last week.", "She took a plane to Italy.", "It rains again."),
    "zh": ("安娜上周从北京飞往上海。", "她坐飞机去了上海。", "又下雨了。"),
}  # fmt: skip
_OPINIONS = {
    "en": "The music was good, but the second half was too long.",
    "zh": "音乐很好，但是后半部分太长了。",
}
_QUESTIONS = {"en": "Where did Anna Berg fly to?", "zh": "安娜飞往哪里？"}
_MASKED = {"en": "The capital of France is {}.", "zh": "今天天气很{}。"}


def write(
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    *,
    name: str,
    base_model: str | None,
    base: BaseCard,
    family: str,
) -> str:
    """Write the fields of a card.

    ``name``: what people call the model. ``base_model``: its id on the Hub. ``base``: what its card states.
    ``family``: its ``model_type``.
    """
    import yaml

    tag = KINDS[manifest["task"]["problem"]].optimum_task
    fields: dict[str, Any] = {
        "library_name": "edgeroberta",
        "pipeline_tag": tag,
        "tags": ["edgeroberta", family, "onnx", manifest["precision"], *manifest["engines"]],
    }
    if manifest["task"]["problem"] == Problem.EMBEDDING:
        fields["tags"] += ["sentence-transformers", "feature-extraction"]
    if base.languages:
        fields["language"] = list(base.languages)
    fields.update(base.license_fields)
    if base_model:
        fields["base_model"] = base_model
        if (relation := relation_to_base(manifest)) is not None:
            fields["base_model_relation"] = relation
    if dataset := hub_dataset(manifest, report):
        fields["datasets"] = [dataset["type"]]
    fields["widget"] = widget(manifest["task"], family, base.languages)
    if results := _results(report, tag, dataset):
        fields["model-index"] = [{"name": f"{one_line(name)} ({manifest['precision']})", "results": results}]
    written: str = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    return written


def relation_to_base(manifest: Mapping[str, Any]) -> str | None:
    """Say what a bundle is to its base model: ``finetune`` where that was trained first, else ``quantized``.

    None where neither was done: the Hub has no word for a smaller float model.
    """
    done = {stage["stage"] for stage in manifest["lineage"]}
    packaged = any(stage.get("config", {}).get("model") == demo.PACKAGED for stage in manifest["lineage"][:1])
    if packaged or done & {"pretrain", "finetune"}:  # the packaged model was fine-tuned before it came here
        return "finetune"
    return "quantized" if manifest["precision"] == "int8" else None


def hub_dataset(manifest: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the data set on the Hub that the held-out rows are of; None where they are of a file.

    ``type`` is its id; ``config`` and ``split`` are there where they are known.
    """
    source: Mapping[str, Any] = manifest["lineage"][0].get("config", {}) if manifest["lineage"] else {}
    rows, rest, split = (report["data"]["source"] + "[").partition("[")
    if not rest or rows not in source.get("hub_datasets", ()):
        return None
    name, _, configuration = rows.partition(":")
    found = {"name": name, "type": name, "config": configuration, "split": split.strip("[]")}
    return {key: value for key, value in found.items() if value}


def _results(report: Mapping[str, Any], tag: str, dataset: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """Return what the first engine that was measured came to, as a ``model-index`` has it."""
    measured = next((result for result in report["engines"] if result["metrics"]), None)
    if measured is None:
        return []
    file = {"name": one_line(Path(report["data"]["source"]).name), "type": "held-out"}
    metrics = [
        {
            "type": HUB_METRICS.get(name, name),
            "name": f"{name} ({measured['engine']})",
            "value": round(measured["metrics"][name], 4),
        }
        for name in dict.fromkeys((report["metric"], *_BESIDE))
        if name in measured["metrics"]
    ]
    return [{"task": {"type": tag}, "dataset": dict(dataset or file), "metrics": metrics}]


def widget(task: Mapping[str, Any], family: str, languages: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return examples for the page of a model, in the form that its kind of task has there."""
    language = languages[0] if languages and languages[0] in _SENTENCES else "en"
    first, second, third = _SENTENCES[language]
    problem = task["problem"]
    if problem == Problem.SPANS:
        return [{"text": _QUESTIONS[language], "context": first}]
    if problem == Problem.MASKED:
        return [{"text": _MASKED[language].format(USUAL[family == "bert"])}]
    if problem == Problem.EMBEDDING:
        return [{"source_sentence": first, "sentences": [second, third]}]
    if task["pair"]:
        return [{"text": first, "text_pair": second}]
    return [{"text": first if problem == Problem.TOKENS else _OPINIONS[language]}]
