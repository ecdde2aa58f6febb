"""The task of one model: its kind and its labels, as ``config.json`` has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from edgeroberta.errors import UsageError, did_you_mean, shown
from edgeroberta.tasks import masked
from edgeroberta.tasks.classification import MultiLabel, SingleLabel
from edgeroberta.tasks.config import by_class, labels, problem_of
from edgeroberta.tasks.embeddings import Embeddings
from edgeroberta.tasks.entities import AGGREGATIONS
from edgeroberta.tasks.kind import Metric, TaskKind
from edgeroberta.tasks.masked import FillMask
from edgeroberta.tasks.outputs import Outputs, as_outputs
from edgeroberta.tasks.pooling import POOLINGS, SentenceEmbedding, stated
from edgeroberta.tasks.problem import Problem
from edgeroberta.tasks.regression import Regression
from edgeroberta.tasks.similarity import SIMILARITIES
from edgeroberta.tasks.spans import SIDES, AnswersInContext
from edgeroberta.tasks.tokens import TokenLabels

#: Every kind of task, by the value of its problem: a new one is a row here.
KINDS: dict[str, TaskKind] = {
    Problem.SINGLE_LABEL.value: SingleLabel(),
    Problem.MULTI_LABEL.value: MultiLabel(),
    Problem.REGRESSION.value: Regression(),
    Problem.TOKENS.value: TokenLabels(),
    Problem.SPANS.value: AnswersInContext(),
    Problem.MASKED.value: FillMask(),
    Problem.EMBEDDING.value: Embeddings(),
}

#: What a model is for under the names that users and Optimum give it, and the kinds that this may be: of
#: several, labels and data tell which.
TASKS: Mapping[str, tuple[Problem, ...]] = {
    name: tuple(Problem(problem) for problem, kind in KINDS.items() if kind.optimum_task == name)
    for name in sorted({kind.optimum_task for kind in KINDS.values()})
}

#: Other names that Optimum has for them, of which its ``TasksManager`` says the same.
SYNONYMS: Mapping[str, str] = {
    "feature-extraction": "sentence-similarity",
    "masked-lm": "fill-mask",
    "sequence-classification": "text-classification",
}

#: Fields that a task has where its kind asks for them, and their types in JSON.
_MORE: Mapping[str, Any] = {
    "dimensions": int,
    "mask_id": int,
    "pooling": str,
    "normalize": bool,
    "similarity": str,
    "no_answer": (int, float),
    "max_answer_tokens": int,
    "top_k": int,
}


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
    dimensions: int | None = (
        None  # numbers per unit where these have no names; None where ``labels`` name them
    )
    mask_id: int | None = None  # id of the mask token, of a model that is asked for masked words
    #: how an embedding is made of the tokens' states, a key of :data:`edgeroberta.tasks.pooling.POOLINGS`
    pooling: str | None = None
    normalize: bool = False  # whether embeddings are scaled to length 1
    #: how alike two embeddings are, a key of :data:`edgeroberta.tasks.similarity.SIMILARITIES`; None for the
    #: cosine
    similarity: str | None = None
    #: cosine from which on two embeddings are the same answer; None for the usual one
    min_cosine: float | None = None
    #: by how much two values of a regression may differ and be the same answer; None for
    #: :func:`edgeroberta.tasks.regression.tolerance` of those that they are compared with
    tolerance: float | None = None
    #: score by which "no answer" must be better than the best span to be given; None where each question has
    #: its answer in the context
    no_answer: float | None = None
    #: most tokens of an answer; None for :data:`edgeroberta.tasks.span_search.LONGEST`
    max_answer_tokens: int | None = None
    top_k: int | None = None  # how many answers are told, the best first; None for one

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
        return len(self.labels) or self.dimensions or 0

    @property
    def head(self) -> str:
        """Name of the head, a key of :data:`edgeroberta.roberta.heads.HEADS`."""
        if self.pooling is None:
            return self.kind.head
        return f"{self.kind.head}/{self.pooling}{'+normalize' if self.normalize else ''}"

    @property
    def apart(self) -> bool:
        """True where an input is a text or a pair, and the texts of a pair are read one by one."""
        return self.problem is Problem.EMBEDDING

    @property
    def kind(self) -> TaskKind:
        """All that is done with such a task."""
        return KINDS[str(self.problem)]

    @property
    def joins(self) -> bool:
        """Whether the two texts of an input are read as one; an embedding is of each alone."""
        return self.pair and not self.apart

    @property
    def metric(self) -> str:
        """Name of the metric that models are judged and chosen by."""
        return self.judged_by or self.kind.default_metric

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """All that models can be judged by: metrics of the kind that this number of labels has."""
        known = self.kind.metrics
        return {name: each for name, each in known.items() if each.labels in (None, self.num_outputs)}

    def embedding(self, how: SentenceEmbedding) -> Task:
        """Return the task with embeddings that are made in a way."""
        return replace(self, pooling=how.pooling, normalize=how.normalize, similarity=how.similarity)

    @property
    def sentence_embedding(self) -> SentenceEmbedding | None:
        """How embeddings are made; None where there are none."""
        if self.pooling is None:
            return None
        return SentenceEmbedding(self.pooling, self.normalize, self.similarity)

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
        ``…ForTokenClassification`` labels tokens, and a ``…ForMaskedLM`` fills masks, whose token is not in
        the config, whatever the ``problem_type``. Without one, one output is
        a regression (as transformers has it) and more are one label of many. One with the field
        ``sentence_embedding`` gives embeddings, whatever else it is.
        """
        embedding = stated(config)
        if embedding is not None:
            made = cls(Problem.EMBEDDING, (), pair, dimensions=config.get("hidden_size"))
            return made.embedding(embedding)
        if by_class(config) is Problem.MASKED:
            return cls(Problem.MASKED, (), dimensions=masked.width_of(config))
        names = labels(config)
        problem = problem_of(config, names)
        if problem is Problem.SPANS:
            names, pair = SIDES, True  # whatever names the file has: transformers does not look at them
        return cls(problem, names, pair)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Task:
        """Read what :meth:`to_json` gave. Raises KeyError, TypeError or ValueError: it is something else."""
        names, pair, metric = fields["labels"], fields["pair"], fields.get("judged_by")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"labels are {names!r}")
        if not isinstance(pair, bool):
            raise TypeError(f"pair is {pair!r}")
        made = cls(Problem(fields["problem"]), tuple(names), pair, metric)
        if metric is not None and metric not in made.metrics:
            raise ValueError(f"judged_by is {metric!r}")
        aggregation = fields.get("aggregation", made.aggregation)
        if not isinstance(aggregation, str) or aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation is {aggregation!r}")
        more = {name: fields[name] for name in _MORE if name in fields}
        for name, value in more.items():
            if not isinstance(value, _MORE[name]) or (isinstance(value, bool) and _MORE[name] is not bool):
                raise TypeError(f"{name} is {value!r}")
            if _MORE[name] is int and value < (name != "mask_id"):
                raise ValueError(f"{name} is {value!r}")
        made = replace(made, aggregation=aggregation, **more)
        for name, known in (("pooling", POOLINGS), ("similarity", SIMILARITIES)):
            if getattr(made, name) not in (None, *known):
                raise ValueError(f"{name} is {getattr(made, name)!r}")
        if made.problem is Problem.EMBEDDING and None in (made.pooling, made.dimensions):
            raise ValueError("embeddings have a pooling and a number of dimensions")
        return made

    def to_json(self) -> dict[str, Any]:
        """Return the task as plain fields, beside the first three those that differ from what is usual."""
        fields: dict[str, Any] = {
            "problem": self.problem.value,
            "labels": list(self.labels),
            "pair": self.pair,
        }
        if self.problem is Problem.TOKENS:
            fields["aggregation"] = self.aggregation
        if self.judged_by is not None:
            fields["judged_by"] = self.judged_by
        told = {name: getattr(self, name) for name in _MORE}
        return fields | {
            name: value for name, value in told.items() if value is not None and value is not False
        }


def asked(name: str | None) -> tuple[Problem, ...]:
    """Return the kinds that a name of :data:`TASKS` may stand for; all for None. Raises UsageError."""
    if name is None:
        return tuple(Problem(problem) for problem in KINDS)
    if name not in TASKS:
        raise UsageError(
            f"there is no task {shown(name)}",
            where="--task",
            hint=did_you_mean(name, TASKS) or f"one of {', '.join(TASKS)}",
        )
    return TASKS[name]
