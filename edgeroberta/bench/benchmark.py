"""From a bundle to its table: find the data, the reference and the full-size model, and compare."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeroberta import artifact, targets
from edgeroberta.bench import table
from edgeroberta.bench.comparison import (
    BUNDLE,
    FLOAT_ONNX,
    FULL_SIZE,
    SAME_MODEL,
    Comparison,
    Contender,
    Material,
    compare,
)
from edgeroberta.bench.process import Measured, Worker
from edgeroberta.bench.protocol import Inputs, Spec
from edgeroberta.bench.rounds import Plan
from edgeroberta.bench.subjects import SUBJECTS, bundle_specs
from edgeroberta.cache import cache_dir
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import (
    BundleError,
    CheckpointError,
    EdgeRobertaError,
    UnavailableError,
    UsageError,
)
from edgeroberta.extras import missing
from edgeroberta.progress import Progress
from edgeroberta.runtime import manifest
from edgeroberta.runtime.lengths import BIN
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.verification import provenance, reference
from edgeroberta.verification.reference import Reference
from edgeroberta.verification.report import Gate

#: What processes answer first when there is no data; its words do not matter.
_TEXT = "It was better than I had expected, and the ending is lovely."


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        bundle: Bundle folder.
        data: Where the rows are; None for the data the bundle was made with, if it is here.
        target: Name of the device class to measure on; None for this machine.
        reference: Folder of the full-size reference; None for the one the bundle carries, if any.
        model: The full-size model; None for the one the bundle was made from, if it is here.
        allow_pickle: Accept weights of ``model`` that are only there as a pickle.
        engines: Engines to take; None for all of the bundle's.
        rows: Rows to check answers on, at most; a seeded sample.
        batch: Texts per call.
        length: Tokens per text, for a fixed shape of random ids; None for the data's own lengths.
        threads: Threads for each process.
        rounds: Turns for each process.
    """

    bundle: Path
    data: DataSpec | None = None
    target: str | None = None
    reference: Path | None = None
    model: str | None = None
    allow_pickle: bool = False
    engines: tuple[str, ...] | None = None
    rows: int = 1000
    batch: int = 1
    length: int | None = None
    threads: int = 1
    rounds: int = 5


def benchmark(
    request: Request, *, progress: Progress, start: Callable[[Spec], Measured] = Worker
) -> Comparison:
    """Measure a bundle beside the full-size model it came from.

    Args:
        request: What to measure.
        progress: Where to report.
        start: Makes the process that holds a model.

    Returns:
        The table. What could not be found is said in its notes.

    Raises:
        BundleError: It is not a bundle, or a damaged one.
        UnavailableError: The target is another machine.
        UsageError: An option does not fit the bundle, or the reference is of another model or rows.
    """
    _check_target(request.target)
    facts = manifest.read(request.bundle)
    if request.length is not None and not 2 <= request.length <= facts.max_length:
        raise UsageError(f"must be 2 to {facts.max_length} for this bundle", where="--length")
    notes: list[str] = []
    material = _material(request, facts, notes)
    plan = Plan(
        rounds=request.rounds,
        batch=request.batch,
        tokens=_tokens(request, facts, material),
        threads=request.threads,
    )
    with tempfile.TemporaryDirectory() as scratch:
        contenders = [
            *_full_size(request, facts, material, Path(scratch), notes),
            *_bundle(request, material.inputs),
        ]
        found = compare(contenders, material, plan, progress=progress, start=start)
    return replace(found, notes=tuple(notes))


def write(comparison: Comparison, bundle: Path) -> Path:
    """Write ``reports/bench.md`` and ``reports/bench.json`` into a bundle; they are not part of it.

    Args:
        comparison: The table.
        bundle: Bundle folder.

    Returns:
        The Markdown file.

    Raises:
        EdgeRobertaError: The folder cannot be written.
    """
    folder = bundle / "reports"
    try:
        folder.mkdir(exist_ok=True)
        artifact.write_json(folder / "bench.json", comparison.to_json())
        artifact.write_text(folder / "bench.md", table.markdown(comparison))
    except OSError as error:
        raise EdgeRobertaError(
            f"the table could not be kept in the bundle ({error.strerror})",
            where=str(folder),
            hint="add --json and redirect it to a file",
        ) from error
    return folder / "bench.md"


def _check_target(name: str | None) -> None:
    if name is not None and targets.load(name).remote:
        raise UnavailableError(
            f"the target {name!r} is another machine, and none is named",
            where="--target",
            hint=f"add --host user@{name}, or see without one whether the bundle will build there: "
            f"edgeroberta check BUNDLE --target {name}",
        )


