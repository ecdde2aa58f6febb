"""Measures the full-size reference: torch, float32, on a GPU where there is one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.bench.device import here
from edgeroberta.bench.measure import Latency, Shape, spread, summarise, time_calls
from edgeroberta.errors import DataError, UsageError
from edgeroberta.tasks import Task
from edgeroberta.verification.reference import JSON_FILE, Reference, digest_model, save

if TYPE_CHECKING:
    from edgeroberta.bench.full_size import FullSize
    from edgeroberta.data.rows import DataSpec, Rows

_log = logging.getLogger(__name__)

#: Calls before the clock starts: torch tunes and allocates in its first few.
WARMUP = 10
#: Timing ends after this long: 100 calls of a large model on one thread would take minutes.
LATENCY_SECONDS = 10.0


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        latency_rows: Texts to time, of lengths distributed as the data's; 0 times nothing.
        threads: Threads of the timed calls on a CPU; the accuracy pass uses all.
    """

    device: str = "auto"
    latency_rows: int = 100
    threads: int = 1


def measure(model: Path, rows: Rows, task: Task, options: Options | None = None) -> Reference:
    """Run the full-size model over labelled rows.

    Args:
        model: Checkpoint folder.
        rows: Labelled rows.
        task: What the model answers.
        options: How to measure.

    Returns:
        Logits and metrics of all rows, and the latency of some.

    Raises:
        DataError: The rows carry no labels.
        UnavailableError: torch or transformers is not installed.
    """
    from edgeroberta.bench.full_size import FullSize, pick_device
    from edgeroberta.metrics import all_metrics
    from edgeroberta.roberta import checkpoint

    options = options or Options()
    if rows.labels is None:
        raise DataError("a reference needs labels, these rows have none", where=rows.source)
    full = FullSize(model, device=pick_device(options.device))
    facts = here()
    _log.info("full-size model on %s, %d rows", full.device, len(rows))
    logits = full.logits(rows.inputs())
    if logits.shape[1] != task.num_outputs:
        raise UsageError(
            f"the model gives {logits.shape[1]} numbers per text, the task has {task.num_outputs} labels",
            where=str(model),
        )
    return Reference(
        model=str(model),
        model_digest=digest_model(model),
        parameters=checkpoint.parameters(model),
        bytes=full.bytes,
        task=task,
        data_digest=rows.digest,
        data_source=rows.source,
        rows=len(rows),
        metrics=all_metrics(task, logits, rows.labels),
        logits=logits,
        dtype="float32",
        max_length=full.max_length,
        device=facts.cpu if full.device == "cpu" else full.device,
        machine=facts,
        latency=_latency(full, rows, options) if options.latency_rows else None,
    )


def make(
    model: str, spec: DataSpec, *, output: Path, options: Options, allow_pickle: bool = False
) -> Reference:
    """Measure a model on its held-out rows and store the reference.

    Args:
        model: Model folder or Hub id of a fine-tuned classifier.
        spec: Where the rows are; the same as for the compression, or the rows will differ.
        output: Folder to write into.
        options: How to measure.
        allow_pickle: Accept weights that are only there as a pickle.

    Returns:
        The reference, as written.

    Raises:
        CheckpointError: The model cannot be used.
        DataError: The data cannot be used.
        UsageError: The output holds something else.
    """
    from edgeroberta.cache import cache_dir
    from edgeroberta.data import load_heldout
    from edgeroberta.roberta import checkpoint

    if output.exists() and not (output / JSON_FILE).is_file() and (output.is_file() or any(output.iterdir())):
        raise UsageError("not empty, and not a reference; it is left untouched", where=str(output))
    folder = checkpoint.resolve(model, allow_pickle=allow_pickle, cache=cache_dir())
    checkpoint.require_head(folder)
    task = checkpoint.task_of(folder)
    rows = load_heldout(spec, task)
    found = measure(folder, rows, replace(task, pair=rows.pairs is not None), options)
    save(found, output)
    return found


def _latency(full: FullSize, rows: Rows, options: Options) -> Latency:
    inputs: list[Any] = list(rows.inputs())
    chosen = spread([len(str(each)) for each in inputs], options.latency_rows)
    calls = [[inputs[row]] for row in chosen]
    with _threads(options.threads):
        time_calls(full.answer, calls[:WARMUP])
        seconds = time_calls(full.answer, calls, limit_s=LATENCY_SECONDS)
    return summarise([seconds], Shape(warmup=min(WARMUP, len(calls)), threads=options.threads))


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
