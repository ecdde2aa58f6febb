"""The report of a verification for people: sections that Markdown and HTML share, and the files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgeroberta import escaping
from edgeroberta.errors import UnavailableError
from edgeroberta.evaluation.per_stage import PerStageMetrics
from edgeroberta.evaluation.result import Report
from edgeroberta.figures import points
from edgeroberta.report import (
    answers,
    cascade,
    engines_table,
    flips,
    interval_plot,
    labels,
    latency_plot,
    linear_ops,
    pages,
    pretraining,
    robustness,
    slices,
    stage_metrics,
    swaps,
    waterfall,
)
from edgeroberta.report.section import Section
from edgeroberta.report.table import ABSENT, Table
from edgeroberta.storage import artifact
from edgeroberta.storage.files import REPORT
from edgeroberta.tasks import KINDS, Problem

#: What a report is written as.
FILES = JSON, MARKDOWN, PAGE = REPORT, "report.md", "report.html"

#: F1 of words and of characters that are further apart are both told: words are not what spaces separate.
_APART = 0.05

logger = logging.getLogger(__name__)


def write(report: Report, folder: Path) -> tuple[str, ...]:
    """Write ``report.json``, ``report.md`` and ``report.html``, that one with Jinja2; return the names."""
    artifact.check_place(folder, FILES)
    artifact.write_json(folder / JSON, report.to_json())
    artifact.write_text(folder / MARKDOWN, markdown(sections(report)))
    try:
        artifact.write_text(folder / PAGE, page(report))
    except UnavailableError as error:  # as on a device
        logger.warning("%s is not written: %s", PAGE, error.what)
        return JSON, MARKDOWN
    return FILES


def page(report: Report) -> str:
    """Write a report as one HTML file that needs nothing else: no fonts, no pictures, no other file."""
    return pages.page(_for_page(report), verdict=str(report.verdict))


def _for_page(report: Report) -> Iterator[Section]:
    """Lay a report out for a page: what was found first, then pictures, then how it was found."""
    found = report.to_json()
    verdict, *others = summary(report)
    above = 1 + len(report.warnings)
    yield replace(
        verdict,
        sentences=verdict.sentences[:above],
        table=engines_table.table(found),
        figures=tuple(interval_plot.figures(found, _allowed(report))),
    )
    yield from answers.sections(found)
    times = {each["engine"]: each["latency"] for each in found["engines"]}
    if any(times.values()) and (
        drawn := tuple(latency_plot.figures({"baseline": found["baseline"]["latency"], **times}))
    ):
        yield Section("How long texts take", (), None, drawn)
    measured, *parts = others
    yield from parts
    yield from _history(report)
    yield from flips.sections(found, page=True)
    yield Section("What the gate asks", verdict.sentences[above:])
    yield measured
    yield from _details(report)


def markdown(parts: Sequence[Section]) -> str:
    """Write sections as GitHub Markdown; here and not in a template, since devices print it."""
    blocks = []
    for number, part in enumerate(parts):
        blocks.append(f"{'##' if number else '#'} {escaping.markdown(part.title)}")
        blocks += map(escaping.markdown, part.sentences)
        blocks += [part.table.markdown()] if part.table else []
    return "\n\n".join(blocks) + "\n"


def sections(report: Report) -> list[Section]:
    """Lay a report out for people."""
    flipped = flips.sections(report.to_json())
    return [*summary(report), *_history(report), *flipped, *_details(report)]


def _history(report: Report) -> Iterator[Section]:
    """Lay out what became of the model on the way."""
    yield from pretraining.sections(report.pretraining)
    yield from _stages(report.per_stage)
    yield from cascade.sections(report.cascade)


def _details(report: Report) -> Iterator[Section]:
    yield _invariance(report)
    yield from linear_ops.sections(report.linear_ops)
    yield from _lineage(report)
    yield _environment(report)


def summary(report: Report) -> list[Section]:
    """Lay out the verdict and what it rests on, as a terminal shows them."""
    found = report.to_json()
    parts = (*slices.sections(found), *_labels(report))
    changed = (*swaps.sections(found), *robustness.sections(found))
    return [_verdict(report), _measured(report), *parts, *changed]


def counted(data: Mapping[str, Any]) -> str:
    """Say how many rows were measured on, how many texts where some are copies, and how many are known."""
    rows, different, leaked = data["rows"], data.get("texts"), data.get("leaked")
    said = f"{rows:,} rows"
    if different is not None and different < rows:
        said += f" of {different:,} different texts"
    if leaked:
        said += f" ({leaked:,} of them also in the training data, and left out there)"
    return said


def _verdict(report: Report) -> Section:
    gate = report.gate
    allowed = points(_allowed(report))
    asked = (
        f"The gate: {_metric(report)} may fall by at most {allowed} points "
        f"({100 * gate.confidence:.4g}% interval), and at least {100 * gate.min_agreement:.4g}% of the "
        "answers must be those of the baseline."
    )
    warnings = (f"WARNING: {warning}." for warning in report.warnings)
    gains = (result.gain.sentence(result.engine) for result in report.engines if result.gain is not None)
    of_parts = (labels.asked(asdict(gate)), slices.asked(asdict(gate)))
    said = (f"{report.judgement.reason}.", *warnings, *gains, asked, *of_parts)
    return Section(f"Verdict: {report.verdict}", tuple(filter(None, said)))


def _allowed(report: Report) -> float:
    return report.gate.allowed(report.baseline["metrics"][report.metric])


def _metric(report: Report) -> str:
    """Name the metric, and the label that it is of where it is of one."""
    chosen = KINDS[report.problem].metrics.get(report.metric)
    return (
        report.metric if chosen is None or chosen.labels != 2 else f"{report.metric} of {report.labels[1]!r}"
    )


def _measured(report: Report) -> Section:
    sentence = (
        f"On {counted(report.data)} that were never trained on, calibrated on or chosen by "
        f"({report.data['source']}). Latency is of single texts, tokenization included; the "
        f"baseline's was measured on {report.baseline['device']}, the bundle's on {report.machine.cpu}."
    )
    table = engines_table.table(report.to_json(), all_columns=True)
    return Section("Baseline and compressed model", (sentence, *_readings(report)), table)


def _readings(report: Report) -> Iterator[str]:
    """Say how entities and answers were counted, where that makes a difference."""
    full = report.baseline["metrics"]
    ours = next((result.metrics for result in report.engines if result.metrics is not None), {})

    def both(name: str) -> str:
        return f"{points(full.get(name))} of the baseline and {points(ours.get(name))} of the bundle"

    if (told := full.get("perplexity")) is not None:
        yield f"Perplexity is {told:.4g} of the baseline{_beside(ours.get('perplexity'))}."
    apart = abs(full.get("f1", 0.0) - full.get("cmrc_f1", 0.0)) > _APART
    if report.problem == Problem.SPANS and (apart or report.metric.startswith("cmrc")):
        yield (
            f"Answers are compared word by word as SQuAD's script does it, f1 {both('f1')}, and Chinese ones "
            f"character by character as CMRC's does, cmrc_f1 {both('cmrc_f1')}."
        )
    if report.scheme is None:
        return
    loose, strict = both("f1"), both("f1_strict")
    yield (
        f"Entities are read from {report.scheme} tags as seqeval reads them by default, f1 {loose}; in its "
        f"strict mode, f1_strict, {strict}."
    )


def _beside(value: float | None) -> str:
    return "" if value is None else f" and {value:.4g} of the bundle"


def _labels(report: Report) -> Iterator[Section]:
    found = report.to_json()
    if (bounds := labels.bounds(found)) is not None:
        sentence = (
            "The end of an interval that a PASS asks for is that of the gate's confidence; the other end "
            "shares its probability among all bounds."
        )
        yield Section("Recall that the gate bounds", (sentence,), bounds)
    if (table := labels.table(found)) is not None:
        yield Section("Label by label", (), table)


def _stages(per_stage: PerStageMetrics | None) -> Iterator[Section]:
    if per_stage is not None:
        table = None if per_stage.missing is not None else stage_metrics.table(per_stage)
        drawn = tuple(waterfall.figures(per_stage))
        yield Section("What each stage lost", stage_metrics.notes(per_stage), table, drawn)


def _invariance(report: Report) -> Section:
    rows = [
        (result.engine, f"{found.rows}", ", ".join(found.ways), f"{found.flips}", f"{found.max_delta:.1e}")
        for result in report.engines
        if (found := result.invariance) is not None
    ]
    titles = ("engine", "texts", "asked alone and", "answers changed", "largest difference of a logit")
    sentence = "Whether a text's answer depends on what shares its batch, or on padding."
    return Section("Batch and padding", (sentence,), Table.of(titles, rows, words=(0, 2)))


def _lineage(report: Report) -> Iterator[Section]:
    rows = [
        (_step(step), _cell(step["config"]) or ABSENT, str(step["seed"]), f"{step['seconds']:.1f}")
        for step in report.lineage
    ]
    if rows:
        yield Section("How it was made", (), Table.of(("stage", "config", "seed", "seconds"), rows, words=2))


def _step(step: Mapping[str, Any]) -> str:
    """Name a stage, and the tier that it made."""
    return f"{step['tier']}: {step['stage']}" if step.get("tier") else str(step["stage"])


def _environment(report: Report) -> Section:
    facts = [
        f"Measured {report.measured_at} on {report.machine.describe()}.",
        f"Versions: {_versions(report.machine.versions)}; Python {report.machine.python}.",
    ]
    if latency := next((result.latency for result in report.engines if result.latency is not None), None):
        facts.append(
            f"Each engine in a process of its own, interleaved: {latency.rounds} rounds, {latency.calls} "
            f"calls in all, after {latency.warmup} to warm up, {latency.threads} thread(s)."
        )
    full = report.baseline
    facts.append(
        f"Baseline: {full['model']}, {full['parameters']:,} parameters, {full['dtype']} on "
        f"{full['device']} ({_versions(full['machine']['versions'])})."
    )
    return Section("Measured on", tuple(facts))


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _cell(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_cell(item)}" for name, item in sorted(value.items()) if item is not None)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
