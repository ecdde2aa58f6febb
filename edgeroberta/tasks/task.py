"""The task of one model: its kind and its labels, as ``config.json`` has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from edgeroberta.errors import CheckpointError, UsageError, did_you_mean, shown
from edgeroberta.tasks.classification import MultiLabel, Regression, SingleLabel
from edgeroberta.tasks.entities import AGGREGATIONS
from edgeroberta.tasks.kind import Metric, TaskKind
from edgeroberta.tasks.outputs import Outputs, as_outputs
from edgeroberta.tasks.tokens import TokenLabels
from edgeroberta.tasks.word import Word


class Problem(Word):
    """Kind of task; the first three under the names Hugging Face uses for ``problem_type``."""

    SINGLE_LABEL = "single_label_classification"
    MULTI_LABEL = "multi_label_classification"
    REGRESSION = "regression"
    TOKENS = "token_classification"


#: Every kind of task, by the value of its problem: a new one is a row here.
KINDS: dict[str, TaskKind] = {
    Problem.SINGLE_LABEL.value: SingleLabel(),
    Problem.MULTI_LABEL.value: MultiLabel(),
    Problem.REGRESSION.value: Regression(),
    Problem.TOKENS.value: TokenLabels(),
}


#: Far above any model's; a larger number is a mistake, and no list of that length is to be made.
_MOST_LABELS = 1 << 20


@dataclass(frozen=True)
class Task:
    """The task of a model: what its outputs mean."""

    problem: Problem  # kind of classification
    labels: tuple[str, ...]  # name of each output, in the order of the logits; one name for a regression
    pair: bool = False  # True when an input is two texts
    #: name of the metric that models are judged and chosen by; None for the default of its kind
    judged_by: str | None = None
    #: how tokens become words that have a label, see :data:`edgeroberta.tasks.entities.AGGREGATIONS`; of no
    #: meaning where outputs are one row per text
    aggregation: str = "first"

    def __post_init__(self) -> None:
        if self.aggregation not in AGGREGATIONS:
            raise UsageError(
                f"unknown aggregation {shown(self.aggregation)}",
                where="aggregation",
                hint=did_you_mean(str(self.aggregation), AGGREGATIONS) or f"one of {', '.join(AGGREGATIONS)}",
            )

    @property
    def num_outputs(self) -> int:
        """Number of logits per unit."""
        return len(self.labels)

    @property
    def kind(self) -> TaskKind:
        """All that is done with such a task."""
        return KINDS[str(self.problem)]

    @property
    def metric(self) -> str:
        """Name of the metric that models are judged and chosen by."""
        return self.judged_by or self.kind.default_metric

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """All that models can be judged by: metrics of the kind that this number of labels has."""
        known = self.kind.metrics
        return {name: each for name, each in known.items() if each.labels in (None, self.num_outputs)}

    def judge_by(self, metric: str | None, *, where: str = "--metric") -> Task:
        """Return the task judged by a metric; as it is for None. Raises UsageError: it has no such metric."""
        if metric is None:
            return self
        self.require_metric(metric, where=where)
        return replace(self, judged_by=None if metric == self.kind.default_metric else metric)

    def require_metric(self, metric: str, *, where: str) -> None:
        """Refuse a metric that the task does not have. Raises UsageError, with those that it has."""
        known = self.metrics
        if metric in known:
            return
        what = f"a task of {self.problem.value.replace('_', ' ')} has no {metric}"
        if metric in self.kind.metrics:
            wanted = self.kind.metrics[metric].labels
            what = f"{metric} is of {wanted} labels, and this task has {self.num_outputs}"
        hint = f"one of {', '.join(known)}"
        near = did_you_mean(metric, known)
        raise UsageError(
            what, where=where, hint=f"{near} {hint}" if near else hint, code="usage.metric-unknown"
        )

    @property
    def optimum_task(self) -> str:
        """Name of the task in Optimum's ``TasksManager``."""
        return self.kind.optimum_task

    def decide(self, outputs: Outputs | npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Read outputs, or logits float32 [texts, L], as answers."""
        return self.kind.decide(self, as_outputs(outputs))

    def truth(self, labels: Any) -> npt.NDArray[Any]:
        """Read the labels of rows as answers."""
        return self.kind.truth(self, labels)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, pair: bool = False) -> Task:
        """Read the task from a Hugging Face ``config.json``.

        ``config``: the parsed file; ``architectures``, ``id2label``, ``num_labels`` and ``problem_type`` are
        used. ``pair``: True when an input is two texts; the config does not say. Returns the task. A model
        ``…ForTokenClassification`` labels tokens, whatever the ``problem_type``. Without one, one output is
        a regression (as transformers has it) and more are one label of many.
        """
        names = labels(config)
        return cls(_problem(config, names), names, pair)


def labels(config: Mapping[str, Any], *, where: str = "config.json") -> tuple[str, ...]:
    """Read the names of the outputs from a parsed ``config.json``; ``LABEL_0`` … where it has none."""
    count, table = config.get("num_labels"), config.get("id2label")
    if count is not None and (
        not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_LABELS
    ):
        raise CheckpointError(
            f"must be a whole number from 1 to {_MOST_LABELS:,}, not {shown(count)}",
            where=f"{where}: num_labels",
        )
    if table is None:
        return tuple(f"LABEL_{i}" for i in range(2 if count is None else count))  # transformers' own default
    found = _table(table, f"{where}: id2label")
    if count not in (None, len(found)):
        raise CheckpointError(
            f"num_labels is {count}, id2label has {len(found)} names",
            where=where,
            hint="put the one right that is wrong; transformers goes by id2label",
        )
    _check_inverse(config.get("label2id"), found, f"{where}: label2id")
    return found


def _table(table: Any, where: str) -> tuple[str, ...]:
    if not isinstance(table, Mapping) or not table:
        raise CheckpointError(
            "must be a table of label ids and names", where=where, hint='e.g. {"0": "no", "1": "yes"}'
        )
    try:
        names = {int(key): name for key, name in table.items()}
    except (TypeError, ValueError) as error:
        raise CheckpointError("has a key that is not a whole number", where=where) from error
    if sorted(names) != list(range(len(table))):
        raise CheckpointError(f"the ids must be 0 to {len(table) - 1} without holes", where=where)
    for name in names.values():
        if not isinstance(name, (str, int, float)):
            raise CheckpointError(f"{shown(name)} is no name", where=where)
    labels = tuple(str(names[i]) for i in range(len(names)))
    if len(set(labels)) != len(labels):
        counts = Counter(labels)
        repeated = next(label for label in labels if counts[label] > 1)
        raise CheckpointError(f"the name {shown(repeated)} stands for two labels", where=where)
    return labels


def _check_inverse(inverse: Any, labels: tuple[str, ...], where: str) -> None:
    """Refuse a ``label2id`` that gives a label another id; names of no label are passed over."""
    if inverse is None:
        return
    if not isinstance(inverse, Mapping):
        raise CheckpointError("must be a table of names and label ids", where=where)
    ids = {label.casefold(): number for number, label in enumerate(labels)}
    exact = {label: number for number, label in enumerate(labels)}
    for name, number in inverse.items():
        wanted = exact.get(str(name), ids.get(str(name).casefold()))
        if wanted is not None and str(number) != str(wanted):
            raise CheckpointError(
                f"{shown(name)} is {shown(number)} here and {wanted} in id2label",
                where=where,
                hint="put the one right that is wrong; it decides which answer is which label",
            )


def _labels_tokens(config: Mapping[str, Any]) -> bool:
    known = config.get("architectures")
    names = known if isinstance(known, list) else [known]
    return any(str(name).endswith("ForTokenClassification") for name in names)


def _problem(config: Mapping[str, Any], labels: tuple[str, ...]) -> Problem:
    name = config.get("problem_type")
    if _labels_tokens(config):
        name = Problem.TOKENS.value
    if name is None:
        return Problem.REGRESSION if len(labels) == 1 else Problem.SINGLE_LABEL
    where = "config.json: problem_type"
    known = [problem.value for problem in Problem]
    if name not in known:
        raise CheckpointError(
            f"unknown problem type {shown(name)}",
            where=where,
            hint=did_you_mean(str(name), known) or f"one of {', '.join(known)}",
        )
    problem = Problem(name)
    if problem is Problem.REGRESSION and len(labels) != 1:
        raise CheckpointError(f"a regression has one output, this model has {len(labels)}", where=where)
    if problem in (Problem.SINGLE_LABEL, Problem.TOKENS) and len(labels) == 1:
        raise CheckpointError("choosing one label of many needs at least two labels", where=where)
    return problem
