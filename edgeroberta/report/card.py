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
    front_matter,
    labels,
    rendering,
    robustness,
    slices,
    stage_metrics,
    swaps,
)
from edgeroberta.report.base_card import BaseCard
from edgeroberta.report.table import Table
from edgeroberta.report.verification import counted
from edgeroberta.roberta.heads import HEADS
from edgeroberta.runtime.mask_token import USUAL
from edgeroberta.runtime.session import ENGINES
from edgeroberta.tasks import Problem, Task

#: Engine to how Optimum's classes for it begin.
_OPTIMUM = {"onnxruntime": "ORTModel", "openvino": "OVModel"}


_NOTHING_STATED, _PACKAGED = BaseCard(), BaseCard(demo.LICENSE, languages=("en",))


@dataclass(frozen=True)
class _CardSource:
    """What a bundle was made from: the name people call it by, its id on the Hub, what its card states."""

    name: str
    base_model: str | None
    stated: BaseCard
    own: bool = False  # whether nobody else's weights are in it


def write(
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    *,
    base: BaseCard = _NOTHING_STATED,
    family: str = "roberta",
) -> str:
    """Write the card of a manifest and its ``report.json``.

    ``base``: what the card of the baseline states. ``family``: the model's ``model_type``, which becomes a
    tag.
    """
    origin = _origin(manifest, base)
    per_stage = PerStageMetrics.from_json(report["per_stage"]) if report.get("per_stage") else None
    waiting = [each["engine"] for each in report["engines"] if to_come(each["engine"], each["status"])]
    engine = manifest["engines"][0]
    task = Task.from_json(manifest["task"])
    suffix = HEADS[task.head].suffix
    if suffix == "Model":  # an encoder alone, which Optimum calls by what it is for
        suffix = "ForFeatureExtraction"
    return rendering.render(
        "card.md.j2",
        front_matter=front_matter.write(
            manifest,
            report,
            name=origin.name,
            base_model=origin.base_model,
            base=origin.stated,
            family=family,
        ),
        base_model=origin.base_model,
        stated=origin.stated,
        own=origin.own,
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


def _origin(manifest: Mapping[str, Any], stated: BaseCard) -> _CardSource:
    """Name what the user named: the folder a model lies in on this machine can be a digest."""
    stages = manifest["lineage"]
    source = stages[0].get("config", {}) if stages else {}
    typed = source.get("model")
    if typed == demo.PACKAGED and "data" not in source:
        if not any(stage["stage"] == "pretrain" for stage in stages):
            return _CardSource(demo.NAME, demo.MODEL, _PACKAGED)
        typed, source, stated = demo.MODEL, {"hub_id": demo.MODEL}, _PACKAGED
    hub_id = source.get("hub_id")
    name = hub_id or PurePath(str(typed or manifest["baseline"]["model"])).name
    done = {stage["stage"]: stage for stage in stages}
    if (pretrained := done.get("pretrain")) is not None:
        if pretrained.get("config", {}).get("initialization") == "random":  # nobody else's weights are in it
            return _CardSource(
                "An encoder pre-trained from random weights, fine-tuned", None, _NOTHING_STATED, True
            )
        name = f"{name}, adapted"
    if "finetune" in done:
        name = f"{name}{' and' if pretrained else ','} fine-tuned"
    return _CardSource(name, hub_id, stated)