def _material(request: Request, facts: Manifest, notes: list[str]) -> Material:
    stored = _reference(request)
    rows = _rows(request, facts, stored, notes)
    if request.reference is not None and stored is not None and rows is not None:
        reference.check(stored, rows=rows, task=facts.task, model_digest=facts.full_size.get("digest"))
    if rows is None:
        inputs: Inputs = [(_TEXT, _TEXT)] if facts.task.pair else [_TEXT]
        return Material(facts.task, inputs, reference=stored)
    full = stored.logits if stored is not None and stored.data_digest == rows.digest else None
    if stored is not None and full is None:
        notes.append(
            "The stored reference is of other rows; answers are held against the full-size model here."
        )
    if len(rows) > request.rows:
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[: request.rows])
        rows = rows.select(chosen)
        full = None if full is None else full[chosen]
    return Material(facts.task, rows.inputs(), rows, full, stored)


def _reference(request: Request) -> Reference | None:
    """Take the reference that the user names, else the bundle's own, if it has one."""
    if request.reference is None:
        return provenance.stored_reference(request.bundle)
    return reference.load(request.reference)


def _rows(request: Request, facts: Manifest, stored: Reference | None, notes: list[str]) -> Rows | None:
    try:
        return provenance.heldout_rows(facts, request.data, digest=stored.data_digest if stored else None)
    except EdgeRobertaError as error:
        if request.data is not None or request.reference is not None:
            raise
        notes.append(f"No data: {error.what}.")
        return None


def _tokens(request: Request, facts: Manifest, material: Material) -> tuple[int, ...] | None:
    if request.length is not None:
        return (request.length,)
    if material.rows is not None:
        return None
    middles = [min(BIN * index + BIN // 2, facts.max_length) for index in range(len(facts.lengths))]
    drawn = [length for length, count in zip(middles, facts.lengths, strict=True) for _ in range(count)]
    # Thousands of training texts say no more about the lengths than every n-th of them.
    return tuple(drawn[:: max(1, len(drawn) // 1000)]) or (min(32, facts.max_length),)


def _bundle(request: Request, inputs: Inputs) -> list[Contender]:
    gate = _gate(request.bundle)
    specs = bundle_specs(request.bundle, inputs, engines=request.engines, threads=request.threads)
    return [Contender(BUNDLE, spec, gate) for spec in specs]


def _gate(bundle: Path) -> Gate:
    try:
        return provenance.stored_gate(bundle)
    except BundleError:  # made by a recipe without a gate: hold it to the usual one
        return Gate()


def _full_size(
    request: Request, facts: Manifest, material: Material, scratch: Path, notes: list[str]
) -> list[Contender]:
    model = _model(request, facts, material.reference, notes)
    if model is None:
        return []
    spec = Spec(SUBJECTS["torch"], str(model), material.inputs, threads=request.threads)
    found = [Contender(FULL_SIZE, spec, SAME_MODEL)]
    if missing("compress") or missing("onnxruntime"):
        notes.append("No float32 ONNX row: pip install 'edgeroberta[compress,onnxruntime]'.")
        return found
    from edgeroberta.roberta import checkpoint, graph

    graph.write_float(model, scratch / "model.onnx")
    shutil.copyfile(model / "config.json", scratch / "config.json")
    checkpoint.copy_tokenizer(model, scratch)
    return [
        *found,
        Contender(FLOAT_ONNX, replace(spec, subject=SUBJECTS["onnx"], path=str(scratch)), SAME_MODEL),
    ]


def _model(request: Request, facts: Manifest, stored: Reference | None, notes: list[str]) -> Path | None:
    """Find the full-size model: it must be the one the bundle came from, whoever names it.

    A bundle may come from anyone: a folder that its manifest names is loaded only if it holds just what
    the manifest says, and nothing is downloaded.
    """
    digest = facts.full_size.get("digest")
    if request.model is not None:
        from edgeroberta.roberta import checkpoint

        model = checkpoint.resolve(request.model, allow_pickle=request.allow_pickle, cache=cache_dir())
        if reference.digest_model(model) != digest:
            raise UsageError(
                f"not the model this bundle came from ({facts.full_size.get('model')})",
                where=f"--model {request.model}",
            )
        return model
    known = [str(facts.full_size.get("model", "")), stored.model if stored else ""]
    for name in filter(None, known):
        model = Path(name)
        if (model / "config.json").is_file():
            if _holds(model, digest):
                return model
            notes.append(f"The full-size model has changed since ({model}).")
            return None
    notes.append("The full-size model is not here, so there is no speed-up over it: name it with --model.")
    return None


def _holds(model: Path, digest: str | None) -> bool:
    try:
        return reference.digest_model(model) == digest
    except (CheckpointError, OSError):  # no model any more
        return False
