"""What was learnt in pre-training: from how much text, and how well masked words of other text are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeroberta.figures import decimals, points
from edgeroberta.progress import duration
from edgeroberta.report.axes import LinearAxis, LogarithmicAxis
from edgeroberta.report.figure import Figure
from edgeroberta.report.plots import Plot, svg
from edgeroberta.report.section import Section
from edgeroberta.report.table import Cells, Column, Table
from edgeroberta.storage.artifact import Lineage

Found = Mapping[str, Any]

#: The stage that is told of.
STAGE = "pretrain"
#: What is kept of its notes.
_NOTES = (
    "documents",
    "tokens",
    "bytes",
    "blocks",
    "heldout_blocks",
    "steps",
    "head_steps",
    "best_step",
    "tokens_seen",
    "seconds",
    "tokens_per_second",
    "device",
    "processes",
    "history",
)
#: What of an evaluation is compared before and after.
_SCORES = ("perplexity", "accuracy")
#: Evaluations that a table has; the drawing has all.
_SHOWN = 12
#: A perplexity that falls by more than this factor is drawn on a logarithmic axis.
_FAR = 5


def facts(lineages: Sequence[Lineage]) -> tuple[dict[str, Any], ...]:
    """Return what there is to tell of each pre-training of a run, in order; none where there is none.

    ``before`` and ``after`` have perplexity and masked accuracy on held-out text: of the model before its
    first step, and of the weights that were kept.
    """
    return tuple(_fact(each) for each in lineages if each.stage == STAGE)


def _fact(lineage: Lineage) -> dict[str, Any]:
    notes = lineage.notes
    history = [dict(each) for each in notes.get("history", ()) if "perplexity" in each]
    kept = notes.get("best_step")
    first = next((each for each in history if each["step"] == 0), None)
    last = next((each for each in history if kept is not None and each["step"] == kept), None)
    return {
        "initialization": str(lineage.config.get("initialization", "checkpoint")),
        **{name: notes[name] for name in _NOTES if name in notes},
        **({"student": _student(notes)} if lineage.config.get("student") else {}),
        "before": _scores(first),
        "after": _scores(last or (history[-1] if history else None)),
    }


def _student(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what there is to tell of a student that was cut from the model, and of its teacher."""
    parts = ("layers", "parameters", "parameters_before")
    return {**{name: notes.get(name) for name in parts}, "teacher": _scores(notes.get("teacher"))}


def _scores(entry: Found | None) -> dict[str, float] | None:
    return None if entry is None else {name: entry[name] for name in _SCORES if name in entry}


def sections(found: Sequence[Found]) -> Iterator[Section]:
    """Lay out what :func:`facts` found."""
    for number, each in enumerate(found, start=1):
        title = "Pre-training" if len(found) == 1 else f"Pre-training {number}"
        history = each.get("history") or ()
        yield Section(title, tuple(sentences(each)), table(each) if history else None, tuple(curve(each)))


def sentences(fact: Found) -> Iterator[str]:
    """Say on how much text, how fast, and what came of it."""
    random, student = fact["initialization"] == "random", fact.get("student")
    start = "From random weights" if random else "From the weights of the model"
    if student:
        start = f"A student of {len(student['layers'])} of its layers, distilled from the model"
    yield (
        f"{start}, on {_count(fact, 'documents')} documents of {_count(fact, 'tokens')} tokens: "
        f"{_count(fact, 'steps')} steps over {_count(fact, 'tokens_seen')} tokens in "
        f"{duration(fact.get('seconds') or 0)}{_speed(fact)}."
    )
    before, after = fact.get("before"), fact.get("after")
    if after:
        was = f"{decimals(before['perplexity'])} before and " if before else ""
        right = f"{points(before['accuracy'])} % before and " if before else ""
        yield (
            f"On masked words of held-out text, perplexity is {was}{decimals(after['perplexity'])} after; "
            f"{right}{points(after['accuracy'])} % after are told right."
        )
    if before and after and after["perplexity"] > before["perplexity"]:
        yield (
            "It knows this text less well than before: the learning rate was too high, or the text too"
            " little."
        )
    if student and (teacher := student["teacher"]):
        yield (
            f"The model itself, its teacher, has a perplexity of {decimals(teacher['perplexity'])} there, and"
            f" tells {points(teacher['accuracy'])} % right; it has {student['parameters_before']:,}"
            f" parameters, the student {student['parameters']:,}."
        )
    if fact.get("head_steps"):
        yield (
            f"The model came without a head for masked words: that learnt alone for "
            f'{fact["head_steps"]:,} steps first, and "before" is measured then.'
        )


def table(fact: Found) -> Table:
    """Lay out the evaluations, or some of many; the weights of the one with a star are kept."""
    kept = fact.get("best_step")
    cells: Cells[Found] = [
        (Column("", right=False), lambda each: "*" if each["step"] == kept else ""),
        (Column("step"), lambda each: f"{each['step']:,}"),
        (Column("epoch"), lambda each: decimals(each.get("epoch"))),
        (Column("training loss"), lambda each: decimals(each.get("loss_masked"), 3)),
        (Column("perplexity"), lambda each: decimals(each["perplexity"])),
        (Column("told right", "%"), lambda each: points(each.get("accuracy"))),
    ]
    return Table.by(cells, _some(fact["history"], kept))


def _some(history: Sequence[Found], kept: int | None) -> list[Found]:
    """Choose evaluations evenly, the first and the last among them, and the one that is kept."""
    count = min(_SHOWN, len(history))
    chosen = {round(step * (len(history) - 1) / max(count - 1, 1)) for step in range(count)}
    chosen |= {number for number, each in enumerate(history) if each["step"] == kept}
    return [history[number] for number in sorted(chosen)]


def curve(fact: Found) -> Iterator[Figure]:
    """Draw perplexity on held-out text by the step, where there are two evaluations or more."""
    found = [(float(each["step"]), float(each["perplexity"])) for each in fact.get("history") or ()]
    if len(found) < 2:
        return
    steps, values = [step for step, _ in found], [value for _, value in found]
    far = max(values) > _FAR * min(values)
    up = LogarithmicAxis.over(values) if far else LinearAxis.over(values)
    plot = Plot(LinearAxis.over([0.0, *steps]), up)
    kept = [point for point in found if point[0] == fact.get("best_step")]
    parts = [
        *plot.axes("step", f"perplexity on held-out text{', logarithmic' if far else ''}"),
        plot.curve(found, "s0"),
        *plot.dots(found, "s0", 3),
        *plot.dots(kept, "s1", 5),
    ]
    title = "Perplexity on held-out text, step by step"
    yield Figure(f"{title}; the larger dot is what was kept.", (svg(title, parts),))


def _count(fact: Found, name: str) -> str:
    return f"{fact[name]:,}" if fact.get(name) is not None else "unknown"


def _speed(fact: Found) -> str:
    speed = fact.get("tokens_per_second")
    if speed is None:
        return ""
    many = fact.get("processes") or 1
    where = f" on {fact['device']}" if fact.get("device") else ""
    return f", {speed:,.0f} tokens a second{where}{f' with {many} processes' if many > 1 else ''}"
