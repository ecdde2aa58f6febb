"""What became of a budget: measured beside predicted, each limit judged, and the Pareto front."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import UnavailableError, UsageError
from edgeroberta.latency.calltimes import CallTimes
from edgeroberta.measure import subjects
from edgeroberta.measure.process import Worker
from edgeroberta.measure.protocol import Inputs
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun, run_interleaved
from edgeroberta.progress import Progress
from edgeroberta.report.pareto import ParetoPoint, pareto_json, pareto_svg, pareto_table
from edgeroberta.search import candidates, page, probing
from edgeroberta.search.candidates import Candidate, PredictedResult
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.probing import ShortDistillation
from edgeroberta.storage.artifact import check_place, tree_bytes, write_json, write_text

#: 3: means and p99.
SCHEMA_VERSION = 3
KIND = "edgeroberta-budget"

logger = logging.getLogger(__name__)
REPORT, PAGE = "reports/budget.json", "reports/budget.html"
PARETO_JSON, PARETO_SVG = "reports/pareto.json", "reports/pareto.svg"


@dataclass(frozen=True)
class SearchResult:
    """What became of a budget."""

    limits: BudgetLimits  # what was asked for
    chosen: Candidate  # the candidate that was made
    probes: tuple[
        ShortDistillation, ...
    ]  # the candidates that were compared, the best first; none where one was left
    predicted: PredictedResult  # what it should have come to
    measured: Mapping[str, float | None]  # what it came to; times are None where the device is elsewhere
    metric: str  # name of the task's metric
    kept: float  # share of the baseline's metric that the bundle keeps
    points: tuple[ParetoPoint, ...]  # the Pareto front's points
    engine: str  # engine that was timed
    device: str  # what the prediction was measured on
    elsewhere: str | None  # the device's host, where it is not this machine
    full_then: float  # median of the baseline in float in the latency table, in milliseconds
    full_now: float | None  # the same, measured in turns with the bundle; None where the device is elsewhere

    @property
    def clock_ratio(self) -> float | None:
        """How many times longer the baseline takes now than when the device was measured."""
        return None if self.full_now is None else self.full_now / self.full_then

    @property
    def missed(self) -> tuple[str, ...]:
        """The limits that the measured model does not hold, in words."""
        asked, found = self.limits, self.measured
        wrong = []
        speedup, size = found["speedup"], found["bytes"]
        if asked.speedup is not None and speedup is not None and speedup < asked.speedup:
            wrong.append(f"speedup {speedup:.2f} instead of {asked.speedup:g}")
        for name, limit in (("p95", asked.p95), ("p99", asked.p99)):
            took = found[f"{name}_ms"]
            if limit is not None and took is not None and took > limit * 1000:
                wrong.append(f"{name} {took:.2f} ms instead of {limit * 1000:g} ms")
        if asked.bytes is not None and size is not None and size > asked.bytes:
            wrong.append(f"{size / 1e6:.2f} MB instead of {asked.bytes / 1e6:g} MB")
        return tuple(wrong)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "asked": self.limits.to_json(),
            "chosen": self.chosen.to_json(),
            "candidates": [probe.to_json() for probe in self.probes],
            "predicted": self.predicted.to_json(),
            "measured": dict(self.measured),
            "baseline": {
                "p50_ms_then": self.full_then,
                "p50_ms_now": self.full_now,
                "clock_ratio": self.clock_ratio,
            },
            "metric": self.metric,
            "kept": self.kept,
            "missed": list(self.missed),
            "engine": self.engine,
            "device": self.device,
            "host": self.elsewhere,
        }

    def to_text(self, *, failed: bool) -> str:
        """Return it for people, with candidates and Pareto front; ``failed``: a limit was missed."""
        lines = ["", f"budget: {self.limits.told}", f"chosen: {self.chosen.name}"]
        if self.probes:
            agreements = [probe.agreement for probe in self.probes]
            lines.append("compared by a short distillation; times and sizes of these are predicted:")
            lines.append(candidates.table([probe.candidate for probe in self.probes], agreements).text())
            ties = probing.tie_notice(self.probes, self.chosen)
            lines += [] if ties is None else [ties]
        predicted = self.predicted.to_json()
        units = (*((f"{name}_ms", "ms") for name in ("mean", "p50", "p95", "p99")), ("speedup", "x"),
                 ("bytes", "bytes"))  # fmt: skip
        for name, unit in units:
            found = self.measured[name]
            digits = 0 if unit == "bytes" else 2
            said = "not measured here" if found is None else f"{found:,.{digits}f} measured"
            lines.append(f"  {name.split('_')[0]:8}{predicted[name]:,.{digits}f} {unit} predicted, {said}")
        if self.chosen.escalated is not None:
            share = self.measured["escalated"]
            absent = "not measured here" if self.elsewhere is not None else "no cascade was made"
            said = absent if share is None else f"{share:.1%} measured"
            lines.append(f"  on to the last tier go {self.chosen.escalated:.1%} predicted, {said}")
            lines.append("  the speed-up of a cascade is that of the mean; its p50 is that of easy texts")
        if self.clock_ratio is not None:
            lines.append(
                f"  the baseline took {self.full_then:.2f} ms when the device was measured and "
                f"{self.full_now:.2f} now: at that clock, p50 is "
                f"{predicted['p50_ms'] * self.clock_ratio:.2f} ms"
            )
        lines.append(f"  {self.metric}: {self.kept:.1%} of the baseline's kept")
        if self.elsewhere is not None:
            lines.append(f"  times are those of {self.elsewhere}: edgeroberta bench --host {self.elsewhere}")
        lines += [f"not met: {each}" for each in self.missed]
        unmet = "not all that was asked for is met; " if failed else ""
        lines.append(f"{unmet}the Pareto front of what was found (*):")
        lines.append(pareto_table(self.points, metric=self.metric).text())
        return "\n".join(lines)

    def write(self, bundle: Path) -> None:
        """Write the report and the Pareto front beside a bundle's reports; files of others stay there."""
        title = f"{self.metric} against latency, {self.engine} on {self.device}"
        best = max(self.points, key=lambda point: point.metric)
        full = next((point for point in self.points if point.series == FULL), best)
        floor = full.metric * self.limits.keep
        (bundle / REPORT).parent.mkdir(exist_ok=True)
        try:
            check_place(bundle, (PARETO_JSON, PARETO_SVG))
            check_place(bundle, (REPORT, PAGE))
        except UsageError as error:
            logger.warning("the Pareto front is not written: %s", error)
            return
        write_json(bundle / PARETO_JSON, pareto_json(self.points, metric=self.metric))
        write_text(bundle / PARETO_SVG, pareto_svg(self.points, title=title, metric=self.metric, floor=floor))
        write_json(bundle / REPORT, self.to_json())
        self._write_page(bundle / PAGE, floor)

    def _write_page(self, file: Path, floor: float) -> None:
        said = [f"Asked: {self.limits.told}.", f"Chosen: {self.chosen.name}."]
        said += [f"Not met: {each}." for each in self.missed]
        said.append(f"{self.kept:.1%} of the baseline's {self.metric} is kept.")
        device = f"{self.engine} on {self.device}"
        try:
            text = page.page(said, self.points, self.probes, metric=self.metric, floor=floor, device=device)
        except UnavailableError as error:
            logger.warning("%s is not written: %s", PAGE, error.what)
            return
        write_text(file, text)


