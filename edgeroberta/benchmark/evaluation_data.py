"""What there is to measure on: the rows, the stored reference, and lengths where there are no rows."""

from __future__ import annotations

import numpy as np

from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.row import EvaluationData
from edgeroberta.data.rows import Rows
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.evaluation import baseline_store, provenance
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.measure.protocol import Inputs
from edgeroberta.runtime import mask_token
from edgeroberta.runtime.lengths import BIN
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.tasks import Problem

#: What processes answer first when there is no data; its words do not matter.
_TEXT = "It was better than I had expected, and the ending is lovely."


def find(request: BenchRequest, facts: Manifest, notes: list[str]) -> EvaluationData:
    """Find rows and reference.

    ``notes``: takes what could not be found. Returns the data; with a text of ours where there are no
    rows. Raises UsageError: the reference is of another model or other rows.
    """
    stored = stored_reference(request)
    rows = heldout(request, facts, stored, notes)
    if rows is None:
        masked = facts.task.problem is Problem.MASKED
        text = f"{_TEXT} {mask_token.find(facts.folder).text}." if masked else _TEXT
        inputs: Inputs = [(text, text)] if facts.task.pair else [text]
        return EvaluationData(facts.task, inputs, reference=stored)
    full = stored.outputs if stored is not None and stored.data_digest == rows.digest else None
    if stored is not None and full is None:
        notes.append("The stored reference is of other rows; answers are held against the baseline here.")
    if len(rows) > request.rows:
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[: request.rows])
        rows = rows.select(chosen)
        full = None if full is None else full[chosen]
    return EvaluationData(facts.task, rows.inputs(), rows, full, stored)


def stored_reference(request: BenchRequest) -> BaselineAnswers | None:
    """Take the reference that the user names, else the bundle's own, if it has one."""
    if request.reference is None:
        return provenance.stored_reference(request.bundle)
    return baseline_store.load(request.reference)


def heldout(
    request: BenchRequest, facts: Manifest, stored: BaselineAnswers | None, notes: list[str]
) -> Rows | None:
    """Find the rows to measure on, which a named reference must be of; without any, a note says why."""
    try:
        rows = provenance.heldout_rows(facts, request.data, digest=stored.data_digest if stored else None)
    except EdgeRobertaError as error:
        if request.data is not None or request.reference is not None:
            raise
        notes.append(f"No data: {error.what}.")
        return None
    if request.reference is not None and stored is not None:
        baseline_store.check(
            stored,
            rows=rows,
            task=facts.task,
            model_digest=facts.baseline.get("digest"),
            overlap=facts.long_texts.overlap,
        )
    return rows


def tokens(request: BenchRequest, facts: Manifest, eval_data: EvaluationData) -> tuple[int, ...] | None:
    """Return the lengths to draw random ids of, or None for the texts of the data."""
    if request.length is not None:
        return (request.length,)
    if eval_data.rows is not None:
        return None
    middles = [min(BIN * index + BIN // 2, facts.max_length) for index in range(len(facts.lengths))]
    drawn = [length for length, count in zip(middles, facts.lengths, strict=True) for _ in range(count)]
    # Thousands of training texts say no more about the lengths than every n-th of them.
    return tuple(drawn[:: max(1, len(drawn) // 1000)]) or (min(32, facts.max_length),)
