"""What ``edgeroberta compress --dry-run`` tells: the model, rows, target, and what is set in each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from edgeroberta.pipeline.compression import Preview
from edgeroberta.roberta import checkpoint
from edgeroberta.roberta.config import EncoderConfig


def to_json(preview: Preview) -> dict[str, Any]:
    """Return a preview for machines; ``changed``: a stage's settings that are not the defaults."""
    return {
        "recipe": preview.recipe.name,
        "fine_tunes_packaged_model": preview.job is None,
        "model": _model(preview),
        "task": {
            "problem": preview.task.problem.value,
            "labels": list(preview.task.labels),
            "pair": preview.task.pair,
        },
        "rows": _rows(preview),
        "label_format": preview.data.reading.format.value if preview.data.reading else None,
        "target": {
            "name": preview.target.name,
            "engines": list(preview.target.engines),
            "threads": preview.target.threads,
        },
        "notes": list(preview.told),
        "output": str(preview.output),
        "work": str(preview.work),
        "stages": [
            {
                "stage": step.stage.name,
                "config": step.config.model_dump(mode="json"),
                "changed": changed(step.config),
                "reused": reused,
            }
            for step, reused in zip(preview.recipe.stages, preview.reused, strict=True)
        ],
    }


def to_text(preview: Preview) -> str:
    """Return a preview for people, one fact a line."""
    lines = facts(preview)
    for step, reused in zip(preview.recipe.stages, preview.reused, strict=True):
        settings = ", ".join(f"{name}={_value(value)}" for name, value in changed(step.config).items())
        lines.append(
            f"{step.stage.name}: {'reused' if reused else 'would run'}, {settings or 'all defaults'}"
        )
    return "\n".join(lines)


def facts(preview: Preview) -> list[str]:
    """Return what a run would begin with, whatever its stages are, one fact a line."""
    target, found = preview.target, _model(preview)
    rows = {name: count for name, count in _rows(preview).items() if count is not None}
    lines = [
        f"model:  {found['path']}: {_shape(found)}, {found['parameters'] / 1e6:.1f} M parameters, "
        f"{found['bytes'] / 1e6:.1f} MB",
        f"task:   {preview.task.problem.value.replace('_', ' ')} of {_input(preview)}: "
        f"{', '.join(preview.task.labels)}",
        f"rows:   {', '.join(f'{count:,} {name}' for name, count in rows.items())}",
        f"target: {target.name}: {', '.join(target.engines)}; {target.threads} thread(s)",
        f"output: {preview.output} (work folder {preview.work})",
    ]
    if preview.data.reading is not None:
        lines.insert(3, f"labels: read as {preview.data.reading.format}")
    lines += preview.told
    if preview.job is None:
        lines.append("the packaged default's full-size model would be fine-tuned first")
    return lines


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


def _model(preview: Preview) -> dict[str, Any]:
    """Describe the model that the run would begin with; layers may differ in a pruned one."""
    encoder = EncoderConfig.from_dir(preview.model)
    return {
        "path": str(preview.model),
        "parameters": checkpoint.parameters(preview.model),
        "bytes": checkpoint.weight_bytes(preview.model),
        "vocab_size": encoder.vocab_size,
        "hidden_size": encoder.hidden_size,
        "layers": [layer.to_json() for layer in encoder.shape.layers],
    }


def _rows(preview: Preview) -> dict[str, int | None]:
    data = preview.data
    return {
        "train": len(data.train),
        "validation": len(data.validation),
        "held-out": len(data.heldout),
        "unlabelled": None if data.unlabelled is None else len(data.unlabelled),
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


def _input(preview: Preview) -> str:
    return "pairs of texts" if preview.task.pair else "single texts"


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
