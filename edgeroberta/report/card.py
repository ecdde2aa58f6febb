"""A bundle's README.md: a model card with the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from edgeroberta import demo
from edgeroberta.escaping import one_line
from edgeroberta.evaluation.per_stage import PerStageMetrics
from edgeroberta.evaluation.result import to_come
from edgeroberta.report import (
    cascade_lines,
    engines_table,
    labels,
    rendering,
    robustness,
    slices,
    stage_metrics,
    swaps,
)
from edgeroberta.report.table import Table
from edgeroberta.report.verification import counted
from edgeroberta.roberta.heads import HEADS
from edgeroberta.runtime.mask_token import USUAL
from edgeroberta.runtime.session import ENGINES
from edgeroberta.storage.files import README
from edgeroberta.tasks import KINDS, Problem, Task, TaskKind

#: Our metric names to those of the Hub's ``evaluate`` library.
_HUB_METRICS = {
    **dict.fromkeys(("f1", "micro_f1", "macro_f1", "cmrc_f1"), "f1"),
    "cmrc_exact_match": "exact_match",
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}
#: Metrics that the Hub shows beside the one of the gate, where a task has them.
_BESIDE = ("precision", "recall", "accuracy", "exact_match")
#: Engine to how Optimum's classes for it begin.
_OPTIMUM = {"onnxruntime": "ORTModel", "openvino": "OVModel"}
#: Values of a card's ``license`` that name none.
_NO_LICENSE = ("other", "unknown")


@dataclass(frozen=True)
class _CardSource:
    """What a bundle was made from: the name people call it by, its id on the Hub, and its licence."""

    name: str
    base_model: str | None
    license: str | None


def write(
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    *,
    license_id: str | None = None,
    family: str = "roberta",
) -> str:
    """Write the card of a manifest and its ``report.json``.

    ``license_id``: as of :func:`stated_license`. ``family``: the model's ``model_type``, which becomes a tag.
    """
    origin = _origin(manifest, license_id)
    per_stage = PerStageMetrics.from_json(report["per_stage"]) if report.get("per_stage") else None
    waiting = [each["engine"] for each in report["engines"] if to_come(each["engine"], each["status"])]
    engine = manifest["engines"][0]
    task = Task.from_json(manifest["task"])
    suffix = HEADS[task.head].suffix
    if suffix == "Model":  # an encoder alone, which Optimum calls by what it is for
        suffix = "ForFeatureExtraction"
    return rendering.render(
        "card.md.j2",
        front_matter=_front_matter(manifest, report, origin, family),
        name=origin.name,
        manifest=manifest,
        baseline=manifest["baseline"],
        baseline_device=report["baseline"]["device"],
        report=report,
        rows=counted(report["data"]),
        results=engines_table.table(report),
        bounds=labels.bounds(report),
        labels=labels.table(report),
        changed=[*swaps.sections(report), *robustness.sections(report)],
        slices=next(slices.sections(report), None),
        cascade=list(cascade_lines.lines(report.get("cascade"))),
        stage_metrics=stage_metrics.table(per_stage) if per_stage and per_stage.rows else None,
        stage_note=stage_metrics.notes(per_stage)[0] if per_stage else None,
        example=f'"some {USUAL[family == "bert"]}"' if task.problem is Problem.MASKED else '"some text"',
        extra=ENGINES[engine].extra if engine in ENGINES else engine,
        optimum={name: f"{start}{suffix}" for name, start in _OPTIMUM.items()},
        waiting=waiting,
        tensorrt=any(ENGINES[name].module == "tensorrt" for name in waiting),
        data=shlex.quote(one_line(Path(report["data"]["source"]).name)),
        stages=Table.of(
            ("stage", "seconds"),
            ((_step(stage), f"{stage['seconds']:.1f}") for stage in manifest["lineage"]),
        ),
    )


def _step(stage: Mapping[str, Any]) -> str:
    """Name a stage, and the tier that it made."""
    return f"{stage['tier']}: {stage['stage']}" if stage.get("tier") else str(stage["stage"])


def _kind(manifest: Mapping[str, Any]) -> TaskKind:
    return KINDS[manifest["task"]["problem"]]


def stated_license(model: Path) -> str | None:
    """Return the licence that the card in a model folder states, e.g. ``mit``; None where it states none."""
    import yaml

    try:
        parts = (model / README).read_text(encoding="utf-8").split("---\n", 2)
        fields = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    stated = fields.get("license") if isinstance(fields, dict) else None
    return stated if isinstance(stated, str) and stated not in _NO_LICENSE else None


def _origin(manifest: Mapping[str, Any], license_id: str | None) -> _CardSource:
    """Name what the user named: the folder a model lies in on this machine can be a digest."""
    stages = manifest["lineage"]
    source = stages[0].get("config", {}) if stages else {}
    typed = source.get("model")
    if typed == demo.PACKAGED and "data" not in source:
        if not any(stage["stage"] == "pretrain" for stage in stages):
            return _CardSource(demo.NAME, demo.MODEL, demo.LICENSE)
        typed, source, license_id = demo.MODEL, {"hub_id": demo.MODEL}, demo.LICENSE
    hub_id = source.get("hub_id")
    name = hub_id or PurePath(str(typed or manifest["baseline"]["model"])).name
    done = {stage["stage"]: stage for stage in stages}
    if (pretrained := done.get("pretrain")) is not None:
        if pretrained.get("config", {}).get("initialization") == "random":  # nobody else's weights are in it
            return _CardSource("An encoder pre-trained from random weights, fine-tuned", None, None)
        name = f"{name}, adapted"
    if "finetune" in done:
        name = f"{name}{' and' if pretrained else ','} fine-tuned"
    return _CardSource(name, hub_id, license_id)


def _front_matter(
    manifest: Mapping[str, Any], report: Mapping[str, Any], origin: _CardSource, family: str
) -> str:
    import yaml

    metric, tag = report["metric"], _kind(manifest).optimum_task
    fields: dict[str, Any] = {
        "library_name": "edgeroberta",
        "pipeline_tag": tag,
        "tags": ["edgeroberta", family, "onnx", manifest["precision"], *manifest["engines"]],
    }
    if manifest["task"]["problem"] == Problem.EMBEDDING:
        fields["tags"] += ["sentence-transformers", "feature-extraction"]
    for field in ("license", "base_model"):
        if value := getattr(origin, field):
            fields[field] = value
    if measured := next((result for result in report["engines"] if result["metrics"]), None):
        result = {
            "task": {"type": tag},
            "dataset": {"name": one_line(Path(report["data"]["source"]).name), "type": "held-out"},
            "metrics": [
                {
                    "type": _HUB_METRICS.get(name, name),
                    "name": f"{name} ({measured['engine']})",
                    "value": round(measured["metrics"][name], 4),
                }
                for name in dict.fromkeys((metric, *_BESIDE))
                if name in measured["metrics"]
            ],
        }
        name = f"{one_line(origin.name)} ({manifest['precision']})"
        fields["model-index"] = [{"name": name, "results": [result]}]
    written: str = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    return written
