"""What a device needs to bench a bundle: its files, the held-out rows, the stored reference, our wheel."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta import targets
from edgeroberta.bench.benchmark import Request
from edgeroberta.data.reading import Format
from edgeroberta.data.rows import Rows
from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.evaluate import provenance, reference
from edgeroberta.evaluate.reference import Reference
from edgeroberta.remote import wheel, wheelhouse
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.job import Job
from edgeroberta.remote.shipping import Blob
from edgeroberta.runtime import manifest
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.runtime.session import ENGINES
from edgeroberta.runtime.tensorrt import FORMS
from edgeroberta.tasks import Problem, Task

#: Folders and files in the job's folder on the device.
BUNDLE, REFERENCE, ROWS, WHEEL, WHEELHOUSE = "bundle", "reference", "rows.jsonl", "wheel", "wheelhouse"
TEXT, PAIR, LABEL = "text", "text_pair", "label"
#: The step whose result is the table.
BENCH, BUILD = "bench", "build"


@dataclass(frozen=True)
class Payload:
    """What every host gets.

    Attributes:
        request: What to measure.
        facts: The bundle's manifest.
        files: Path in the job's folder to blob.
        wheel: This package.
        notes: What a reader should know.
        source: Where the rows are from, which their copy on the device does not tell; None without rows.
    """

    request: Request
    facts: Manifest
    files: Mapping[str, Blob]
    wheel: wheel.Wheel
    notes: tuple[str, ...]
    source: str | None


def gather(request: Request) -> Payload:
    """Collect and hash everything but what one host alone gets.

    Args:
        request: What to measure.

    Raises:
        BundleError: It is not a bundle, or a damaged one.
        DataError: The rows that the user named cannot be used.
        UsageError: The reference is of another model or other rows, or an option does not fit.
    """
    if request.model is not None:
        raise UsageError(
            "the full-size model is not sent to a device",
            where="--model",
            hint="measure it where it is, and send what it answered: edgeroberta reference MODEL --data … "
            "-o ref/, then --reference ref/",
        )
    facts = manifest.read(request.bundle)
    manifest.check_files(facts)
    notes: list[str] = []
    files = {f"{BUNDLE}/{name}": request.bundle / name for name in (*facts.files, manifest.MANIFEST_FILE)}
    report = request.bundle / provenance.REPORT_FILE
    if report.is_file():
        files[f"{BUNDLE}/{provenance.REPORT_FILE}"] = report
    stored = _reference(request)
    if stored is not None:
        named = request.reference
        folder = named or request.bundle / provenance.REFERENCE_FOLDER
        place = REFERENCE if named else f"{BUNDLE}/{provenance.REFERENCE_FOLDER}"
        files |= {f"{place}/{name}": folder / name for name in (reference.JSON_FILE, reference.LOGITS_FILE)}
    rows = _rows(request, facts, stored, notes)
    made = wheel.build()
    blobs = {place: Blob.of(file) for place, file in files.items()}
    blobs[f"{WHEEL}/{made.name}"] = Blob.of(made.content)
    if rows is not None:
        blobs[ROWS] = Blob.of(rows_jsonl(rows, facts.task))
    return Payload(request, facts, blobs, made, tuple(notes), rows.source if rows is not None else None)


def job_for(payload: Payload, host: Host, wheels: Path | None) -> tuple[Job, dict[str, Blob]]:
    """Make the job of one host.

    Args:
        payload: What every host gets.
        host: The host.
        wheels: Folder of wheels for it; None for the one of its configuration, if any.

    Returns:
        The job, and the blobs that must be there before it starts, by sha256.

    Raises:
        UsageError: There is no such target, or the wheelhouse has no wheels.
    """
    request, target = payload.request, payload.request.target or host.target
    files = {
        **payload.files,
        **_wheelhouse(wheels or (host.wheelhouse and Path(host.wheelhouse)) or None),
    }
    engines = _engines(payload.facts, request, target)
    content = {name: blob.sha256 for name, blob in files.items() if name.startswith((WHEEL, WHEELHOUSE))}
    environment = {
        "wheel": payload.wheel.name,
        # TensorRT is the device's own; the device finds out what goes with it.
        "extras": sorted(
            {ENGINES[name].extra for name in engines if name not in FORMS} & payload.wheel.extras
        ),
        "tensorrt": sorted(
            {package for name in engines if name in FORMS for package in ENGINES[name].packages}
        ),
        "pip_args": list(host.pip_args),
        "content": content,
    }
    steps: list[dict[str, Any]] = [{"name": BENCH, "words": _bench_words(payload, target)}]
    # TensorRT's engines belong to one device; building them first keeps that out of the cold start.
    if any(name in FORMS for name in engines):
        words = ["build", BUNDLE, *(("--target", target) if target else ()), "--json"]
        # As in a local bench: what lacks TensorRT is a row that says so, beside those of other engines.
        optional = any(name not in FORMS for name in engines)
        steps.insert(0, {"name": BUILD, "words": words, "optional": optional})
    user = os.getuid() if hasattr(os, "getuid") else 0
    job = Job(
        spec={"environment": environment, "steps": steps},
        files={name: blob.sha256 for name, blob in files.items()},
        owner=f"{user}@{platform.node()}",
    )
    return job, {blob.sha256: blob for blob in files.values()}


def rows_jsonl(rows: Rows, task: Task) -> bytes:
    """Write rows so that reading them back gives the same rows, and so the same digest.

    Args:
        rows: Labelled rows.
        task: What the labels mean; they are written by name, values as exact decimals.
    """
    lines = []
    for index, text in enumerate(rows.texts):
        record: dict[str, Any] = {TEXT: text}
        if rows.pairs is not None:
            record[PAIR] = rows.pairs[index]
        if rows.labels is not None:
            record[LABEL] = _label(rows.labels[index], task)
        lines.append(json.dumps(record))
    return ("\n".join(lines) + "\n").encode("ascii")


def label_format(task: Task) -> Format:
    """Return how :func:`rows_jsonl` writes labels, however the user's own files have them."""
    return Format.VALUES if task.problem is Problem.REGRESSION else Format.NAMES


