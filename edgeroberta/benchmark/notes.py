"""What the numbers of a comparison are, in sentences: input, method, machine, versions, what failed."""

from __future__ import annotations

from edgeroberta.benchmark.comparison import Comparison
from edgeroberta.benchmark.row import BASELINE, baseline
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.measure.validity import MOST_SPREAD, RunValidity
from edgeroberta.measure.warmup import TOLERANCE

_FAILED = (RowStatus.WRONG, RowStatus.FAILED, RowStatus.CRASHED, RowStatus.TIMED_OUT, RowStatus.MISSING)


def comparison_notes(comparison: Comparison) -> list[str]:
    """Say what the numbers are, what speaks against them first."""
    plan, machine = comparison.plan, comparison.machine
    gains = [(row.engine, row.gain) for row in comparison.rows if row.gain is not None]
    said = [sentence for engine, gain in gains if (sentence := gain.sentence(engine)) is not None]
    found = [*_validity(comparison), *said, _input(comparison)]
    found.append(
        f"Each row in a process of its own with {plan.threads} thread(s), all in turns: {plan.rounds} rounds "
        f"of up to {plan.calls} calls or {plan.repetition_seconds:g} s, after windows of {plan.warmup} calls "
        "until "
        f"two medians lie within {TOLERANCE:.0%}; percentiles are of all calls, intervals from drawing "
        "blocks of calls, the speed-up over the baseline is the median over rounds, of medians and of means."
    )
    found += _baselines(comparison)
    if any(gain.ratio is not None for _, gain in gains):
        found.append(
            "int8 over float is beside a float graph of the bundle's shape with random weights, on the same "
            "engine, call by call in one process, the engine alone (of one thread its processor time); LOW "
            "is less than is usual with this processor's instructions."
        )
    found += _cascade(comparison)
    if any(row.noisy for row in comparison.rows):
        found.append(
            f"Noisy is a row whose rounds lie more than {MOST_SPREAD:.0%} apart, or that was not steady."
        )
    if any(row.offline for row in comparison.rows):
        found.append(
            "texts/s is with all texts there and the best number of them per call (MLPerf's offline "
            "scenario; its single-stream figure is p90)."
        )
    if any(row.energy_mj is not None for row in comparison.rows):
        found.append(
            "mJ/text is all that the measured rails used while a row was timed, idle power included."
        )
    gpus = [row for row in comparison.rows if row.peak_bytes is not None and row.device != machine.cpu]
    for device in dict.fromkeys(row.device for row in gpus):
        found.append(
            f"peak MB of rows on {device} is the process's own memory; what CUDA allocates is not in it."
        )
    for row in comparison.rows:
        if row.status is RowStatus.STORED:
            single = "single texts" if row.latency else "not timed"
            found.append(f"The reference was measured on {row.device} ({single}, {row.engine}).")
            if row.throttled:
                found.append(
                    f"Its times are not valid: the device throttled then ({', '.join(row.throttled)})."
                )
    named = f" (target {comparison.target})" if comparison.target else ""
    found.append(f"Here{named}: {machine.describe()}; Python {machine.python}.")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    found.append(f"Versions: {versions}.")
    for row in comparison.rows:
        if row.status in _FAILED and row.detail:
            found.append(f"{row.name} on {row.engine}: {row.status}: {_sentence(row.detail)}")
    return [*found, *comparison.notes]


def _cascade(comparison: Comparison) -> list[str]:
    """Say what the figures of a cascade are; of random ids none are told."""
    if comparison.cascade and comparison.plan.tokens is not None:
        return [
            "The bundle is a cascade: how sure a model is of random ids says nothing, so its last tier alone "
            "is timed on them. Name texts with --data to time the cascade."
        ]
    if not any(row.cascade for row in comparison.rows):
        return []
    return [
        "Escalated is the share of the rows that the last tier answered. A tier's p50 is of the timed texts "
        "that it answered, the tiers before it included; all in turn are texts that were sent through every "
        "tier: what the longest way takes. int8 over float is that of the last tier."
    ]


def _baselines(comparison: Comparison) -> list[str]:
    """Say what the speed-ups of rows on a GPU are over: it need not be on that GPU."""
    found: dict[str, None] = {}
    for row in comparison.rows:
        base = baseline(comparison.rows, row)
        if row.speed_up is not None and base is not None and base.name != BASELINE:
            found[f"Speed-ups on {row.device} are over {base.name}, the fastest baseline row there."] = None
        elif row.speed_up is not None and base is not None and base.device != row.device:
            found[
                f"Speed-ups on {row.device} are over the baseline on the processor, {base.device}: "
                "there is no baseline row on that GPU."
            ] = None
    return list(found)


def _validity(comparison: Comparison) -> list[str]:
    found = [f"Warning: {warning}." for warning in comparison.around.warnings]
    validity = comparison.validity
    if validity.verdict is RunValidity.INVALID:
        return [f"NOT VALID, no speed-up is told. {' '.join(validity.reasons)}", *found]
    if validity.verdict is RunValidity.NOISY:
        return [f"Noisy. {' '.join(validity.reasons)}", *found]
    return found


def _input(comparison: Comparison) -> str:
    plan, data = comparison.plan, comparison.data
    shape = plan.shape
    if shape.length is not None:
        timed = f"Timed on random ids, {plan.batch} × {shape.length} tokens, without tokenization."
    elif not shape.tokenized:
        timed = "Timed on random ids of the lengths the training texts had, without tokenization."
    else:
        each = "a text" if plan.batch == 1 else f"{plan.batch} texts"
        timed = f"Timed on {each} per call, tokenization included, at the lengths the data has."
    if data is None:
        return f"{timed} No data to check answers on: name it with --data."
    different = data.get("texts", data["rows"])
    copies = f", {different:,} different texts" if different < data["rows"] else ""
    return f"{timed} Answers: {data['rows']:,} rows of {data['source']}{copies}."


def _sentence(detail: str) -> str:
    """Put an error of several lines on one, its hint behind a semicolon."""
    return " ".join(detail.replace("\n  next:", "; next:").split())
