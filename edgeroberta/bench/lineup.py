"""The rows that are measured here: the full-size model, where it is at hand, and the bundle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.bench.request import Request
from edgeroberta.bench.row import BUNDLE, FLOAT_ONNX, FULL_SIZE, ON_GPU, SAME_MODEL, Contender, Material
from edgeroberta.errors import BundleError, CheckpointError, UsageError
from edgeroberta.evaluate import provenance
from edgeroberta.evaluate.reference import Reference
from edgeroberta.evaluate.report import Gate
from edgeroberta.extras import missing
from edgeroberta.hardware import here
from edgeroberta.measure.protocol import Inputs, Spec
from edgeroberta.measure.subjects import SUBJECTS, bundle_specs
from edgeroberta.runtime.files import CONFIG, GRAPH
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.storage.cache import cache_dir
from edgeroberta.targets.matching import machine

if TYPE_CHECKING:
    from edgeroberta.roberta.checkpoint import Checkpoint

#: Said where nothing can be faster than the full-size model, for want of it.
NO_MODEL = "The full-size model is not here, so there is no speed-up over it: name it with --model."


def bundle(request: Request, inputs: Inputs) -> list[Contender]:
    """Offer the bundle on each engine, held to its own gate."""
    gate = _gate(request.bundle)
    specs = bundle_specs(request.bundle, inputs, engines=request.engines, threads=request.threads)
    return [Contender(BUNDLE, spec, gate) for spec in specs]


def _gate(bundle: Path) -> Gate:
    try:
        return provenance.stored_gate(bundle)
    except BundleError:  # made by a recipe without a gate: hold it to the usual one
        return Gate()


def full_size(
    request: Request, facts: Manifest, material: Material, scratch: Path, notes: list[str]
) -> list[Contender]:
    """Offer the full-size model in PyTorch and as a float32 graph, and on a GPU where there is one."""
    model = _model(request, facts, material.reference, notes)
    if model is None:
        return []
    spec = Spec(SUBJECTS["torch"], str(model), material.inputs, threads=request.threads)
    found = [Contender(FULL_SIZE, spec, SAME_MODEL), *_on_gpu(spec, request.dtypes)]
    if missing("compress") or missing("onnxruntime"):
        notes.append("No float32 ONNX row: pip install 'edgeroberta[compress,onnxruntime]'.")
        return found
    from edgeroberta.roberta import graph

    graph.write_float(model, scratch / GRAPH)
    shutil.copyfile(model.config_file, scratch / CONFIG)
    model.copy_tokenizer(scratch)
    return [
        *found,
        Contender(FLOAT_ONNX, replace(spec, subject=SUBJECTS["onnx"], path=str(scratch)), SAME_MODEL),
    ]


def _on_gpu(spec: Spec, dtypes: tuple[str, ...]) -> list[Contender]:
    # The driver tells without torch, whose import would take seconds here.
    if not machine(here()).gpus:
        return []
    return [
        Contender(f"{ON_GPU}{dtype}", replace(spec, device="cuda", dtype=dtype), SAME_MODEL)
        for dtype in dtypes
    ]


def _model(
    request: Request, facts: Manifest, stored: Reference | None, notes: list[str]
) -> Checkpoint | None:
    """Find the full-size model: it must be the one the bundle came from, whoever names it.

    A bundle may come from anyone: a folder that its manifest names is loaded only if it holds just what
    the manifest says, and nothing is downloaded.
    """
    from edgeroberta.roberta.checkpoint import Checkpoint

    digest = facts.full_size.get("digest")
    if request.model is not None:
        from edgeroberta.roberta import resolving

        model = resolving.resolve(request.model, allow_pickle=request.allow_pickle, cache=cache_dir())
        if model.digest != digest:
            raise UsageError(
                f"not the model this bundle came from ({facts.full_size.get('model')})",
                where=f"--model {request.model}",
            )
        return model
    known = [provenance.recall(facts)[provenance.FULL_SIZE], stored.model if stored else ""]
    for name in filter(None, known):
        model = Checkpoint(Path(name))
        if model.config_file.is_file():
            try:
                if model.digest == digest:
                    return model
                notes.append(f"The full-size model has changed since ({model}).")
            except OSError as error:
                notes.append(f"The full-size model cannot be read ({model}: {error.strerror}).")
            except CheckpointError as error:
                notes.append(f"The full-size model is none any more ({model}: {error.what}).")
            return None
    notes.append(NO_MODEL)
    return None
