"""What training has to know of a head, one module a head: its labels, and which of its answers count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from edgeroberta.training.heads.masked_words import MaskedWords
from edgeroberta.training.heads.question_answering import QuestionAnswering
from edgeroberta.training.heads.sentence_embedding import SentenceEmbedding
from edgeroberta.training.heads.sequence_classification import SequenceClassification
from edgeroberta.training.heads.token_classification import TokenClassification

if TYPE_CHECKING:
    from torch import Tensor

    from edgeroberta.data.rows import Rows
    from edgeroberta.tasks import Task
    from edgeroberta.training.batching import Indices, Tokens


class Labels(Protocol):
    """Where the true labels come from."""

    def batch(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """Return the labels of the rows at ``rows`` and which of them are known.

        Returns labels as :func:`edgeroberta.training.losses.hard` takes them, one per logit vector of the
        model, with any valid value where none is known; and bool[B, ...], True where one is. Where logits are
        those of masks alone, one after the other, so are the labels, and it is True where the masks are.
        """

    def notes(self) -> Mapping[str, int]:
        """Return what is worth telling of the labels: words, and those without a token of their own."""


class Matches(Protocol):
    """Which of a teacher's answers there are for those of a student."""

    def asked(self, rows: Indices) -> Indices:
        """Return which of the teacher's texts stand for the student's at ``rows``, int64[B]."""

    def batch(self, rows: Indices, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Lay the teacher's answers beside the student's.

        ``rows``: int64[B], which texts. ``logits``: the teacher's, one per logit vector of its own. Returns
        one per logit vector of the student, with any value where there is none; and bool[B, ...], True where
        there is one to learn from.
        """

    def share(self) -> float | None:
        """Return the share of the student's answers that there is one for; None where there is for all.

        Of many texts, it is that of the first.
        """


class TrainingHead(Protocol):
    """A row of :data:`HEADS`."""

    def labels(self, rows: Rows, task: Task, tokens: Tokens) -> Labels:
        """Read the labels of a run's first texts; those after them have none.

        ``rows``: those texts, with labels or without. ``tokens``: all of the run's texts, with places where
        answers are per token.
        """

    def matches(self, ours: Tokens, theirs: Tokens) -> Matches:
        """Compare what a student and its teacher read; ``ours``, ``theirs``: the same texts as each does."""


#: Every head, by the name that :attr:`edgeroberta.tasks.TaskKind.head` has for it.
HEADS: dict[str, TrainingHead] = {
    "sequence-classification": SequenceClassification(),
    "token-classification": TokenClassification(),
    "question-answering": QuestionAnswering(),
    "sentence-embedding": SentenceEmbedding(),
    "fill-mask": MaskedWords(),
}


def of(task: Task) -> TrainingHead:
    """Return the head of a task's models."""
    return HEADS[task.kind.head]
