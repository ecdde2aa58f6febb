"""Builds a bundle's engines on the device, checks each against the goldens, and keeps the faster one."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.check.ondevice.engines import BuildComparison, BuiltEngine, choose, without_fallbacks
from edgeroberta.check.ondevice.timing import Timing, TimingPlan, time_interleaved
from edgeroberta.errors import EngineError, UnavailableError, UsageError, did_you_mean
from edgeroberta.measure.subjects import vocab_size
from edgeroberta.progress import Progress
from edgeroberta.runtime import Runtime, goldens, lengths, manifest, preferences
from edgeroberta.runtime.embedding_texts import reader
from edgeroberta.runtime.session import ENGINES
from edgeroberta.runtime.tensorrt import FORMS

if TYPE_CHECKING:
    from edgeroberta.data.rows import DataSpec
    from edgeroberta.evaluation.result import Report
    from edgeroberta.runtime.manifest import Manifest


@dataclass(frozen=True)
class BuildRequest:
    """What to build."""

    bundle: Path  # the bundle's folder
    engines: tuple[str, ...] | None = None  # engines to build; None for all that are built on a device
    target: str | None = None  # device class, for its cap on memory; None for caps by what is free
    data: DataSpec | None = None  # rows for the gate; None to ask no gate unless there is a ``reference``
    reference: Path | None = None  # folder of the baseline, for the gate
    plan: TimingPlan = field(default_factory=TimingPlan)  # how much is timed


#: Measures the bundle against its gate; a parameter, so that tests need no processes.
Gate = Callable[[BuildRequest, tuple[str, ...], Progress], "Report"]


def build(request: BuildRequest, *, progress: Progress, gate: Gate | None = None) -> BuildComparison:
    """Build, check, time and choose; a choice among all engines is remembered on this device."""
    facts = manifest.read(request.bundle)
    manifest.check_files(facts)
    names = _names(request, facts)
    cap = _workspace(request.target)
    _require_device(request)
    with contextlib.ExitStack() as stack:
        candidates, runtimes = [], {}
        with progress.bar("build", len(names), "engines") as advance:
            for name in names:
                candidate, runtime = _build_one(facts, name, cap)
                candidates.append(candidate)
                if runtime is not None:
                    runtimes[name] = stack.enter_context(runtime)
                advance(1, name)
        candidates = without_fallbacks(facts, candidates)
        running = {each.engine: runtimes[each.engine] for each in candidates if each.eligible}
        if running:
            progress.line(f"timing {', '.join(running)} in turns")
            vocab = vocab_size(facts.folder)
            timings = time_interleaved(running, facts.lengths, vocab, request.plan)
            candidates = [_timed(each, timings.get(each.engine)) for each in candidates]
    verdict = None
    if running and (request.data is not None or request.reference is not None):
        report = (gate or evaluate_gate)(request, tuple(running), progress)
        verdict = str(report.verdict)
        candidates = [_judged(each, report) for each in candidates]
    kept, why = choose(candidates)
    left_out = tuple(name for name in _offered(facts) if name not in names)
    remembered = kept is not None and not left_out and _remember(facts, kept, why, candidates)
    return BuildComparison(str(request.bundle), tuple(candidates), kept, why, remembered, verdict, left_out)


def evaluate_gate(request: BuildRequest, engines: tuple[str, ...], progress: Progress) -> Report:
    """Measure the engines on rows and hold them to the bundle's own gate."""
    from edgeroberta.evaluation import recheck

    wanted = recheck.VerifyRequest(
        bundle=request.bundle, data=request.data, reference=request.reference, engines=engines
    )
    return recheck.recheck(wanted, progress=progress)


def _offered(facts: Manifest) -> tuple[str, ...]:
    # ONNX Runtime's CUDA provider runs on the device as well, but has no engine that is built there.
    return tuple(name for name in facts.engines if name in FORMS)


