"""Measures the baseline: torch, on a GPU where there is one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import DataError, UsageError
from edgeroberta.evaluation import changed_answers
from edgeroberta.evaluation.baseline_store import BaselineAnswers, check_place, save
from edgeroberta.evaluation.changed_rows import ChangeOptions, change
from edgeroberta.hardware import gpu, machine_facts
from edgeroberta.hardware.gpu import GpuMonitor, GpuTelemetry
from edgeroberta.measure import mask_answers, offline
from edgeroberta.measure.clock import CallShape, Latency, break_down, spread, summarise, time_calls
from edgeroberta.measure.offline import Throughput
from edgeroberta.measure.validity import Monitor, NullMonitor
from edgeroberta.measure.warmup import warm_up
from edgeroberta.storage.publishing import name_of
from edgeroberta.tasks import Task

if TYPE_CHECKING:
    from edgeroberta.data.rows import DataSpec, Rows
    from edgeroberta.measure.torch_baseline import TorchBaseline
    from edgeroberta.roberta.checkpoint import Checkpoint

_log = logging.getLogger(__name__)

#: Calls in a window of the warm-up: torch tunes and allocates in its first few.
WARMUP = 10
#: Calls that are made again by the GPU's own clock.
DEVICE_CALLS = 20
#: Timing ends after this long: 100 calls of a large model on one thread would take minutes.
LATENCY_SECONDS = 10.0


@dataclass(frozen=True)
class BaselineOptions:
    """How to measure."""

    device: str = "auto"  # ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``
    dtype: str = "float32"  # ``float32``, ``float16`` or ``bfloat16``
    latency_rows: int = 100  # texts to time, of lengths distributed as the data's; 0 times nothing
    threads: int = 1  # threads of the timed calls on a CPU; the accuracy pass uses all
    overlap: int | None = None  # tokens that windows of long texts overlap by; None where these are cut
    #: time batches, too. On a GPU they always are: a bench elsewhere has no other figure of it.
    offline: bool = True
    changes: ChangeOptions = field(default_factory=ChangeOptions)  # changed texts to ask as well


def measure(
    model: Checkpoint, rows: Rows, task: Task, options: BaselineOptions | None = None
) -> BaselineAnswers:
    """Run the baseline over labelled rows."""
    from edgeroberta.measure.torch_baseline import TorchBaseline, pick_device
    from edgeroberta.metrics import all_metrics, fits

    options = options or BaselineOptions()
    if rows.labels is None:
        raise DataError("a reference needs labels, these rows have none", where=rows.source)
    changed = change(rows, options.changes, task)
    full = TorchBaseline(
        model, device=pick_device(options.device), dtype=options.dtype, overlap=options.overlap
    )
    facts = machine_facts()
    _log.info("baseline on %s, %d rows", full.device, len(rows))
    targets = mask_answers.targets_of(rows.labels)
    outputs = full.outputs(rows.inputs(), *(() if targets is None else (targets,)))
    if not fits(task, outputs, len(rows)):
        raise UsageError(
            f"the model gives {outputs.values.shape[1]} numbers at a time, the task has "
            f"{task.num_outputs} labels",
            where=str(model),
        )
    timed = _timed(full, rows, options) if options.latency_rows else None
    card = gpu.look() if full.device != "cpu" else None
    return BaselineAnswers(
        model=name_of(str(model)),
        model_digest=model.digest,
        parameters=model.parameters,
        bytes=full.bytes,
        task=task,
        data_digest=rows.digest,
        data_source=name_of(rows.source),
        rows=len(rows),
        metrics=all_metrics(task, outputs, rows.labels),
        outputs=outputs,
        changed=changed_answers.ask(full, options.changes, changed),
        dtype=full.dtype,
        max_length=full.max_length,
        overlap=full.overlap,
        device=facts.cpu if full.device == "cpu" else full.device,
        machine=facts,
        latency=timed.latency if timed else None,
        offline=timed.offline if timed else None,
        energy_mj=timed.energy_mj if timed else None,
        energy_counted=timed is not None and timed.energy_counted,
        throttled=timed.throttled if timed else (),
        gpu=asdict(card) if card else None,
    )


def make(
    model: str,
    spec: DataSpec,
    *,
    output: Path,
    options: BaselineOptions,
    allow_pickle: bool = False,
    long_text: str | None = None,
    stride: int | None = None,
    metric: str | None = None,
) -> BaselineAnswers:
    """Measure a model on its held-out rows and store the reference.

    ``spec``: where the rows are; the same as for the compression, or the rows will differ. ``allow_pickle``:
    accept weights that are only there as a pickle. ``long_text``, ``stride``: what is done with long texts,
    see :mod:`edgeroberta.runtime.longtexts`; it becomes ``options.overlap``. They cannot be refused, since
    every row needs an answer. ``metric``: name of the one to
    tell first; None for the task's own, or the data's where it has one.
    """
    from edgeroberta.data import MaskReader, judging, load_heldout, word_coverage
    from edgeroberta.evaluation import answer_limits, soundness
    from edgeroberta.evaluation.limits import GateLimits
    from edgeroberta.parity import tokens
    from edgeroberta.roberta import resolving
    from edgeroberta.runtime import embedding_texts
    from edgeroberta.runtime.longtexts import LongText
    from edgeroberta.storage.cache import cache_dir

    check_place(output)
    if long_text == LongText.REFUSE:
        raise UsageError(
            "a reference has an answer to every row, long ones too",
            where="--long-text",
            hint="leave it out: bundles that refuse long texts are measured on what is left of cut ones",
        )
    full = resolving.resolve(model, allow_pickle=allow_pickle, cache=cache_dir())
    full.require_head()
    task = full.task
    rows = load_heldout(spec, task, masks=MaskReader.of(task, full.folder, full.max_length))
    tokenizer = embedding_texts.reader(task).open(
        full.folder,
        full.max_length,
        long_text=long_text,
        stride=stride,
        pair=rows.pairs is not None,
    )
    options = replace(options, overlap=tokenizer.long_texts.overlap)
    task = answer_limits.silent(judging.judge(task, spec, rows, metric, _log.info), rows)
    if (told := tokens.check(full, rows.read())) is not None:
        _log.warning("%s", told)
    reader = tokens.open_ours(full) if options.overlap is None else tokenizer
    for line in word_coverage.of_parts((rows,), task.labels, reader):
        _log.warning("%s", line)
    found = measure(full, rows, rows.shown(task), options)
    save(found, output)
    for warning in soundness.examine(task, found.outputs, rows, GateLimits()).warnings:
        _log.warning("%s", warning)
    return found


@dataclass(frozen=True)
class _Timed:
    latency: Latency
    offline: Throughput | None
    energy_mj: float | None
    energy_counted: bool
    throttled: tuple[str, ...]


def _timed(full: TorchBaseline, rows: Rows, options: BaselineOptions) -> _Timed:
    inputs: list[Any] = list(rows.inputs())
    lengths = [len(str(each)) for each in inputs]
    calls = [[inputs[row]] for row in spread(lengths, options.latency_rows)]
    looking: Monitor = GpuMonitor() if full.device_clock else NullMonitor()
    with _threads(options.threads):
        warmed = warm_up(lambda: time_calls(full.answer, calls[:WARMUP]).seconds)
        with looking:
            timed = time_calls(full.answer, calls, limit_s=LATENCY_SECONDS, watch=full.watch)
        full.watch.ask_device = full.device_clock
        own = time_calls(full.answer, calls[:DEVICE_CALLS], watch=full.watch) if full.device_clock else None
        full.watch.ask_device = False
        many = _offline(full, inputs, lengths) if options.offline or full.device_clock else None
    shape = CallShape(warmup=warmed.calls, threads=options.threads, steady=warmed.steady)
    parts = break_down([timed], [own] if own else [], 1)
    seen = looking.watched
    return _Timed(
        latency=replace(summarise([timed.seconds], shape), breakdown=parts),
        offline=many,
        energy_mj=None if seen.energy_j is None else 1000 * seen.energy_j / len(timed.seconds),
        energy_counted=isinstance(seen, GpuTelemetry) and seen.counted,
        throttled=seen.reasons,
    )


def _offline(full: TorchBaseline, inputs: list[Any], lengths: list[int]) -> Throughput | None:
    found = []
    # A GPU is busy with far more texts at once than a processor.
    for size in (*offline.BATCHES, *((128,) if full.device_clock else ())):
        groups = offline.batches(spread(lengths, offline.TEXTS), lengths, size)
        calls = [[inputs[row] for row in group] for group in groups]
        seconds = time_calls(full.answer, calls, limit_s=offline.SECONDS).seconds
        found.append(offline.BatchTiming(size, tuple(map(len, calls)), tuple(seconds)))
    return offline.best(found)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
