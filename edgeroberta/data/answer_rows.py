"""Rows of questions on contexts, and where the answers stand in these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeroberta.data import answer_tables, cells, texts
from edgeroberta.data.answer_places import Misplaced, count, place
from edgeroberta.data.answer_tables import AnswerColumns
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import DataError, UsageError, shown
from edgeroberta.tasks import Task
from edgeroberta.tasks.outputs import AnswerSpans

#: From so many documents on these are kept together, each in one part of the data; of fewer, contexts are.
DOCUMENTS = 10
_HAN = re.compile("[\u3400-\u9fff]")
_LETTER = re.compile(r"\w")
#: Characters of contexts that are looked at to tell their script.
_LOOKED = 200_000

_NONE_HINT = (
    'a question without an answer says so: "is_impossible": true in SQuAD\'s JSON or in a column, or the '
    'list [] of answers; else give one: {"text": "…", "answer_start": 0}'
)


@dataclass
class _Found:
    """Answers that were read so far, and what is wrong or to be told of them."""

    spans: list[np.ndarray[Any, Any]] = field(default_factory=list)
    wrong: list[DataError] = field(default_factory=list)
    unsure: int = 0  # answers without a start that stand at several places


def read(
    table: DataTable, spec: DataSpec, chosen: AnswerColumns | None = None
) -> tuple[Rows, tuple[str, ...]]:
    """Read a table's questions, contexts and answers, and refuse what is broken.

    Returns the rows, with :class:`~edgeroberta.tasks.outputs.AnswerSpans`, and what is to be said of them.
    Raises DataError: a text is empty or none, an answer is not where it is said to be, or there is none and
    nothing says so.
    """
    if spec.asked is not None:
        raise UsageError("answers in contexts are no labels", where="--label-format", hint="leave it out")
    chosen = chosen or answer_tables.find(table, spec, asked=True)
    if chosen is None:
        raise answer_tables.missing(table, spec)
    questions = texts.checked(table, chosen.question)
    contexts = texts.checked(table, chosen.context)
    found = _Found()
    for row, context in enumerate(contexts):
        try:
            found.spans.append(_spans(table, chosen, row, context, found))
        except DataError as error:
            found.wrong.append(error)
    if found.wrong:
        raise _first(found.wrong, len(table))
    titles = table.columns[chosen.title] if chosen.title is not None else [None] * len(table)
    documents = tuple(
        title if isinstance(title, str) and title.strip() else context
        for title, context in zip(titles, contexts, strict=True)
    )
    packed = AnswerSpans.pack(found.spans)
    labels = AnswerSpans(packed.values, packed.offsets, contexts=contexts, documents=documents)
    return Rows(questions, contexts, labels, table.source), tuple(_told(labels, table.source, found.unsure))


def record(answers: AnswerSpans, row: int) -> dict[str, Any]:
    """Return the answers of a row as JSON that reads back as it is, as the Hub lays them out."""
    spans, context = answers.part(row)[0].tolist(), answers.contexts[row]
    return {"text": [context[a:b] for a, b in spans], "answer_start": [a for a, _ in spans]}


def documents(answers: AnswerSpans) -> tuple[str, ...]:
    """Return what of each row may be in one part of the data only: its document, or its context."""
    return answers.documents if len(set(answers.documents)) >= DOCUMENTS else answers.contexts


def judge(task: Task, answers: AnswerSpans) -> tuple[Task, str | None]:
    """Say what answers in these contexts are judged by where nobody says it, and why if that is unusual."""
    if not _are_chinese(answers.contexts):
        return task, None
    said = (
        "judged by cmrc_f1, which counts characters, since the contexts are Chinese; f1 counts words between "
        "spaces, and --metric f1 chooses it"
    )
    return task.judge_by("cmrc_f1"), said


def _are_chinese(contexts: Sequence[str]) -> bool:
    seen, size = [], 0
    for context in contexts:
        seen.append(context)
        size += len(context)
        if size > _LOOKED:
            break
    text = "".join(seen)
    return 2 * len(_HAN.findall(text)) > len(_LETTER.findall(text))


def _spans(
    table: DataTable, chosen: AnswerColumns, row: int, context: str, found: _Found
) -> np.ndarray[Any, Any]:
    """Place the answers of one row, int64[k, 2]."""
    given = answer_tables.cell(table, chosen.answers, row)
    pairs = _pairs(given, table, chosen, row)
    _check_none(bool(pairs), given, table, chosen, row)
    spans: dict[tuple[int, int], None] = {}
    for number, (answer, start) in enumerate(pairs):
        each = place(context, answer, start)
        if isinstance(each, Misplaced):
            which = f"answer {number + 1}: " if len(pairs) > 1 else ""
            raise _wrong(f"{which}{each.what}", table, row, each.hint)
        found.unsure += start is None and count(context, answer) > 1
        spans[each] = None
    return np.array(list(spans), np.int64).reshape(-1, 2)


def _pairs(given: Any, table: DataTable, chosen: AnswerColumns, row: int) -> list[tuple[Any, Any]]:
    """Return the text and the start of each answer in a cell; None for a start that is not told."""
    beside = None if chosen.starts is None else answer_tables.cell(table, chosen.starts, row)
    if isinstance(given, str) and given.strip():
        return [(given, (beside[0] if isinstance(beside, list) and len(beside) == 1 else beside))]
    if given is None or isinstance(given, str):
        return []
    if isinstance(given, Mapping):
        if "text" not in given:
            raise _wrong(f"answers {shown(given)} without the field 'text'", table, row, _NONE_HINT)
        told, starts = given["text"], given.get("answer_start", given.get("start"))
        if not isinstance(told, list | tuple):
            told, starts = [told], [starts]
        return _together(list(told), starts, table, row)
    if not isinstance(given, list | tuple):
        raise _wrong(f"{shown(given)} where answers are needed", table, row, _NONE_HINT)
    if all(isinstance(each, str) for each in given):
        return _together(list(given), beside, table, row)
    found = []
    for number, each in enumerate(given):
        if not isinstance(each, Mapping) or "text" not in each:
            what = f"answer {number + 1} is {shown(each)}, not a text with its answer_start"
            raise _wrong(what, table, row, _NONE_HINT)
        found.append((each["text"], each.get("answer_start", each.get("start"))))
    return found


def _together(told: list[Any], starts: Any, table: DataTable, row: int) -> list[tuple[Any, Any]]:
    if starts is None:
        return [(each, None) for each in told]
    listed = list(starts) if isinstance(starts, list | tuple) else [starts]
    if len(listed) != len(told):
        what = f"{len(told)} answers, but {len(listed)} places (answer_start)"
        raise _wrong(what, table, row, "each answer needs the number of the character that it begins at")
    return list(zip(told, listed, strict=True))


def _check_none(some: bool, given: Any, table: DataTable, chosen: AnswerColumns, row: int) -> None:
    """Refuse a row that has answers and says that there is none, or has none and does not say so."""
    said = None if chosen.impossible is None else table.columns[chosen.impossible][row]
    if said is not None and said != "":
        impossible = cells.bit(cells.text(said))
        if impossible is None:
            raise _wrong(f"is_impossible is {shown(said)}", table, row, "write true or false")
        if impossible and some:
            hint = "leave the answers out (plausible_answers may stay), or write false"
            raise _wrong("is_impossible, and yet there are answers", table, row, hint)
        if not impossible and not some:
            raise _wrong("no answer, though is_impossible is false", table, row, _NONE_HINT)
        return
    # A file of SQuAD 1.1 has an answer to each question; a list of no answers elsewhere says what it says.
    explicit = table.paths is None and given is not None and not isinstance(given, str)
    if not some and not explicit:
        raise _wrong("no answer", table, row, _NONE_HINT)


def _told(answers: AnswerSpans, source: str, unsure: int) -> list[str]:
    none = int((answers.lengths == 0).sum())
    told = [
        f"{source}: {len(answers):,} questions on {len(set(answers.contexts)):,} contexts"
        + (f", {none:,} of them without an answer" if none else "")
    ]
    if unsure:
        told.append(
            f"{source}: {unsure:,} answers without answer_start stand at several places of their contexts; "
            "the first is taken"
        )
    return told


def _first(wrong: Sequence[DataError], rows: int) -> DataError:
    first = wrong[0]
    if len(wrong) == 1:
        return first
    what = f"{first.what} (the first of {len(wrong):,} of {rows:,} rows that cannot be used)"
    return DataError(what, where=first.where, hint=first.hint, code="data.answers")


def _wrong(what: str, table: DataTable, row: int, hint: str) -> DataError:
    return DataError(what, where=table.where(row), hint=hint, code="data.answers")
