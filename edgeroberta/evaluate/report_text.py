"""What a report says to people, as sections that Markdown and HTML share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeroberta import escaping
from edgeroberta.evaluate.per_stage import table

if TYPE_CHECKING:
    from edgeroberta.evaluate.per_stage import Ledger
    from edgeroberta.evaluate.report import EngineResult, Flip, Report

ABSENT = "–"


@dataclass(frozen=True)
class Section:
    """A title, some sentences, and perhaps a table.

    Attributes:
        title: The heading; the first section's is the report's own.
        sentences: One paragraph each.
        header: Column titles.
        rows: Cells, as many per row as there are titles.
    """

    title: str
    sentences: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def sections(report: Report) -> list[Section]:
    """Lay a report out for people."""
    found = [_verdict(report), _measured(report)]
    if report.ledger is not None:
        found.append(_ledger(report.ledger))
    if report.flips:
        found.append(_flips(report))
    found.append(_steadiness(report))
    if report.sites:
        found.append(_sites(report))
    if report.lineage:
        found.append(_lineage(report))
    found.append(_circumstances(report))
    return found


def markdown(parts: Sequence[Section]) -> str:
    """Write sections as GitHub Markdown."""
    lines: list[str] = []
    for number, part in enumerate(parts):
        lines += [f"{'#' if number == 0 else '##'} {escaping.markdown(part.title)}", ""]
        for sentence in part.sentences:
            lines += [escaping.markdown(sentence), ""]
        if part.header:
            lines += [_row(part.header), _row(["---"] * len(part.header))]
            lines += [_row([escaping.markdown(cell) for cell in row]) for row in part.rows]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def points(share: float) -> str:
    """Return a share in points: 0.867 is ``86.7``."""
    return f"{100 * share:.1f}"


def signed_points(share: float) -> str:
    """Return a difference of shares in points, with its sign: ``+0.6``, ``-0.2``, ``0.0``."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text


def megabytes(count: float | None) -> str:
    """Return bytes as megabytes (10^6): ``31.2``."""
    return ABSENT if count is None else f"{count / 1e6:.1f}"


def _verdict(report: Report) -> Section:
    gate = report.gate
    allowed = points(gate.allowed(report.full_size["metrics"][report.metric]))
    asked = (
        f"The gate: {report.metric} may fall by at most {allowed} points "
        f"({gate.confidence:.0%} interval), and at least {gate.min_agreement:.1%} of the answers must be "
        "those of the full-size model."
    )
    warnings = (f"WARNING: {warning}." for warning in report.warnings)
    gains = [(result.engine, result.gain) for result in report.engines if result.gain is not None]
    said = [sentence for engine, gain in gains if (sentence := gain.sentence(engine)) is not None]
    return Section(f"Verdict: {report.verdict}", (f"{report.judgement.reason}.", *warnings, *said, asked))


def _measured(report: Report) -> Section:
    full = report.full_size
    metric = full["metrics"][report.metric]
    latency = full["latency"]
    first = (
        "full-size",
        f"torch, {full['dtype']}",
        megabytes(full["bytes"]),
        points(metric),
        ABSENT,
        ABSENT,
        f"{latency['p50_ms']:.2f}" if latency else ABSENT,
        f"{latency['p99_ms']:.2f}" if latency else ABSENT,
        ABSENT,
        ABSENT,
        ABSENT,
        ABSENT,
    )
    header = (
        "model",
        "engine",
        "size MB",
        report.metric,
        "drop in points (interval)",
        "same answer %",
        "p50 ms",
        "p99 ms",
        "int8 over floats",
        "peak MB",
        "cold start s",
        "verdict",
    )
    sentence = (
        f"On {counted(report.data)} that were never trained on, calibrated on or chosen by "
        f"({report.data['source']}). Latency is of single texts, tokenization included; the full-size "
        f"model's was measured on {full['device']}, the bundle's on {report.machine.cpu}."
    )
    return Section(
        "Full-size and compressed",
        (sentence,),
        header,
        (first, *(_engine_row(report, result) for result in report.engines)),
    )


def counted(data: Mapping[str, Any]) -> str:
    """Say how many rows were measured on, how many texts where some are copies, and how many are known."""
    rows, different, leaked = data["rows"], data.get("texts"), data.get("leaked")
    said = f"{rows:,} rows"
    if different is not None and different < rows:
        said += f" of {different:,} different texts"
    if leaked:
        said += f" ({leaked:,} of them also in the training data, and left out there)"
    return said


