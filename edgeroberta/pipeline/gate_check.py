"""What a gate asks for is there: its metric, and the labels whose recall it bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeroberta.errors import RecipeError, did_you_mean
from edgeroberta.recipe import Recipe, walk
from edgeroberta.tasks import Problem, Task

#: Labels that a hint lists.
_SHOWN = 12


def check(chosen: Recipe, task: Task, metric: str | None = None) -> None:
    """Refuse a gate about a metric or a label that the task does not have, before hours of work.

    ``metric``: what ``--metric`` says; a gate about another is refused, too.
    """
    for step, place, _ in walk(chosen.stages):
        gate = getattr(step.config, "gate", None)
        if gate is not None:
            where = f"{Path(chosen.source).name}: {place}.gate"
            _check_metric(gate.metric, task, f"{where}.metric")
            if None not in (gate.metric, metric) and gate.metric != metric:
                raise RecipeError(
                    f"the gate is about {gate.metric}, and --metric says {metric}",
                    where=f"{where}.metric",
                    hint="leave one of them out",
                )
            _check_labels(gate, task, where)


def _check_metric(metric: str | None, task: Task, where: str) -> None:
    known = task.metrics
    if metric is not None and metric not in known:
        raise RecipeError(
            f"a task of {_said(task)} has no {metric}", where=where, hint=_hint(metric, tuple(known))
        )


def _check_labels(gate: Any, task: Task, where: str) -> None:
    recall = task.kind.recall(task)
    for name in ("min_recall", "max_recall_drop"):
        asked = getattr(gate, name)
        if asked is None or asked == {}:
            continue
        if recall is None:
            raise RecipeError(
                f"a task of {_said(task)} has no labels that could be found or missed",
                where=f"{where}.{name}",
                hint="leave it out; max_drop bounds the loss of the metric",
            )
        for label in asked if isinstance(asked, Mapping) else ():
            if label not in recall[0]:
                raise RecipeError(
                    f"the model has no {_noun(task)} {label!r}",
                    where=f"{where}.{name}",
                    hint=_hint(label, recall[0]),
                )


def _noun(task: Task) -> str:
    return "type of entity" if task.problem is Problem.TOKENS else "label"


def _said(task: Task) -> str:
    return task.problem.value.replace("_", " ")


def _hint(name: str, known: Sequence[str]) -> str:
    near = did_you_mean(name, known)
    listed = f"one of {', '.join(known[:_SHOWN])}{', …' if len(known) > _SHOWN else ''}"
    return f"{near} {listed}" if near else listed
