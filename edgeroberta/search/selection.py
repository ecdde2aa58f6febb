"""From a measured device to the candidate that is made: search shapes, compare them, take one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.data import texts
from edgeroberta.latency import measurement
from edgeroberta.latency.request import LatencyRequest as TableRequest
from edgeroberta.latency.request import sample_texts
from edgeroberta.progress import Progress
from edgeroberta.runtime.embedding_texts import reader
from edgeroberta.runtime.encoding import Encoding, all_windows
from edgeroberta.search import probing
from edgeroberta.search.candidate_recipes import CandidateSettings
from edgeroberta.search.candidates import BundleSize, Candidate
from edgeroberta.search.cascades import CascadeSearch
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.probing import ShortDistillation
from edgeroberta.search.shapes import ShapeSearch, equal
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Unit

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.latency.measurement import Timer
    from edgeroberta.latency.table import LatencyTable
    from edgeroberta.pipeline.job import PipelineJob
    from edgeroberta.prune.importance import Importance

#: Texts on which units are scored, as the stage prune has it, and their longest length in tokens.
SCORED, LONGEST = 2048, 128


@dataclass(frozen=True)
class DeviceLatency:
    """What the device takes for the user's texts."""

    table: LatencyTable  # what layers cost there
    lengths: tuple[int, ...]  # token counts of the validation texts, at most the longest of the table


def measure_device(
    job: PipelineJob, progress: Progress, host: str | None, timer: Timer | None
) -> DeviceLatency:
    """Measure the device (``host``; None: this one), or find its table, for the validation rows' lengths."""
    table = measurement.measure(_request(job), progress=progress, timer=timer, where=host)
    counts = _lengths(job, job.data.validation)
    longest = table.lengths[-1]
    if max(counts) > longest:
        progress.line(f"texts of more than {longest} tokens are taken for such of {longest}")
    return DeviceLatency(table, tuple(min(count, longest) for count in counts))


def stored_device(job: PipelineJob, host: str | None) -> DeviceLatency | None:
    """Return what :func:`measure_device` found in an earlier run; None where it would have to measure."""
    table = measurement.stored(_request(job), where=host)
    if table is None:
        return None
    return DeviceLatency(
        table, tuple(min(count, table.lengths[-1]) for count in _lengths(job, job.data.validation))
    )


def shape_search(job: PipelineJob, limits: BudgetLimits, device: DeviceLatency) -> ShapeSearch:
    """Return the search for shapes, with equal scores for all units."""
    file = job.model.folder / TOKENIZER
    size = file.stat().st_size if file.is_file() else 0
    copies = 1 if engines_share_weights(job, limits) else len(job.target.engines)
    footprint = BundleSize(copies, size, _answer_bytes(job))
    return ShapeSearch(equal(device.table.shape), device.table, device.lengths, limits, footprint)


def select(
    base: CandidateSettings, limits: BudgetLimits, job: PipelineJob, device: DeviceLatency, progress: Progress
) -> tuple[tuple[ShortDistillation, ...], Candidate]:
    """Search candidates and compare them; returns those compared, best first, and the best."""
    space = shape_search(job, limits, device)
    space.check()
    first = space.whole()
    if first is not None:
        progress.line(f"the baseline in int8 meets the budget: {limits.told}")
        return (), first
    found = replace(space, importance=_importance(job, progress)).candidates()
    cascades = CascadeSearch(space, job.task, int(texts.groups(job.data.train).max()) + 1)
    if len(found) == 1 and not cascades.students():
        progress.line(f"one candidate meets the budget: {found[0].name}")
        return (), found[0]
    probes = probing.rank(found, base, job, cascades=cascades, progress=progress)
    chosen = probing.pick(probes).candidate
    if (ties := probing.tie_notice(probes, chosen)) is not None:
        progress.line(ties)
    return probes, chosen


def engines_share_weights(job: PipelineJob, limits: BudgetLimits) -> bool:
    """Tell whether engines are to share their weights: where bytes count and both of them can."""
    return limits.bytes is not None and {"onnxruntime", "openvino"} <= set(job.target.engines)


def _request(job: PipelineJob) -> TableRequest:
    config = job.model.config
    inputs = sample_texts((*job.data.train.read(), *job.data.validation.read()))
    return TableRequest(config.shape, config.activation, job.model, job.target.name, inputs)


def _encoded(job: PipelineJob, rows: Rows) -> list[Encoding]:
    tokenizer = reader(job.task).open(job.model.folder, job.model.max_length)
    return tokenizer.encode(rows.read())


def _lengths(job: PipelineJob, rows: Rows) -> list[int]:
    return [len(encoding.ids) for encoding in _encoded(job, rows)]


def _answer_bytes(job: PipelineJob) -> int:
    """Return the bytes of the baseline's outputs: float32 numbers, and three int64 of each token."""
    unit, rows = 4 * job.task.num_outputs, job.data.heldout
    if job.task.kind.unit is not Unit.TOKEN:
        return unit * len(rows) * rows.units
    tokens = sum(len(window.ids) for window in all_windows(_encoded(job, rows)))
    return tokens * (unit + 3 * 8)


def _importance(job: PipelineJob, progress: Progress) -> Importance:
    from edgeroberta.prune import importance
    from edgeroberta.roberta import loading
    from edgeroberta.training import prediction

    rows = job.data.train
    rows = rows.select(np.random.default_rng(job.seed).permutation(len(rows))[:SCORED])
    examples = importance.ScoringExamples.of(job.model, rows, job.task, max_length=LONGEST)
    model = loading.load_classifier(job.model, job.task, seed=job.seed)
    return importance.score(
        model.to(prediction.accelerator().device), examples, seed=job.seed, progress=progress
    )
