"""Tables whose rows are a question, its context and the answers in it: how they are found."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.data import columns, question_files
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import DataError

#: Names looked for when the user gives none, first match first.
QUESTIONS = ("question", "query", "query_text")
CONTEXTS = ("context", "passage", "paragraph", "context_text", "document")
ANSWERS = ("answers", "answer", "answer_text")
STARTS = ("answer_start", "answer_starts", "start")

_EXAMPLE = '{"question": "…", "context": "…", "answers": {"text": ["…"], "answer_start": [0]}}'
#: How pandas writes an array of numpy in a cell of CSV.
_ARRAY = re.compile(r"array\((\[[^\]]*\])(?:,\s*dtype=[\w.]+)?\)")
#: Rows that are looked into to tell answers from labels.
_LOOKED = 20


@dataclass(frozen=True)
class AnswerColumns:
    """Names of the columns in use; None where there is none."""

    question: str
    context: str
    answers: str
    starts: str | None  # column of the first characters, where the answers do not tell them
    impossible: str | None  # column that says whether the context has no answer
    title: str | None  # column of what the context is a part of

    def __str__(self) -> str:
        named = {"question": self.question, "context": self.context, "answers": self.answers}
        return ", ".join(f"{what} {name!r}" for what, name in named.items())


def find(table: DataTable, spec: DataSpec, *, asked: bool = False) -> AnswerColumns | None:
    """Find the columns of a table of questions; None where it is none.

    Those that the user names are taken (``--text`` of the question, ``--text-pair`` of the context,
    ``--label`` of the answers), else those with a usual name, if they hold answers and not labels. ``asked``:
    whether it is known that the model answers questions, which may all have the same answer.
    """
    if table.plain or table.tagged:
        return None
    question, context, answers = (
        named if named is not None else next((name for name in usual if name in table.columns), None)
        for named, usual in (
            (spec.text, QUESTIONS),
            (spec.text_pair, CONTEXTS),
            (spec.label, ANSWERS),
        )
    )
    if question is None or context is None or answers is None:
        return None
    if not {question, context, answers} <= set(table.columns):
        return None
    starts, impossible, title = (
        next((name for name in usual if name in table.columns and name not in (answers, context)), None)
        for usual in (STARTS, (question_files.IMPOSSIBLE,), (question_files.TITLE,))
    )
    chosen = AnswerColumns(question, context, answers, starts, impossible, title)
    return chosen if _holds_answers(table, chosen, asked=asked) else None


def cell(table: DataTable, name: str, row: int) -> Any:
    """Return a cell, of which text that JSON or Python writes a list or an object as is read."""
    found = table.columns[name][row]
    if isinstance(found, str):
        return _literal(found.strip(), found)
    return found.tolist() if hasattr(found, "tolist") else found


def _literal(written: str, otherwise: str) -> Any:
    if not (written.startswith(("{", "[")) and written.endswith(("}", "]"))):
        return otherwise
    for read, text in ((json.loads, written), (ast.literal_eval, _ARRAY.sub(r"\1", written))):
        try:
            found = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | dict):
            return found
    return otherwise


def _holds_answers(table: DataTable, chosen: AnswerColumns, *, asked: bool) -> bool:
    """Tell answers from labels: lists or objects of them, or texts that stand in their contexts."""
    if table.paths is not None:
        return True
    known = [row for row in range(len(table)) if table.columns[chosen.answers][row] not in (None, "")]
    found = [(cell(table, chosen.answers, row), row) for row in known[:_LOOKED]]
    if any(isinstance(each, Mapping) for each, _ in found):
        return True
    if any(isinstance(each, list | tuple) for each, _ in found):
        return all(isinstance(each, list | tuple) for each, _ in found)
    if chosen.starts is not None:
        return bool(found) and all(isinstance(each, str) for each, _ in found)
    contexts = table.columns[chosen.context]
    within = [
        isinstance(each, str) and isinstance(contexts[row], str) and each in contexts[row]
        for each, row in found
    ]
    # Labels may stand in their texts as well, but there are few different ones.
    different = len({str(each) for each, _ in found})
    several = asked or 2 * different > len(within)
    return bool(within) and 2 * sum(within) > len(within) and several


def labelled(table: DataTable, chosen: AnswerColumns) -> bool:
    """Tell whether some question has an answer, or is said to have none."""
    if chosen.impossible is not None and any(table.columns[chosen.impossible]):
        return True
    return any(_some(cell(table, chosen.answers, row)) for row in range(len(table)))


def _some(answers: Any) -> bool:
    return any(answers.values()) if isinstance(answers, Mapping) else bool(answers)


def missing(table: DataTable, spec: DataSpec) -> DataError:
    """Make the error for a table without questions, contexts and answers."""
    for name, option in ((spec.text, "--text"), (spec.text_pair, "--text-pair"), (spec.label, "--label")):
        if name is not None and name not in table.columns:
            return columns.no_column(table, name, option)
    wanted = {"question": QUESTIONS, "context": CONTEXTS, "answers": ANSWERS}
    lacking = [what for what, usual in wanted.items() if not set(usual) & set(table.columns)]
    if lacking:
        what = f"no column of {' and '.join(lacking)} found among {columns.quoted(table.columns)}"
    else:
        what = "the columns hold no answers that stand in their contexts"
    return DataError(
        f"the model answers questions on a context, and {what}",
        where=table.source,
        hint=f"e.g. {_EXAMPLE}; other columns: --text QUESTION --text-pair CONTEXT --label ANSWERS",
        code="data.not-questions",
    )


def not_of_labels(table: DataTable) -> DataError:
    """Make the error for questions on contexts where the model gives labels."""
    return DataError(
        "answers in contexts, but the model gives labels",
        where=table.source,
        hint="take a model for question answering (RobertaForQuestionAnswering), or rows with labels",
        code="data.not-questions",
    )
