"""What a device needs to bench a bundle: its files, the held-out rows, the stored reference, and steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta import targets
from edgeroberta.benchmark import device_steps, evaluation_data, lineup
from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.data import answer_rows, mask_words, word_rows
from edgeroberta.data.label_format import Format
from edgeroberta.data.rows import DataSpec, Rows, is_searched
from edgeroberta.data.word_files import TAGS
from edgeroberta.errors import UsageError
from edgeroberta.evaluation import baseline_store, provenance
from edgeroberta.remote.hostrun import Workload
from edgeroberta.remote.shipping import Blob
from edgeroberta.remote.step import Step
from edgeroberta.roberta import exported_graphs
from edgeroberta.runtime import manifest
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.runtime.session import ENGINES
from edgeroberta.runtime.tensorrt import FORMS
from edgeroberta.storage.files import REFERENCE_FOLDER
from edgeroberta.tasks import AnswerSpans, MaskedTokens, Problem, Task, WordTags

#: Folders and files in the job's folder on the device.
BUNDLE, REFERENCE, BESIDE, ROWS = "bundle", "reference", "beside", "rows.jsonl"
TEXT, PAIR, LABEL = "text", "text_pair", "label"
#: How labels are written there; what is not here is none.
_FORMATS = {
    Problem.SINGLE_LABEL: Format.NAMES,
    Problem.MULTI_LABEL: Format.NAMES,
    Problem.REGRESSION: Format.VALUES,
    Problem.TOKENS: Format.NAMES,
}
#: The step whose result is the table.
BENCH, BUILD = "bench", "build"


@dataclass(frozen=True)
class Payload:
    """What every host gets."""

    request: BenchRequest  # as the device is asked, its target apart
    facts: Manifest
    files: Mapping[str, Blob]  # path in the job's folder to blob
    notes: tuple[str, ...]  # what a reader should know
    source: (
        str | None
    )  # where the rows are from, which their copy on the device does not tell; None without rows


def gather(request: BenchRequest) -> Payload:
    """Collect and hash everything but what one host alone gets."""
    if request.model is not None:
        raise UsageError(
            "the baseline is not sent to a device",
            where="--model",
            hint="measure it where it is, and send what it answered: edgeroberta reference MODEL --data … "
            "-o ref/, then --reference ref/",
        )
    facts = manifest.read(request.bundle)
    manifest.check_files(facts)
    notes: list[str] = []
    files = {
        f"{BUNDLE}/{name}": request.bundle / name
        for name in (*facts.files, *facts.links, manifest.MANIFEST_FILE)
    }
    report = request.bundle / provenance.REPORT_FILE
    if report.is_file():
        files[f"{BUNDLE}/{provenance.REPORT_FILE}"] = report
    stored = evaluation_data.stored_reference(request)
    if stored is not None:
        named = request.reference
        folder = named or request.bundle / REFERENCE_FOLDER
        place = REFERENCE if named else f"{BUNDLE}/{REFERENCE_FOLDER}"
        files |= {f"{place}/{file.name}": file for file in baseline_store.files(folder)}
    beside = []
    for number, model in enumerate(lineup.exported_models(request, facts)):
        # Below its own name, which is that of its row.
        place = f"{BESIDE}/{number}/{model.folder.resolve().name}"
        files |= {f"{place}/{name}": file for name, file in model.files.items()}
        beside.append(Path(place) / model.graph.relative_to(model.folder))
    rows = evaluation_data.heldout(request, facts, stored, notes)
    blobs = {place: Blob.of(file) for place, file in files.items()}
    data = None
    if rows is not None:
        blobs[ROWS] = Blob.of(rows_jsonl(rows, facts.task))
        data = spec_of(rows, facts.task)
    there = replace(
        request,
        bundle=Path(BUNDLE),
        data=data,
        reference=Path(REFERENCE) if request.reference else None,
        beside=tuple(beside),
    )
    return Payload(there, facts, blobs, tuple(notes), rows.source if rows is not None else None)


def work_for(payload: Payload, target: str | None) -> Workload:
    """Return what is to be done on a host that is asked to be of a target."""
    facts, request = payload.facts, replace(payload.request, target=target)
    able = targets.load(target).engines if target else facts.engines
    # The engines that will be measured there, as far as that is known here.
    engines = [
        name
        for name in request.engines or facts.engines
        if name in facts.engines and name in able and name in ENGINES
    ]
    todo = [Step.of(BENCH, device_steps.bench, json.loads(json.dumps(asdict(request), default=str)))]
    engines += sorted({exported_graphs.ENGINES[graph.suffix] for graph in request.beside} - {*engines})
    # TensorRT's engines belong to one device; building them first keeps that out of the cold start.
    if any(name in FORMS for name in engines):
        # As in a local bench: what lacks TensorRT is a row that says so, beside those of other engines.
        optional = any(name not in FORMS for name in engines)
        todo.insert(
            0, Step.of(BUILD, device_steps.build, {"bundle": BUNDLE, "target": target}, optional=optional)
        )
    return Workload(payload.files, todo, engines)


def rows_jsonl(rows: Rows, task: Task) -> bytes:
    """Write rows so that reading them back gives the same rows, and so the same digest.

    Labels are written by name, values as exact decimals.
    """
    lines = []
    for index, text in enumerate(rows.texts):
        if isinstance(rows.labels, WordTags):
            lines.append(json.dumps(word_rows.record(text, rows.labels, index, task.labels)))
            continue
        record: dict[str, Any] = {TEXT: text}
        if rows.pairs is not None:
            record[PAIR] = rows.pairs[index]
        label = _label_column(rows)
        if label is not None:
            record[label] = _label(rows.labels, index, task)
        lines.append(json.dumps(record))
    return ("\n".join(lines) + "\n").encode("ascii")


def spec_of(rows: Rows, task: Task, file: str = ROWS) -> DataSpec:
    """Return how to read what :func:`rows_jsonl` wrote to a file, whatever the user's own files have."""
    form = _FORMATS.get(task.problem)
    return DataSpec(
        file,
        eval_data=file,
        text=TEXT,
        text_pair=None if rows.pairs is None else PAIR,
        label=_label_column(rows),
        label_format=None if form is None else str(form),
    )


def _label_column(rows: Rows) -> str | None:
    """Return the column of what is known of rows; None where their texts alone tell it."""
    if rows.labels is None or is_searched(rows.labels):
        return None
    of_kind = {WordTags: TAGS, MaskedTokens: mask_words.TOKEN_IDS}
    return of_kind.get(type(rows.labels), LABEL)


def _label(labels: Any, row: int, task: Task) -> Any:
    if isinstance(labels, AnswerSpans):
        return answer_rows.record(labels, row)
    if isinstance(labels, MaskedTokens):
        return labels.part(row)[0].tolist()
    encoded = labels[row]
    if task.problem in (Problem.REGRESSION, Problem.EMBEDDING):
        return float(encoded)  # a float32 survives the way over float64 and its shortest decimal
    if task.problem is Problem.MULTI_LABEL:
        return [name for name, is_set in zip(task.labels, encoded, strict=True) if is_set]
    return task.labels[int(encoded)]