def _label(encoded: Any, task: Task) -> str | float | list[str]:
    if task.problem is Problem.REGRESSION:
        return float(encoded)  # a float32 survives the way over float64 and its shortest decimal
    if task.problem is Problem.MULTI_LABEL:
        return [name for name, is_set in zip(task.labels, encoded, strict=True) if is_set]
    return task.labels[int(encoded)]


def _reference(request: Request) -> Reference | None:
    if request.reference is None:
        return provenance.stored_reference(request.bundle)
    return reference.load(request.reference)


def _rows(request: Request, facts: Manifest, stored: Reference | None, notes: list[str]) -> Rows | None:
    try:
        rows = provenance.heldout_rows(facts, request.data, digest=stored.data_digest if stored else None)
    except EdgeRobertaError as error:
        if request.data is not None or request.reference is not None:
            raise
        notes.append(f"No data: {error.what}.")
        return None
    if request.reference is not None and stored is not None:
        reference.check(stored, rows=rows, task=facts.task, model_digest=facts.full_size.get("digest"))
    return rows


def _wheelhouse(folder: Path | None) -> dict[str, Blob]:
    if folder is None:
        return {}
    return {f"{WHEELHOUSE}/{wheel.name}": Blob.of(wheel) for wheel in wheelhouse.wheels(folder)}


def _engines(facts: Manifest, request: Request, target: str | None) -> list[str]:
    """Return the engines that will be measured there, as far as that is known here."""
    able = targets.load(target).engines if target else facts.engines
    return [
        name
        for name in request.engines or facts.engines
        if name in facts.engines and name in able and name in ENGINES
    ]


def _bench_words(payload: Payload, target: str | None) -> list[str]:
    request = payload.request
    words = ["bench", BUNDLE, "--json"]
    if ROWS in payload.files:
        words += ["--data", ROWS, "--eval-data", ROWS, "--text", TEXT, "--label", LABEL]
        words += ["--text-pair", PAIR] if payload.facts.task.pair else []
        words += ["--label-format", str(label_format(payload.facts.task))]
    options = {
        "--reference": REFERENCE if request.reference is not None else None,
        "--target": target,
        "--engines": ",".join(request.engines) if request.engines else None,
        "--rows": request.rows,
        "--batch": request.batch,
        "--length": request.length,
        "--threads": request.threads,
        "--rounds": request.rounds,
        "--dtype": ",".join(request.dtypes),
    }
    return [*words, *(str(part) for pair in options.items() if pair[1] is not None for part in pair)]