#: Series of the Pareto front's points.
FULL, MADE = "baseline", "compressed"


@dataclass(frozen=True)
class TimedBundle:
    """What a bundle took."""

    calls: CallTimes
    escalated: float | None  # of a cascade, share of the calls that the last tier answered


def time_in_turns(
    bundles: Mapping[str, Path], inputs: Inputs, *, engine: str, threads: int, progress: Progress
) -> dict[str, TimedBundle]:
    """Time bundles on texts in turns, each in its own process."""
    plan = RepetitionPlan(rounds=5, calls=200, threads=threads)
    runs = []
    for name, folder in bundles.items():
        (spec,) = subjects.bundle_specs(folder, inputs, engines=[engine], threads=threads)
        runs.append(RepetitionRun(name, Worker(spec)))
    try:
        run_interleaved(runs, plan, [len(str(each)) for each in inputs], progress)
    finally:
        for entry in runs:
            entry.worker.close()
    for entry in runs:
        if entry.error is not None:
            raise entry.error
    return {entry.name: _timed(entry) for entry in runs}


def _timed(entry: RepetitionRun) -> TimedBundle:
    seconds = np.concatenate([calls.seconds for calls in entry.rounds])
    tiers = [tier for calls in entry.rounds for tier in calls.tiers]
    last = len(entry.opened.tiers) - 1 if entry.opened is not None else -1
    return TimedBundle(CallTimes.of(seconds), float(np.equal(tiers, last).mean()) if tiers else None)


def size_of(folder: Path) -> int:
    """Return the bytes of all files of a bundle but those that :meth:`SearchResult.write` adds."""
    added = {folder / name for name in (REPORT, PAGE, PARETO_JSON, PARETO_SVG)}
    return tree_bytes(folder, without=added)