def _names(request: BuildRequest, facts: Manifest) -> tuple[str, ...]:
    offered = _offered(facts)
    if not offered:
        raise UsageError(
            f"the bundle has no engine that is built on a device, only {', '.join(facts.engines)}",
            where=str(request.bundle),
            hint="edgeroberta compress MODEL --target jetson makes one that has",
        )
    for name in request.engines or ():
        if name not in offered:
            raise UsageError(
                f"{name!r} is not built on a device, or the bundle was not made for it; "
                f"there is {', '.join(offered)}",
                where="--engines",
                hint=did_you_mean(name, offered),
            )
    return tuple(request.engines or offered)


def _workspace(target: str | None) -> int | None:
    if target is None:
        return None
    from edgeroberta import targets

    megabytes = getattr(targets.load(target), "workspace_mb", None)
    return None if megabytes is None else int(megabytes) << 20


def _require_device(request: BuildRequest) -> None:
    from edgeroberta.runtime.tensorrt import cuda, library

    try:
        library.find()
        cuda.load()
    except UnavailableError as error:
        target = request.target or "jetson"
        raise UnavailableError(
            f"engines are built on the device, and this machine cannot: {error.what}",
            hint=f"{error.hint}; without one: edgeroberta check {request.bundle} --target {target}, "
            f"or over ssh: edgeroberta bench {request.bundle} --target {target} --host USER@DEVICE",
        ) from error


def _build_one(facts: Manifest, name: str, cap: int | None) -> tuple[BuiltEngine, Runtime | None]:
    """Build or load one engine and replay the goldens on it."""
    engine = ENGINES[name]
    candidate = BuiltEngine(name, engine.precision)
    for needed in engine.files:
        if needed not in facts.files:
            return candidate.refuse(f"the bundle has no {needed}"), None
    tokenizer = reader(facts.task).open(facts.folder, facts.max_length, threads=facts.threads)
    wanted = goldens.load(facts.folder)
    goldens.check_tokens(wanted, tokenizer, facts.folder)
    module: Any = importlib.import_module(f"edgeroberta.runtime.{engine.module}")
    prepared = lengths.choose(facts.lengths, facts.max_length)
    try:
        session = getattr(module, engine.opener)(
            facts.folder, threads=facts.threads, lengths=prepared, workspace_bytes=cap
        )
    except EngineError as error:
        return candidate.refuse(error.what), None
    runtime = Runtime(session, tokenizer, facts.task, pad_token_id=facts.pad_token_id, manifest=facts)
    try:
        seen = session.inspection()
        candidate = replace(
            candidate,
            version=session.version,
            facts=session.facts(),
            allowed=wanted.allowed(engine.precision),
            layers=seen.layers,
            matmuls=seen.matmuls,
            int8=seen.int8,
            planned=_planned(facts, engine.precision, seen.profiles),
        )
        found = goldens.check_answers(
            wanted,
            runtime.run_ids,
            engine=f"{name} {session.version}",
            precision=engine.precision,
            comparable=facts.task.kind.comparable,
        )
    except EngineError as error:
        runtime.close()
        return candidate.refuse(error.what), None
    return replace(candidate, deviation=found), runtime


def _planned(facts: Manifest, precision: str, profiles: int) -> int | None:
    if precision != "int8" or facts.int8_matmuls is None:
        return None
    return facts.int8_matmuls * profiles


def _timed(candidate: BuiltEngine, timing: Timing | None) -> BuiltEngine:
    if timing is None:
        return candidate
    return replace(candidate, engine_only=timing.engine_only, call=timing.call)


def _judged(candidate: BuiltEngine, report: Report) -> BuiltEngine:
    for result in report.engines:
        if result.engine == candidate.engine:
            verdict = str(result.judgement.verdict)
            candidate = replace(candidate, gate=verdict)
            return (
                candidate.refuse(f"the gate: {result.judgement.reason}") if verdict == "FAIL" else candidate
            )
    return candidate


def _remember(facts: Manifest, kept: str, why: str, candidates: list[BuiltEngine]) -> bool:
    figures = {each.engine: each.call.p50_ms for each in candidates if each.call is not None}
    return preferences.remember(facts.digest, kept, why=why, figures={"p50_ms": figures})
