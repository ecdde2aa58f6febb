"""Makes a latency table, or finds the one that was made before."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeroberta import targets
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.latency import grid
from edgeroberta.latency.device_steps import STEP, step_for
from edgeroberta.latency.grid import ProbePlan
from edgeroberta.latency.probe_timing import TEXTS_FILE, ProbeTimings
from edgeroberta.latency.regression import fit
from edgeroberta.latency.request import LatencyRequest
from edgeroberta.latency.table import LatencyTable
from edgeroberta.measure.clock import spread
from edgeroberta.progress import Progress
from edgeroberta.remote.step import run_here
from edgeroberta.runtime import processor
from edgeroberta.runtime.session import ENGINES, choose_engine
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage import artifact, codedigest
from edgeroberta.storage.cache import cache_dir
from edgeroberta.storage.strict import decode

#: Texts on which the time outside the engine is measured.
TEXTS = 64
#: What is tokenized where there are no texts, in parts of different length.
_WORDS = (
    "It was better than I had expected, and the ending is lovely, though not every scene needs its music."
)

#: Times a folder of probes; here or elsewhere.
Timer = Callable[[ProbePlan, Path, Progress], ProbeTimings]


def measure(
    request: LatencyRequest,
    *,
    progress: Progress,
    fresh: bool = False,
    timer: Timer | None = None,
    where: str | None = None,
) -> LatencyTable:
    """Measure a table, or take the stored one of the same engine, device, threads and geometry.

    ``fresh``: measure it also where there is one. ``timer``: times the probes; None for a process of this
    machine. ``where``: name of the machine that ``timer`` times on; None for this one. Returns the table; it
    is stored as well.
    """
    plan = plan_for(request, here=where is None)
    file = table_file(plan, request.target, where or machine(plan))
    if not fresh and file.is_file():
        return LatencyTable.load(file)
    with tempfile.TemporaryDirectory(prefix="edgeroberta-latency-") as folder:
        write_folder(plan, request, Path(folder), progress=progress)
        timings = (timer or time_here)(plan, Path(folder), progress)
    for name in timings.unsteady:
        progress.line(f"{name}: its times still moved after the warm-up")
    table = fit(plan, timings)
    try:
        table.save(file)
    except OSError as error:  # a cache that cannot be written: the table is there all the same
        progress.line(f"warning: {file.parent} cannot be written ({error.strerror or error})")
    return table


def stored(request: LatencyRequest, *, where: str | None = None) -> LatencyTable | None:
    """Return the table that an earlier :func:`measure` stored; None where there is none."""
    plan = plan_for(request, here=where is None)
    file = table_file(plan, request.target, where or machine(plan))
    return LatencyTable.load(file) if file.is_file() else None


def plan_for(request: LatencyRequest, *, here: bool = True) -> ProbePlan:
    """Choose the probes for a request. ``here``: the engine must be installed on this machine."""
    target = targets.load(request.target)
    engine = request.engine or (choose_engine(None, target.engines) if here else target.engines[0])
    lengths = _lengths(request)
    return grid.plan(
        request.shape,
        activation=request.activation,
        engine=engine,
        threads=request.threads or target.threads,
        longest=max(lengths) if lengths else request.shape.max_positions - 2,
        form="all" if "tensorrt" in target.engines else "first",
        rounds=request.rounds,
    )


def table_file(plan: ProbePlan, target: str, where: str) -> Path:
    """Return where the table of a plan is stored.

    ``target``: class of devices; decides the form of the graph.
    """
    code = codedigest.of(
        *(f"edgeroberta.latency.{name}" for name in ("probes", "probe_timing", "regression"))
    )
    name = artifact.digest_value([code, asdict(plan), target, where])[:24]
    return cache_dir() / "latency" / f"{name}.json"


def machine(plan: ProbePlan) -> str:
    """Return the digest of this machine for the engine of a plan."""
    return device(plan.engine)


def device(engine: str) -> str:
    """Return a digest of what an engine's speed hangs on here: processor, engine and its version."""
    names = (*(ENGINES[engine].packages or (ENGINES[engine].package,)), "tokenizers", "numpy")
    found = [f"{name} {_version(name)}" for name in names]
    return artifact.digest_value([processor.identity(), *found])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def write_folder(plan: ProbePlan, request: LatencyRequest, folder: Path, *, progress: Progress) -> None:
    """Write probes, tokenizer and texts: what the device's half needs."""
    from edgeroberta.latency import probes

    probes.write(plan, folder, targets_tensorrt=plan.form == "all", progress=progress)
    request.tokenizer.copy_tokenizer(folder)
    artifact.write_json(folder / TEXTS_FILE, _texts(plan, request))


def _lengths(request: LatencyRequest) -> list[int]:
    if not request.inputs:
        return []
    tokenizer = TextTokenizer.open(request.tokenizer.folder, request.shape.max_positions - 2)
    return [len(encoding.ids) for encoding in tokenizer.encode(request.inputs)]


def _texts(plan: ProbePlan, request: LatencyRequest) -> list[Any]:
    """Choose texts as long as the user's, or make some of all lengths."""
    if request.inputs:
        lengths = _lengths(request)
        return [request.inputs[row] for row in spread(lengths, TEXTS)]
    words = (_WORDS + " ") * (plan.lengths[-1] // 8 + 1)
    ends = range(len(words) // TEXTS, len(words) + 1, max(1, len(words) // TEXTS))
    return [words[:end] for end in ends]


def time_here(plan: ProbePlan, folder: Path, progress: Progress) -> ProbeTimings:
    """Time the probes in a process of this machine, so that an engine that crashes takes nothing with it."""
    environment = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": str(plan.threads)}
    found = run_here(step_for(plan, str(folder)), environment=environment, progress=progress)
    return timings_from(found, plan, where=STEP)


def timings_from(fields: Any, plan: ProbePlan, *, where: str) -> ProbeTimings:
    """Read what :func:`~edgeroberta.latency.device_steps.latency` found elsewhere; it is not trusted."""
    found = decode(ProbeTimings, fields, where=where)
    wanted = {probe.name for probe in plan.probes}
    numbers = [
        *found.noise,
        *found.overheads,
        *(each for row in found.min_of_medians.values() for each in row),
    ]
    fits = (
        set(found.min_of_medians) == wanted
        and all(len(row) == len(plan.lengths) for row in found.min_of_medians.values())
        and len(found.noise) == 100
        and len(found.tokens) == len(found.overheads) > 0
        and all(number > 0 for number in numbers)
    )
    if not fits:
        what = "these are not the times of the probes that were sent"
        raise EdgeRobertaError(what, where=where, code="failed.malformed")
    return found
