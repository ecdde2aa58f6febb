"""From a measured device to the candidate that is made: search shapes, compare them, take one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.latency import measuring
from edgeroberta.latency.request import Request as TableRequest
from edgeroberta.latency.request import some
from edgeroberta.progress import Progress
from edgeroberta.runtime.files import TOKENIZER
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.search import probing
from edgeroberta.search.candidates import Candidate, Footprint
from edgeroberta.search.limits import Limits
from edgeroberta.search.probing import Probe
from edgeroberta.search.recipes import Base
from edgeroberta.search.shapes import Search, equal

if TYPE_CHECKING:
    from edgeroberta.latency.measuring import Timer
    from edgeroberta.latency.table import LatencyTable
    from edgeroberta.pipeline.job import Job
    from edgeroberta.prune.importance import Importance

#: Texts on which units are scored, as the stage prune has it, and their longest length in tokens.
SCORED, LONGEST = 2048, 128


@dataclass(frozen=True)
class Device:
    """What the device takes for the user's texts."""

    table: LatencyTable  # what layers cost there
    lengths: tuple[int, ...]  # token counts of the validation texts, at most the longest of the table


def measured(job: Job, progress: Progress, host: str | None, timer: Timer | None) -> Device:
    """Measure the device (``host``; None: this one), or find its table, for the validation rows' lengths."""
    table = measuring.measure(_request(job), progress=progress, timer=timer, where=host)
    counts = _lengths(job)
    longest = table.lengths[-1]
    if max(counts) > longest:
        progress.line(f"texts of more than {longest} tokens are taken for such of {longest}")
    return Device(table, tuple(min(count, longest) for count in counts))


def known(job: Job, host: str | None) -> Device | None:
    """Return what :func:`measured` found in an earlier run; None where it would have to measure."""
    table = measuring.stored(_request(job), where=host)
    if table is None:
        return None
    return Device(table, tuple(min(count, table.lengths[-1]) for count in _lengths(job)))


def search(job: Job, limits: Limits, device: Device) -> Search:
    """Return the search for shapes, with equal scores for all units."""
    file = job.model.folder / TOKENIZER
    size = file.stat().st_size if file.is_file() else 0
    copies = 1 if shares(job, limits) else len(job.target.engines)
    answers = 4 * job.task.num_outputs * len(job.data.heldout)  # float32 logits
    footprint = Footprint(copies, size, answers)
    return Search(equal(device.table.shape), device.table, device.lengths, limits, footprint)


def choose(
    base: Base, limits: Limits, job: Job, device: Device, progress: Progress
) -> tuple[tuple[Probe, ...], Candidate]:
    """Search candidates and compare them; returns those compared, best first, and the best."""
    space = search(job, limits, device)
    space.check()
    first = space.whole()
    if first is not None:
        progress.line(f"the full-size model in int8 meets the budget: {limits.told}")
        return (), first
    found = replace(space, importance=_importance(job, progress)).candidates()
    if len(found) == 1:
        progress.line(f"one candidate meets the budget: {found[0].name}")
        return (), found[0]
    probes = probing.rank(found, base, job, progress=progress)
    chosen = probing.pick(probes).candidate
    if (ties := probing.told(probes, chosen)) is not None:
        progress.line(ties)
    return probes, chosen


def shares(job: Job, limits: Limits) -> bool:
    """Tell whether engines are to share their weights: where bytes count and both of them can."""
    return limits.bytes is not None and {"onnxruntime", "openvino"} <= set(job.target.engines)


def _request(job: Job) -> TableRequest:
    config = job.model.config
    inputs = some((*job.data.train.inputs(), *job.data.validation.inputs()))
    return TableRequest(config.shape, config.activation, job.model, job.target.name, inputs)


def _lengths(job: Job) -> list[int]:
    tokenizer = TextTokenizer.open(job.model.folder, job.model.max_length)
    return [len(encoding.ids) for encoding in tokenizer.encode(job.data.validation.inputs())]


def _importance(job: Job, progress: Progress) -> Importance:
    from edgeroberta.prune import importance
    from edgeroberta.roberta import loading
    from edgeroberta.training import batching, fitting, prediction

    rows = job.data.train
    rows = rows.select(np.random.default_rng(job.seed).permutation(len(rows))[:SCORED])
    tokens = batching.tokenize(job.model, rows.inputs(), max_length=LONGEST)
    model = loading.load_classifier(job.model, job.task, seed=job.seed)
    examples = importance.Examples(tokens, fitting.labels_of(rows), job.task.problem)
    return importance.score(
        model.to(prediction.accelerator().device), examples, seed=job.seed, progress=progress
    )