def _engine_row(report: Report, result: EngineResult) -> tuple[str, ...]:
    drop, latency = result.drop, result.latency
    verdict = str(result.judgement.verdict)
    if result.to_come:
        verdict = "to be measured on the device"
    elif result.metrics is None:
        verdict = f"{verdict} ({result.status})"
    return (
        "bundle",
        f"{result.engine} {result.version}" if result.version else result.engine,
        megabytes(result.bytes),
        points(result.metrics[report.metric]) if result.metrics is not None else ABSENT,
        interval(drop.mean, drop.low, drop.high) if drop else ABSENT,
        points(result.agreement) if result.agreement is not None else ABSENT,
        f"{latency.p50_ms:.2f}" if latency else ABSENT,
        f"{latency.p99_ms:.2f}" if latency else ABSENT,
        ABSENT if result.gain is None else result.gain.cell,
        megabytes(result.peak_bytes),
        f"{result.cold_start_s:.2f}" if result.cold_start_s is not None else ABSENT,
        verdict,
    )


def interval(mean: float, low: float, high: float) -> str:
    """Return a difference with its interval, in points: ``+0.6 (+0.1 to +1.2)``."""
    return f"{signed_points(mean)} ({signed_points(low)} to {signed_points(high)})"


def _ledger(ledger: Ledger) -> Section:
    title = "What each stage lost"
    if ledger.missing is not None:
        return Section(title, table.sentences(ledger))
    return Section(title, table.sentences(ledger), table.header(ledger), table.cells(ledger))


def _flips(report: Report) -> Section:
    title = "Answers that changed"
    ran = next(result for result in report.engines if result.flips is not None)
    sentence = (
        f"{ran.flips:,} of {report.data['rows']:,} rows on {ran.engine}; "
        f"shown: {len(report.flips)}, those the full-size model was surest of first."
    )
    if all(flip.text is None for flip in report.flips):
        sentence += " Their texts are not kept here; --keep-examples keeps them."
        rows = [(str(flip.row), flip.truth, flip.full_size, flip.compressed) for flip in report.flips]
        return Section(title, (sentence,), ("row", "label", "full-size", "compressed"), tuple(rows))
    shown = [
        (str(flip.row), _text(flip), flip.truth, flip.full_size, flip.compressed) for flip in report.flips
    ]
    return Section(title, (sentence,), ("row", "text", "label", "full-size", "compressed"), tuple(shown))


def _text(flip: Flip) -> str:
    return " / ".join(part for part in (flip.text, flip.pair) if part is not None)


def _steadiness(report: Report) -> Section:
    rows = []
    for result in report.engines:
        found = result.invariance
        if found is not None:
            rows.append(
                (
                    result.engine,
                    f"{found.rows}",
                    ", ".join(found.ways),
                    f"{found.flips}",
                    f"{found.max_delta:.1e}",
                )
            )
    sentence = "Whether a text's answer depends on what shares its batch, or on padding."
    return Section(
        "Batch and padding",
        (sentence,),
        ("engine", "texts", "asked alone and", "answers changed", "largest difference of a logit"),
        tuple(rows),
    )


def _sites(report: Report) -> Section:
    known = ("site", "choice", "error", "minmax_error", "reason")
    columns = [name for name in known if name in report.sites[0]]
    rows = tuple(tuple(_cell(site.get(name)) for name in columns) for site in report.sites)
    sentence = "What the quantizer chose for each matmul, by the error it measured on the user's own text."
    return Section(
        "Quantization, matmul by matmul", (sentence,), tuple(name.replace("_", " ") for name in columns), rows
    )


def _lineage(report: Report) -> Section:
    rows = []
    for step in report.lineage:
        config = _cell(step["config"])
        rows.append((step["stage"], config or ABSENT, str(step["seed"]), f"{step['seconds']:.1f}"))
    return Section("How it was made", (), ("stage", "config", "seed", "seconds"), tuple(rows))


def _circumstances(report: Report) -> Section:
    ran = [result for result in report.engines if result.latency is not None]
    facts = [
        f"Measured {report.measured_at} on {report.machine.describe()}.",
        f"Versions: {_versions(report.machine.versions)}; Python {report.machine.python}.",
    ]
    if ran and (latency := ran[0].latency):
        facts.append(
            f"Each engine in a process of its own, in turns: {latency.rounds} rounds, {latency.calls} calls "
            f"in all, after {latency.warmup} to warm up, {latency.threads} thread(s)."
        )
    full = report.full_size
    facts.append(
        f"Full-size model: {full['model']}, {full['parameters']:,} parameters, {full['dtype']} on "
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
