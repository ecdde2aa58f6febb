"""Whether two bundles answer the same question, and how the labels of one stand in the order of the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgeroberta.errors import UsageError
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.tasks import Outputs, Problem

#: Kinds of tasks whose outputs are one number per label.
_LABELLED = (Problem.SINGLE_LABEL, Problem.MULTI_LABEL, Problem.TOKENS)


def reordering(first: Manifest, second: Manifest) -> Callable[[Outputs], Outputs]:
    """Return what puts the outputs of the second bundle in the order of the first one's labels.

    Raises UsageError: their answers cannot be compared, for they are of other tasks or labels.
    """
    one, other = first.task, second.task
    where = str(second.folder)
    if (one.problem, one.pair) != (other.problem, other.pair):
        raise _different(f"it is a model of {_kind(second)}, the other one of {_kind(first)}", where)
    if one.problem is Problem.EMBEDDING and one.dimensions != other.dimensions:
        raise _different(f"it has {other.dimensions} dimensions, the other one {one.dimensions}", where)
    if one.problem is Problem.EMBEDDING and one.similarity != other.similarity:
        ways = [each.similarity or "cosine" for each in (other, one)]
        raise _different(f"it compares texts by the {ways[0]}, the other one by the {ways[1]}", where)
    if one.problem is Problem.MASKED and first.baseline.get("digest") != second.baseline.get("digest"):
        raise _different("it fills masks with another vocabulary: they are not of one baseline", where)
    if one.problem not in _LABELLED or one.labels == other.labels:
        return lambda outputs: outputs
    if sorted(one.labels) != sorted(other.labels):
        more = sorted(set(other.labels) ^ set(one.labels))
        raise _different(f"only one of the two has the label {more[0]!r}", where)
    order = np.array([other.labels.index(label) for label in one.labels])
    return lambda outputs: replace(outputs, values=outputs.values[:, order])


def _kind(facts: Manifest) -> str:
    return f"{facts.task.problem}{', of pairs' if facts.task.pair else ''}"


def _different(what: str, where: str) -> UsageError:
    return UsageError(
        f"these bundles do not answer the same question: {what}",
        where=where,
        hint="compare bundles of one task with the same labels, in whatever order",
        code="usage.other-task",
    )
