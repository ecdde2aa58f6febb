"""Writes a bundle's README.md: a model card with the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from edgeroberta import demo
from edgeroberta.escaping import code, markdown, one_line
from edgeroberta.evaluate.per_stage import Ledger, table
from edgeroberta.evaluate.report import to_come
from edgeroberta.evaluate.report_text import counted
from edgeroberta.runtime.session import ENGINES

#: Our metric names to those of the Hub's ``evaluate`` library.
_HUB_METRICS = {"accuracy": "accuracy", "micro_f1": "f1", "pearson": "pearsonr"}

_VERDICTS = {
    "PASS": "It **passed** its gate",
    "FAIL": "It **did not pass** its gate, and should not be used in place of the full-size model",
    "INCONCLUSIVE": "Its gate is **inconclusive**",
}

_OPTIMUM = {
    "onnxruntime": "ORTModelForSequenceClassification",
    "openvino": "OVModelForSequenceClassification",
}


#: Values of a card's ``license`` that name none.
_NO_LICENSE = ("other", "unknown")


@dataclass(frozen=True)
class _Origin:
    """What a bundle was made from.

    Attributes:
        name: What people call the model, without a path.
        base_model: Its id on the Hub; None for a folder of the user's.
        license: Identifier of its licence, None where it is not known.
    """

    name: str
    base_model: str | None
    license: str | None


def write(manifest: Mapping[str, Any], report: Mapping[str, Any], *, license_id: str | None = None) -> str:
    """Write the card.

    Args:
        manifest: Fields of the manifest, the gate included.
        report: ``report.json``.
        license_id: Licence of the full-size model (:func:`stated_license`), None where it is not known.

    Returns:
        Markdown with YAML front matter.
    """
    origin = _origin(manifest, license_id)
    parts = (
        _title(manifest, report, origin),
        _results(manifest, report),
        _ledger(report),
        _use(manifest),
        _on_the_device(manifest, report),
        _limits(manifest),
        _making(manifest),
    )
    front = _front_matter(manifest, report, origin)
    written = ["\n".join(part) for part in parts]
    return front + "\n" + "\n".join(f"{part}\n" for part in written if part)


def stated_license(model: Path) -> str | None:
    """Return the licence that the model card in a model folder states.

    Args:
        model: The model folder.

    Returns:
        The identifier, e.g. ``mit``; None where there is no card or it names no licence.
    """
    import yaml

    try:
        parts = (model / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        fields = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    stated = fields.get("license") if isinstance(fields, dict) else None
    return stated if isinstance(stated, str) and stated not in _NO_LICENSE else None


def _origin(manifest: Mapping[str, Any], license_id: str | None) -> _Origin:
    """Name what the user named: the folder a model lies in on this machine can be a digest."""
    stages = manifest["lineage"]
    source = stages[0].get("config", {}) if stages else {}
    typed = source.get("model")
    if typed == demo.PACKAGED and "data" not in source:
        return _Origin(demo.NAME, demo.MODEL, demo.LICENSE)
    hub_id = source.get("hub_id")
    name = hub_id or PurePath(str(typed or manifest["full_size"]["model"])).name
    if any(stage["stage"] == "finetune" for stage in stages):
        name = f"{name}, fine-tuned"
    return _Origin(name, hub_id, license_id)


def _front_matter(manifest: Mapping[str, Any], report: Mapping[str, Any], origin: _Origin) -> str:
    import yaml

    metric = report["metric"]
    measured = [result for result in report["engines"] if result["metrics"]]
    fields: dict[str, Any] = {
        "library_name": "edgeroberta",
        "pipeline_tag": "text-classification",
        "tags": ["edgeroberta", "roberta", "onnx", manifest["precision"], *manifest["engines"]],
    }
    for field in ("license", "base_model"):
        if value := getattr(origin, field):
            fields[field] = value
    if measured:
        source = {"name": one_line(Path(report["data"]["source"]).name), "type": "held-out"}
        measure = {
            "type": _HUB_METRICS.get(metric, metric),
            "name": f"{metric} ({measured[0]['engine']})",
            "value": round(measured[0]["metrics"][metric], 4),
        }
        task = {"type": "text-classification"}
        results = [{"task": task, "dataset": source, "metrics": [measure]}]
        fields["model-index"] = [
            {"name": f"{one_line(origin.name)} ({manifest['precision']})", "results": results}
        ]
    body: str = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    return f"---\n{body}---\n"


def _title(manifest: Mapping[str, Any], report: Mapping[str, Any], origin: _Origin) -> Iterator[str]:
    judgement = report["judgement"]
    full = manifest["full_size"]
    yield f"# {markdown(origin.name)}, compressed to {manifest['precision']}"
    yield ""
    yield (
        f"A {manifest['task']['problem'].replace('_', ' ')} model, compressed by EdgeRoBERTa "
        f"{manifest['created_by']} from a full-size model of {full['parameters']:,} parameters "
        f"({full['bytes'] / 1e6:.1f} MB) for the target {code(manifest['target'])}."
    )
    yield ""
    yield f"{_VERDICTS[judgement['verdict']]}: {markdown(judgement['reason'])}"
    for warning in report.get("warnings", ()):
        yield ""
        yield f"**Warning:** {markdown(warning)}."


def _results(manifest: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    metric, full = report["metric"], report["full_size"]
    yield "## Results"
    yield ""
    yield f"On held-out rows, the same for all: {counted(report['data'])}."
    yield ""
    yield f"| model | {metric} | same answer | p50 ms | status |"
    yield "|---|---:|---:|---:|---|"
    where = markdown(f"{full['dtype']}, {full['device']}")
    yield f"| full size, {where} | {_cell(full['metrics'][metric])} | | {_p50(full)} | |"
    for result in report["engines"]:
        value = (result["metrics"] or {}).get(metric)
        engine = markdown(f"{result['engine']} {result['version'] or ''}")
        yield (
            f"| this, {engine} | {_cell(value)} | {_percent(result['agreement'])} | {_p50(result)} "
            f"| {_status(result)} |"
        )
    yield ""
    yield (
        "Latency is for single texts with tokenization, on the machine named in "
        "[reports/report.md](reports/report.md), which also has the interval of the loss, "
        "the rows whose answers changed and the choices of the quantizer."
    )


def _ledger(report: Mapping[str, Any]) -> Iterator[str]:
    """Show in short which stage lost what; nothing where no ledger was kept."""
    ledger = Ledger.from_json(report["ledger"]) if report.get("ledger") else None
    if ledger is None or not ledger.rows:
        return
    shown = [table.header(ledger), *table.cells(ledger)]
    yield "## What each stage lost"
    yield ""
    for number, row in enumerate(shown):
        yield f"| {' | '.join(map(markdown, row))} |"
        if number == 0:
            yield f"|---|{'---:|' * (len(row) - 1)}"
    yield ""
    yield markdown(table.sentences(ledger)[0])


def _use(manifest: Mapping[str, Any]) -> Iterator[str]:
    call = '("first text", "second text")' if manifest["task"]["pair"] else '"some text"'
    engine = manifest["engines"][0]
    extra = ENGINES[engine].extra if engine in ENGINES else engine
    yield "## Use"
    yield ""
    yield "```python"
    yield f"# pip install 'edgeroberta[{extra}]'"
    yield "from edgeroberta.runtime import Runtime"
    yield ""
    yield 'runtime = Runtime.open("path/to/this/folder")'
    yield f"print(runtime({call}))"
    yield "```"
    for name in manifest["engines"]:
        if name in _OPTIMUM:
            yield ""
            yield f"It also loads in Optimum as `{_OPTIMUM[name]}`."
        if name == "openvino":
            yield (
                "For the same logits as with EdgeRoBERTa, set `INFERENCE_PRECISION_HINT` to `f32` in its "
                "`ov_config` and fix the shapes with `model.reshape(batch, length)`: with its default, "
                "dynamic shapes, int8 logits differ a little (up to 0.1 seen)."
            )
    yield ""
    yield "Labels: " + ", ".join(map(code, manifest["task"]["labels"])) + "."


def _on_the_device(manifest: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    """Say what was not measured, and how to; nothing where all engines were."""
    waiting = [each["engine"] for each in report["engines"] if to_come(each["engine"], each["status"])]
    if not waiting:
        return
    yield "## On the device"
    yield ""
    yield (
        f"The gate above was not asked for {' and '.join(f'`{name}`' for name in waiting)}: such engines "
        "exist on the device alone. `model.onnx`, which was measured, is the same model in ONNX Runtime, not "
        "the same engine. Build the engines on the device and ask the gate there, of the same rows:"
    )
    rows = shlex.quote(one_line(Path(report["data"]["source"]).name))
    yield ""
    yield "```console"
    yield f"$ edgeroberta build path/to/this/folder --target {manifest['target']} --data {rows}"
    yield f"$ edgeroberta bench path/to/this/folder --target {manifest['target']}"
    yield "```"
    if any(ENGINES[name].module == "tensorrt" for name in waiting):
        yield ""
        yield (
            "Without the device, `edgeroberta check path/to/this/folder` tells whether its graphs build and "
            "fuse in TensorRT."
        )


def _status(result: Mapping[str, Any]) -> str:
    if to_come(result["engine"], result["status"]):
        return "to be measured on the device"
    return str(result["status"])


def _limits(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield (
        f"Texts are cut off after {manifest['max_length']} tokens (`truncated` says when). The model has the "
        "biases and blind spots of the full-size model and of the texts it was trained on; on texts "
        "unlike the held-out ones, the figures above do not hold."
    )


def _making(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## How it was made"
    yield ""
    yield "`recipe.yaml` is the recipe with every default written out; `manifest.json` has the lineage."
    stages: Sequence[Mapping[str, Any]] = manifest["lineage"]
    if stages:
        yield ""
        yield "| stage | seconds |"
        yield "|---|---:|"
        for stage in stages:
            yield f"| {stage['stage']} | {stage['seconds']:.1f} |"


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _p50(measured: Mapping[str, Any]) -> str:
    latency = measured.get("latency")
    return "–" if not latency else f"{latency['p50_ms']:.2f}"
