"""What ``edgeroberta compress --dry-run`` tells: the model, rows, target, and what is set in each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from edgeroberta.data import Splits
from edgeroberta.notebook import Shown
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.recipe import PlacedStep, Recipe, RecipeStep, walk
from edgeroberta.recipe.document import TIERS
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.schemes import tag_table


@dataclass(frozen=True)
class Preview(Shown):
    """What a run would do."""

    recipe: Recipe  # the resolved recipe
    job: PipelineJob  # what it would run on
    #: whether a former run has done a stage, one entry for each of :func:`edgeroberta.recipe.walk`
    reused: tuple[bool, ...]
    fine_tunes_packaged_model: bool = False  # the packaged default's baseline is not there yet
    told: tuple[str, ...] = ()  # what was chosen for the user, and what the check of the model has to say

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; ``changed`` of a stage has what is not the default, by dotted name."""
        job = self.job
        return {
            "recipe": self.recipe.name,
            "fine_tunes_packaged_model": self.fine_tunes_packaged_model,
            "model": _model(job.model),
            "task": {**job.task.to_json(), "metric": job.task.metric},
            "rows": _rows(job.data),
            **({"text": {"source": job.corpus.source, "digest": job.corpus.digest}} if job.corpus else {}),
            "label_format": job.data.reading.format.value if job.data.reading else None,
            "target": {
                "name": job.target.name,
                "engines": list(job.target.engines),
                "threads": job.target.threads,
            },
            "notes": list(self.told),
            "output": str(job.output),
            "work": str(job.work),
            "stages": [
                {
                    "stage": placed.step.stage.name,
                    **({"tier": placed.tier} if placed.tier else {}),
                    "config": placed.step.config.model_dump(mode="json"),
                    "changed": _set(placed.step),
                    "reused": done,
                }
                for placed, done in self.placed()
            ],
        }

    def __str__(self) -> str:
        lines = self.facts()
        for placed, done in self.placed():
            settings = ", ".join(f"{name}={_value(value)}" for name, value in _set(placed.step).items())
            whose = f"{placed.tier}: " if placed.tier else ""
            what = "reused" if done else "would run"
            lines.append(f"{whose}{placed.step.stage.name}: {what}, {settings or 'all defaults'}")
        return "\n".join(lines)

    def placed(self) -> Iterator[tuple[PlacedStep, bool]]:
        """Give every stage in the order in which they run, and whether a former run has done it."""
        return zip(walk(self.recipe.stages), self.reused, strict=True)

    def facts(self) -> list[str]:
        """Return what a run would begin with, whatever its stages are, one fact a line."""
        job, found = self.job, _model(self.job.model)
        rows = {name: count for name, count in _rows(job.data).items() if count is not None}
        asked = "pairs of texts" if job.task.pair else "single texts"
        if job.task.problem is Problem.SPANS:
            asked = "questions and their contexts"
        lines = [
            f"model:  {found['path']}: {_shape(found)}, {found['parameters'] / 1e6:.1f} M parameters, "
            f"{found['bytes'] / 1e6:.1f} MB",
            f"task:   {job.task.problem.value.replace('_', ' ')} of {asked}: {_labels(job.task)}; "
            f"judged by {job.task.metric}",
            f"rows:   {', '.join(f'{count:,} {name}' for name, count in rows.items())}",
            f"target: {job.target.name}: {', '.join(job.target.engines)}; {job.target.threads} thread(s)",
            f"output: {job.output} (work folder {job.work})",
        ]
        if job.data.reading is not None and job.task.problem is not Problem.EMBEDDING:
            lines.insert(3, f"labels: read as {job.data.reading.format}")
        if job.corpus is not None:
            lines.insert(-2, f"text:   {job.corpus.source}")
        lines += self.told
        if self.fine_tunes_packaged_model:
            lines.append("the packaged default's baseline would be fine-tuned first")
        return lines


def _labels(task: Task) -> str:
    """Name the labels; of tags only what they are of, and their scheme; of tasks without, what they give."""
    if task.problem is Problem.MASKED:
        return "a token for each mask"
    if task.problem is Problem.EMBEDDING:
        unit = ", normalized" if task.normalize else ""
        return f"{task.dimensions} numbers each ({task.pooling} pooling{unit})"
    if task.problem is not Problem.TOKENS:
        return ", ".join(task.labels)
    table = tag_table(task.labels)
    return f"{', '.join(table.types)} ({table.scheme}, {len(task.labels)} tags)"


def _set(step: RecipeStep) -> dict[str, Any]:
    """Return what is set of a stage; of a cascade without its tiers, whose stages are told one by one."""
    return {name: value for name, value in changed(step.config).items() if not (step.tiers and name == TIERS)}


def changed(config: BaseModel) -> dict[str, Any]:
    """Return the settings that are not the defaults, or have none, by dotted name."""
    return dict(_changed(config, ""))


def _changed(config: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from _changed(value, f"{prefix}{name}.")
        elif field.is_required() or value != field.get_default(call_default_factory=True):
            yield f"{prefix}{name}", config.model_dump(mode="json")[name]


def _model(model: Checkpoint) -> dict[str, Any]:
    """Describe the model that the run would begin with; layers may differ in a pruned one."""
    encoder = model.config
    return {
        "path": str(model),
        "parameters": model.parameters,
        "bytes": model.weight_bytes,
        "vocab_size": encoder.vocab_size,
        "hidden_size": encoder.hidden_size,
        "layers": [layer.to_json() for layer in encoder.shape.layers],
    }


def _rows(data: Splits) -> dict[str, int | None]:
    return {
        "train": len(data.train),
        "validation": len(data.validation),
        "held-out": len(data.heldout),
        "unlabelled": None if data.unlabelled is None else len(data.unlabelled),
        "for the thresholds": None if data.fresh is None else len(data.fresh),
    }


def _shape(model: Mapping[str, Any]) -> str:
    layers = model["layers"]
    heads, neurons = (_range([layer[name] for layer in layers]) for name in ("heads", "intermediate"))
    return (
        f"{len(layers)} layers of {model['hidden_size']}, {heads} heads and {neurons} FFN neurons each, "
        f"{model['vocab_size']:,} tokens"
    )


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
