"""The rows that are measured here: the baseline, where it is at hand, the bundle, and graphs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.row import (
    BASELINE,
    BUNDLE,
    FLOAT_ONNX,
    ON_GPU,
    SAME_MODEL,
    EvaluationData,
    RowSpec,
)
from edgeroberta.errors import BundleError, CheckpointError, UsageError
from edgeroberta.evaluation import provenance
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.extras import missing
from edgeroberta.hardware import machine_facts
from edgeroberta.measure import exported
from edgeroberta.measure.exported import ExportedModel
from edgeroberta.measure.protocol import Inputs, SubjectSpec
from edgeroberta.measure.subjects import SUBJECTS, bundle_specs
from edgeroberta.roberta import exported_graphs
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.storage import paths
from edgeroberta.storage.cache import cache_dir
from edgeroberta.storage.files import GRAPH
from edgeroberta.targets.matching import target_facts

if TYPE_CHECKING:
    from edgeroberta.roberta.checkpoint import Checkpoint

#: Said where nothing can be faster than the baseline, for want of it.
NO_MODEL = "The baseline is not here, so there is no speed-up over it: name it with --model."


def bundle_rows(request: BenchRequest, inputs: Inputs) -> list[RowSpec]:
    """Offer the bundle on each engine, held to its own gate."""
    gate = gate_of(request)
    specs = bundle_specs(request.bundle, inputs, engines=request.engines, threads=request.threads)
    return [RowSpec(BUNDLE, spec, gate) for spec in specs]


def exported_models(request: BenchRequest, facts: Manifest) -> list[ExportedModel]:
    """Check the graphs of other programs that are to have rows. Raises CheckpointError: one cannot."""
    return [exported.read(place, facts, where=f"--beside {place}") for place in request.beside]


def exported_rows(
    models: Sequence[ExportedModel],
    request: BenchRequest,
    facts: Manifest,
    eval_data: EvaluationData,
    notes: list[str],
) -> list[RowSpec]:
    """Offer graphs of other programs, each held to the bundle's gate; ``notes`` gets how they differ."""
    gate, rows = gate_of(request), []
    for number, model in enumerate(models):
        notes.extend(exported.differences(model, facts, eval_data.inputs))
        same = sum(each.name == model.name for each in models[:number])
        # Not by their paths, which are nobody's business where the table is kept.
        name = f"{model.name} ({same + 1})" if same else model.name
        rows.append(RowSpec(name, _exported_spec(model, request, facts, eval_data), gate))
    return rows


def _exported_spec(
    model: ExportedModel, request: BenchRequest, facts: Manifest, eval_data: EvaluationData
) -> SubjectSpec:
    return SubjectSpec(
        SUBJECTS["exported"],
        str(model.graph),
        eval_data.inputs,
        threads=request.threads,
        engine=model.engine,
        overlap=facts.long_texts.overlap,
        bundle=str(request.bundle),
    )


def gate_of(request: BenchRequest) -> GateLimits:
    """Return the bundle's own gate, about the metric that was asked for."""
    try:
        gate = provenance.stored_gate(request.bundle)
    except BundleError:  # made by a recipe without a gate: hold it to the usual one
        gate = GateLimits()
    return gate if request.metric is None else replace(gate, metric=request.metric)


def baseline_rows(
    request: BenchRequest, facts: Manifest, eval_data: EvaluationData, scratch: Path, notes: list[str]
) -> list[RowSpec]:
    """Offer the baseline in PyTorch and as a float32 graph, and on a GPU where there is one."""
    if request.model is not None and exported_graphs.is_export(place := paths.named(request.model)):
        named = exported.read(place, facts, where=f"--model {request.model}")
        notes.append(
            f"The baseline is the graph {named.name}: only its answers can tell whether it is the model that "
            "the bundle came from."
        )
        notes.extend(exported.differences(named, facts, eval_data.inputs))
        return [RowSpec(BASELINE, _exported_spec(named, request, facts, eval_data), SAME_MODEL)]
    model = _model(request, facts, eval_data.reference, notes)
    if model is None:
        return []
    spec = SubjectSpec(
        SUBJECTS["torch"],
        str(model),
        eval_data.inputs,
        threads=request.threads,
        overlap=facts.long_texts.overlap,
    )
    found = [RowSpec(BASELINE, spec, SAME_MODEL), *_on_gpu(spec, request.dtypes)]
    if missing("compress") or missing("onnxruntime"):
        notes.append("No float32 ONNX row: pip install 'edgeroberta[compress,onnxruntime]'.")
        return found
    from edgeroberta.roberta import graph

    graph.write_float(model, scratch / GRAPH, pair=facts.task.joins)
    model.copy_files(scratch)
    return [
        *found,
        RowSpec(FLOAT_ONNX, replace(spec, subject=SUBJECTS["onnx"], path=str(scratch)), SAME_MODEL),
    ]


def _on_gpu(spec: SubjectSpec, dtypes: tuple[str, ...]) -> list[RowSpec]:
    # The driver tells without torch, whose import would take seconds here.
    if not target_facts(machine_facts()).gpus:
        return []
    return [
        RowSpec(f"{ON_GPU}{dtype}", replace(spec, device="cuda", dtype=dtype), SAME_MODEL) for dtype in dtypes
    ]


def _model(
    request: BenchRequest, facts: Manifest, stored: BaselineAnswers | None, notes: list[str]
) -> Checkpoint | None:
    """Find the baseline: it must be the one the bundle came from, whoever names it.

    A bundle may come from anyone: a folder that its manifest names is loaded only if it holds just what
    the manifest says, and nothing is downloaded.
    """
    from edgeroberta.roberta.checkpoint import Checkpoint

    digest = facts.baseline.get("digest")
    if request.model is not None:
        from edgeroberta.roberta import resolving

        model = resolving.resolve(request.model, allow_pickle=request.allow_pickle, cache=cache_dir())
        if model.digest != digest:
            raise UsageError(
                f"not the model this bundle came from ({facts.baseline.get('model')})",
                where=f"--model {request.model}",
            )
        return model
    known = [provenance.load_origin(facts)[provenance.BASELINE], stored.model if stored else ""]
    for name in filter(None, known):
        model = Checkpoint(Path(name))
        if model.config_file.is_file():
            try:
                if model.digest == digest:
                    return model
                notes.append(f"The baseline has changed since ({model}).")
            except OSError as error:
                notes.append(f"The baseline cannot be read ({model}: {error.strerror}).")
            except CheckpointError as error:
                notes.append(f"The baseline is none any more ({model}: {error.what}).")
            return None
    notes.append(NO_MODEL)
    return None
