"""The columns that an answer becomes, by the task: their names, their cells, and their types in Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgeroberta.errors import UsageError
from edgeroberta.tasks import Problem, Task

_TOKEN_ROW = ("token", "text", "score", "sequence")
_ENTITY_ROW = ("label", "start", "end", "text", "score")
_ANSWER_ROW = ("text", "start", "end", "score")


@dataclass(frozen=True)
class AnswerColumn:
    """One column."""

    name: str
    of: Callable[[Any], Any]  # an answer to the cell: a value that JSON has, or an array of floats
    type: Callable[[], Any]  # its ``pyarrow.DataType``, asked for where Parquet is written


def columns(
    task: Task,
    *,
    pairs: bool = False,
    scores: bool = False,
    tiers: bool = False,
    dimensions: int | None = None,
    prefix: str = "",
) -> list[AnswerColumn]:
    """Say which columns the answers of a task become.

    ``pairs``: of an embedding model, whether a row is two texts, which have a similarity. ``scores``: tell
    the scores of all labels. ``tiers``: tell which tier of a cascade answered. ``dimensions``: of an
    embedding. ``prefix``: what the names begin with.
    """
    found = _of_problem(task, pairs=pairs, scores=scores, dimensions=dimensions)
    found.append(AnswerColumn("truncated", lambda said: said.truncated, _type("bool_")))
    if tiers:
        found.append(AnswerColumn("tier", lambda said: said.tier, _type("string")))
    return [replace(each, name=prefix + each.name) for each in found]


def error_column(prefix: str) -> AnswerColumn:
    """Return the column that says why a row has no answer."""
    return AnswerColumn(f"{prefix}error", lambda said: None, _type("string"))


def refuse_clashes(names: Sequence[str], columns: Sequence[AnswerColumn], where: str) -> None:
    """Refuse answers that would have the name of a column that the rows have."""
    taken = [each.name for each in columns if each.name in names]
    if taken:
        raise UsageError(
            f"the rows have a column {taken[0]!r}, which the answers are to have",
            where=where,
            hint="give the columns of answers another name: --prefix predicted_",
            code="usage.column-taken",
        )


def _of_problem(task: Task, *, pairs: bool, scores: bool, dimensions: int | None) -> list[AnswerColumn]:
    score = AnswerColumn("score", lambda said: said.score, _type("float64"))
    all_scores = AnswerColumn("scores", lambda said: dict(said.scores), lambda: _scores(task.labels))
    if task.problem is Problem.SINGLE_LABEL:
        label = AnswerColumn("label", lambda said: said.label, _type("string"))
        return [label, score, *([all_scores] if scores else [])]
    if task.problem is Problem.MULTI_LABEL:
        labels = AnswerColumn("labels", lambda said: list(said.labels), lambda: _list(_type("string")()))
        return [labels, all_scores]
    if scores:
        raise UsageError("only labels of texts have scores of each", where="--scores", hint="leave it out")
    if task.problem is Problem.EMBEDDING:
        if pairs:
            return [AnswerColumn("similarity", lambda said: said.similarity, _type("float64"))]
        return [AnswerColumn("embedding", lambda said: said.embedding, lambda: _floats(dimensions))]
    many: dict[Problem, list[AnswerColumn]] = {
        Problem.REGRESSION: [score],
        Problem.TOKENS: [
            AnswerColumn(
                "entities", lambda said: [_row(each, _ENTITY_ROW) for each in said.entities],
                lambda: _list(_struct(_ENTITY_ROW)),
            )
        ],
        Problem.SPANS: [
            AnswerColumn("answer", lambda said: said.answer, _type("string")),
            AnswerColumn("start", lambda said: said.start, _type("int64")),
            AnswerColumn("end", lambda said: said.end, _type("int64")),
            score,
        ],
        Problem.MASKED: [
            AnswerColumn(
                "masks",
                lambda said: [[_row(each, _TOKEN_ROW) for each in tokens] for tokens in said.masks],
                lambda: _list(_list(_struct(_TOKEN_ROW))),
            )
        ],
    }  # fmt: skip
    if task.problem is Problem.SPANS and (task.top_k or 1) > 1:
        many[Problem.SPANS].append(
            AnswerColumn(
                "answers", lambda said: [_row(each, _ANSWER_ROW) for each in said.answers],
                lambda: _list(_struct(_ANSWER_ROW)),
            )
        )  # fmt: skip
    return many[task.problem]


def _row(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _type(name: str) -> Callable[[], Any]:
    def make() -> Any:
        import pyarrow

        return getattr(pyarrow, name)()

    return make


def _list(inner: Any) -> Any:
    import pyarrow

    return pyarrow.list_(inner)


def _struct(names: Sequence[str]) -> Any:
    import pyarrow

    whole, text, number = pyarrow.int64(), pyarrow.string(), pyarrow.float64()
    types = {"start": whole, "end": whole, "token": whole, "score": number}
    return pyarrow.struct([(name, types.get(name, text)) for name in names])


def _scores(labels: Sequence[str]) -> Any:
    import pyarrow

    return pyarrow.struct([(label, pyarrow.float64()) for label in labels])


def _floats(dimensions: int | None) -> Any:
    import pyarrow

    return pyarrow.list_(pyarrow.float32(), dimensions or -1)
