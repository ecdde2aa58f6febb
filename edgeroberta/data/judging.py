"""What a model is judged and chosen by: the metric that was asked for, else that of its data."""

from __future__ import annotations

from collections.abc import Callable

from edgeroberta.data import answer_rows, glue
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.tasks import AnswerSpans, Task


def judge(
    task: Task, spec: DataSpec | None, rows: Rows, metric: str | None, tell: Callable[[str], None]
) -> Task:
    """Say what a model is judged by: answers by the language of their contexts, labels as GLUE has it.

    ``rows``: some of the data. ``metric``: the one that was asked for. ``tell``: called with a line for
    people on each choice that they did not make. Raises UsageError: the task has no such metric.
    """
    if metric is None and isinstance(rows.labels, AnswerSpans):
        judged, said = answer_rows.judge(task, rows.labels)
        if said is not None:
            tell(f"{rows.source}: {said}")
        return judged
    return glue.judge(task, spec, metric, tell)
