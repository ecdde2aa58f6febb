"""Whether rows and labels can tell anything of a model: copies, leaks, and labels that mean nothing.

A gate asks how much of a metric is lost. Where the baseline's own answers have nothing to do with the
labels, or fit them in another order only, there is nothing to lose, and every compressed model would pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.data import texts
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, Judgement
from edgeroberta.metrics import BootstrapOptions, Given
from edgeroberta.metrics.assignment import assign
from edgeroberta.tasks import Problem, Task

Floats = npt.NDArray[np.float64]

#: Where more rows than this share are copies of others, or are known from training, it is a warning.
MOST_COPIES, MOST_LEAKED = 0.1, 0.01
#: Standard errors beyond which something is no chance, one in forty on one side as in the gate.
SURE = 1.96
#: Labels whose order is looked into, the most frequent ones: the search takes their number cubed.
MOST_LABELS = 300
_SHOWN = 6
_CAUSES = "they may be of other rows, of another model, or ids in another order (--label-format)"
#: Where no label has a name or an id, what else may be wrong with the rows.
_CAUSES_OF: Mapping[Problem, str] = {
    **dict.fromkeys(
        (Problem.REGRESSION, Problem.SPANS, Problem.EMBEDDING),
        "they may be of other rows, or of another model",
    ),
    Problem.MASKED: "the texts may be of another language or kind than those the model has learnt",
}


@dataclass(frozen=True)
class DataSoundness:
    """What is to be said of rows and labels."""

    warnings: tuple[str, ...] = ()  # sentences for people
    meaningless: str | None = None  # why the labels do not measure the model; None where they do

    def applied(self, found: Judgement) -> Judgement:
        """Return a judgement as far as the labels allow it: on labels that mean nothing, no model passes."""
        if self.meaningless is None or found.verdict is GateVerdict.FAIL:
            return found
        return Judgement(
            GateVerdict.INCONCLUSIVE, f"the labels do not measure this model: {self.meaningless}"
        )


def examine(
    task: Task, outputs: Given, rows: Rows, gate: GateLimits, *, leaked: int | None = None
) -> DataSoundness:
    """Look into the rows of the gate, their labels and the baseline's answers.

    ``outputs``: those of the baseline, of n texts. ``rows``: the rows, with or without labels. ``gate``: what
    may be lost: an order of labels that gains less does not stand in the way. ``leaked``: rows whose text was
    among the training data; None where that is not known.
    """
    groups = texts.groups(rows)
    warnings = [*_copies(groups), *_leaks(len(rows), leaked)]
    if rows.labels is None:
        return DataSoundness(tuple(warnings))
    first = np.unique(groups, return_index=True)[1]  # copies of a text tell no more than one of them
    answers, truth = task.decide(outputs), task.truth(rows.labels)
    usual = _usual(task, truth, gate)
    warnings += _few_passages(task, truth, usual)
    said, known = task.kind.indicators(task, answers[first], truth[first])
    found = metrics.score(task, outputs, rows.labels, metric=usual)
    meaningless = _order(task, said, known, gate) or _chance(task, usual, found, said, known, len(first))
    if meaningless is not None:
        causes = _CAUSES_OF.get(task.problem, _CAUSES)
        warnings.append(f"the labels do not measure this model: {meaningless}; {causes}")
    elif (trivial := _trivial(task, outputs, rows.labels, groups, gate)) is not None:
        warnings.append(trivial)
    return DataSoundness(tuple(warnings), meaningless)


def association(said: Floats, known: Floats) -> float:
    """Tell by how many standard errors answers fit labels better than labels in any order of the rows would.

    Of all orders of the rows, the sum of products has the mean zero, once both are centred, and the variance
    tr(A'A B'B) / (n - 1) (Hoeffding, A Combinatorial Central Limit Theorem, 1951). ``said``: float64[n, k].
    ``known``: float64[n, k]. Returns zero where either is constant.
    """
    a, b = said - said.mean(axis=0), known - known.mean(axis=0)
    variance = float(((a.T @ a) * (b.T @ b)).sum()) / max(1, len(a) - 1)
    return float((a * b).sum()) / variance**0.5 if variance > 1e-9 else 0.0


def better_order(said: Floats, known: Floats) -> npt.NDArray[np.int64] | None:
    """Find the order of the labels that fits the answers beyond doubt better than their own.

    The order is found on one half of the rows and tried on the other, both ways, since the best of all orders
    on the same rows would always look better. ``said``: float64[n, L] zeros and ones. ``known``: float64[n,
    L] zeros and ones. Returns int64[L], the label of the data for each of the model's; None where their own
    order is as good.
    """
    even = np.arange(len(said)) % 2 == 0
    gains = []
    for part in (even, ~even):
        order = _best_order(said[~part], known[~part])
        gains.append((said[part] * (known[part][:, order] - known[part])).sum(axis=1))
    gain = np.concatenate(gains)
    if gain.sum() <= SURE * float(np.sqrt((gain**2).sum())):
        return None
    return _best_order(said, known)


def _best_order(said: Floats, known: Floats) -> npt.NDArray[np.int64]:
    together = said.T @ known
    order = np.arange(len(together))
    chosen = np.argsort(-(said.sum(axis=0) + known.sum(axis=0)), kind="stable")[:MOST_LABELS]
    # Where it makes no difference, labels stay where they are.
    part = together[np.ix_(chosen, chosen)] + 0.5 / len(chosen) * np.eye(len(chosen))
    order[chosen] = chosen[assign(part)]
    return order


def _copies(groups: npt.NDArray[np.int64]) -> list[str]:
    count = int(groups.max()) + 1
    if count >= (1 - MOST_COPIES) * len(groups):
        return []
    return [
        f"the {len(groups):,} rows are copies of {count:,} different texts (spaces and case aside); the gate "
        "counts texts, not rows"
    ]


def _few_passages(task: Task, truth: npt.NDArray[Any], metric: str) -> list[str]:
    """Tell of searches that find what they look for among so few passages in any case."""
    name, _, first = metric.partition("@")
    if task.problem is not Problem.EMBEDDING or truth.dtype.kind == "f" or name != "recall":
        return []
    passages = len(np.unique(truth[:, 1] if truth.ndim == 2 else truth))
    if passages > int(first):
        return []
    return [
        f"{metric} is 100% whatever the model, since only {passages} different passages are searched; measure"
        " on rows with more of them, or by --metric recall@1"
    ]


def _leaks(count: int, leaked: int | None) -> list[str]:
    if not leaked or leaked <= MOST_LEAKED * count:
        return []
    return [
        f"{leaked:,} of the {count:,} rows ({leaked / count:.1%}) are also among the training data; here "
        "they were left out of it, but a model that learnt them before does better on them than on new texts"
    ]


def _order(task: Task, said: Floats, known: Floats, gate: GateLimits) -> str | None:
    """Say which order of the labels fits better, where that gains more than the gate allows to lose."""
    if len(said) < 4:
        return None
    order = better_order(said, known)
    # Of labels that are frequent or rare, an order may gain by that alone.
    if order is None or association(said, known[:, order]) < SURE:
        return None
    now, then = (float((said * each).sum()) for each in (known, known[:, order]))
    # F1, twice the hits over all that was said or is true; of one label per text, the hits over all rows.
    scale = float(said.sum() + known.sum()) / 2
    if (then - now) / scale <= gate.max_drop:
        return None
    recall = task.kind.recall(task)
    names = task.labels if recall is None else recall[0]
    what = (
        "the share of entities with the right type"
        if task.problem is Problem.TOKENS
        else task.kind.default_metric
    )
    moved = [f"{names[data]!r} for {names[ours]!r}" for ours, data in enumerate(order) if ours != data]
    more = ", …" if len(moved) > _SHOWN else ""
    return (
        f"{what} would be {then / scale:.1%}, not {now / scale:.1%}, if labels of the data stood for "
        f"others of the model: {', '.join(moved[:_SHOWN])}{more}"
    )


def _usual(task: Task, truth: Any, gate: GateLimits) -> str:
    """Return the metric that such rows are judged by where nobody says otherwise."""
    named = gate.metric or task.metric
    # Answers are judged by words or, in Chinese, by characters; embeddings by scores or by a search.
    if task.problem in (Problem.SPANS, Problem.EMBEDDING) and task.kind.metrics[named].fits(truth):
        return named
    usual = task.kind.default_metric
    return usual if task.kind.metrics[usual].fits(truth) else metrics.measured(task, truth)[0]


def _chance(task: Task, metric: str, found: float, said: Floats, known: Floats, texts: int) -> str | None:
    """Say that answers have nothing to do with labels, or speak against them."""
    sure, correlation = association(said, known), task.kind.metrics[metric].correlation
    number = f"{found:.3f}" if correlation else f"{found:.1%}"
    if sure < -SURE:
        return f"the baseline's answers speak against them ({metric} {number})"
    if sure < SURE or (correlation and found <= 0):
        return (
            f"the baseline's answers fit them no better than by chance ({metric} {number} on "
            f"{texts:,} different texts)"
        )
    return None


def _trivial(
    task: Task, outputs: Given, labels: Any, groups: npt.NDArray[np.int64], gate: GateLimits
) -> str | None:
    """Say that one answer to every text would be as right as the baseline."""
    constant = task.kind.constant(task, task.truth(labels))
    if constant is None:
        return None
    row, named = constant
    metric = gate.metric or task.metric
    always = np.tile(row, (len(labels), 1))
    drop = metrics.drop_interval(
        task, always, outputs, labels, BootstrapOptions(groups=groups), metric=metric
    )
    if drop.high < 0:
        return None
    ours, trivial = (metrics.score(task, each, labels, metric=metric) for each in (outputs, always))
    return (
        f"the baseline's {metric} of {ours:.1%} is not beyond doubt better than answering {named} to "
        f"every text ({trivial:.1%}): on these rows it says little; others can be asked for "
        "(--metric)"
    )
