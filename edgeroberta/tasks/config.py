"""Reads labels and kind of a task from a Hugging Face ``config.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from edgeroberta.errors import CheckpointError, did_you_mean, shown
from edgeroberta.tasks.problem import Problem

#: Far above any model's; a larger number is a mistake, and no list of that length is to be made.
_MOST_LABELS = 1 << 20

#: Kinds of task that a model's class alone decides, by how the class in transformers ends.
_CLASSES = {
    "ForTokenClassification": Problem.TOKENS,
    "ForQuestionAnswering": Problem.SPANS,
    "ForMaskedLM": Problem.MASKED,
}


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


def problem_of(config: Mapping[str, Any], labels: tuple[str, ...]) -> Problem:
    """Read the kind of task from a parsed ``config.json``; ``labels``: its labels."""
    name, where = config.get("problem_type"), "config.json: problem_type"
    told = by_class(config)
    if told is not None:
        name, where = told.value, "config.json: id2label"
    if name is None:
        return Problem.REGRESSION if len(labels) == 1 else Problem.SINGLE_LABEL
    known = [problem.value for problem in Problem]
    if name not in known:
        raise CheckpointError(
            f"unknown problem type {shown(name)}",
            where=where,
            hint=did_you_mean(str(name), known) or f"one of {', '.join(known)}",
        )
    problem = Problem(name)
    if problem is Problem.EMBEDDING:
        raise CheckpointError(
            "an embedding model needs a pooling, and nothing tells which",
            where=where,
            hint='name one with --pooling, or write "sentence_embedding": {"pooling": "mean"} there',
            code="checkpoint.pooling-missing",
        )
    if problem is Problem.REGRESSION and len(labels) != 1:
        raise CheckpointError(f"a regression has one output, this model has {len(labels)}", where=where)
    if problem is Problem.SPANS and len(labels) != 2:
        raise CheckpointError(
            f"question answering has two outputs, for the start and the end of an answer, this model has "
            f"{len(labels)}",
            where="config.json: id2label",
            hint='set "num_labels": 2 if the head has two rows; one with more is of something else',
        )
    if problem in (Problem.SINGLE_LABEL, Problem.TOKENS) and len(labels) == 1:
        raise CheckpointError("choosing one label of many needs at least two labels", where=where)
    return problem


def by_class(config: Mapping[str, Any]) -> Problem | None:
    """Tell the kind by the model's class, which transformers goes by, not by ``problem_type``."""
    known = config.get("architectures")
    names = [name for name in (known if isinstance(known, list) else [known]) if isinstance(name, str)]
    kinds = (kind for suffix, kind in _CLASSES.items() for name in names if name.endswith(suffix))
    return next(kinds, None)
