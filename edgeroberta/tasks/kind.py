"""What a kind of task is to everything else: its answers, when two are the same, and how they are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks.confidence import Calibration
from edgeroberta.tasks.crosstab import Crosstab
from edgeroberta.tasks.outputs import Indices, Outputs
from edgeroberta.tasks.problem import Unit

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


#: Of outputs float32 ``[units, L]``, the numbers in which two engines must be close; see
#: :meth:`TaskKind.comparable`.
Comparable = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def all_of_them(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return all numbers of outputs, as they are."""
    return values


class Labelled(Protocol):
    """What a kind of task asks of a :class:`~edgeroberta.tasks.Task`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each output."""

    @property
    def num_outputs(self) -> int:
        """Number of logits per unit."""

    @property
    def metric(self) -> str:
        """Name of the metric that models are judged by."""

    @property
    def aggregation(self) -> str:
        """How tokens become words that have a label."""

    @property
    def similarity(self) -> str | None:
        """How alike two embeddings are, a key of :data:`edgeroberta.tasks.similarity.SIMILARITIES`."""

    @property
    def min_cosine(self) -> float | None:
        """Cosine from which on two embeddings are the same answer; None for the usual one."""

    @property
    def tolerance(self) -> float | None:
        """By how much two values may differ and be the same answer; None for the usual part of a spread."""

    @property
    def no_answer(self) -> float | None:
        """By how much no answer must score more than the best span; None where each question has one."""

    @property
    def max_answer_tokens(self) -> int | None:
        """Most tokens of an answer; None for the usual number."""

    @property
    def top_k(self) -> int | None:
        """How many answers are told; None for one."""


@dataclass(frozen=True)
class Metric:
    """How a metric comes out of answers: a function of sums over texts of a few statistics per text."""

    #: of answers, the truth and the task, float64[n, k] per text
    statistics: Callable[[Array, Array, Labelled], Floats]
    value: Callable[[Floats], Floats]  # of float64[…, k] sums of the statistics, the metric float64[…]
    ranked: bool = False  # True when answers and truth are replaced by their ranks first
    correlation: bool = False  # True for a correlation, in which a few texts may weigh as much as all others
    labels: int | None = None  # how many labels a task must have for it; None where that makes no difference
    #: what numpy calls the type of the truth that it takes, ``"f"`` for numbers and ``"i"`` for ids, where
    #: the rows of a task may have either; None where that makes no difference
    truth: str | None = None
    #: of answers, the truth and the task, what the statistics are given in place of answers, float64[n]; None
    #: where these are what is compared
    read: Callable[[Array, Array, Labelled], Floats] | None = None

    def fits(self, truth: Array) -> bool:
        """Tell whether rows have the truth that it takes."""
        return self.truth is None or truth.dtype.kind == self.truth

    def compared(self, answers: Array, truth: Array, task: Labelled) -> Array:
        """Return what the statistics are of, and is ranked: answers, or what is read from them."""
        return answers if self.read is None else self.read(answers, truth, task)


class TaskKind(Protocol):
    """A row of :data:`edgeroberta.tasks.KINDS`: one kind of task.

    An *answer* is what outputs are read as, one per text: the element of an array ``[n]``, or a row of ``[n,
    L]``. The *truth* has the form of answers. Everything beyond ``tasks`` works with these alone.
    """

    optimum_task: str  #: name of the task in Optimum's ``TasksManager``; the ``pipeline_tag`` of a model card
    #: name of its head, the key of ``roberta.heads`` and ``training.heads``
    head: str
    unit: Unit  #: what one row of the outputs is of
    default_metric: str  #: what it is judged by where nobody says otherwise
    metrics: Mapping[str, Metric]  #: all that it can be judged by

    def decide(self, task: Labelled, outputs: Outputs) -> Array:
        """Read outputs as answers, one per text."""

    def truth(self, task: Labelled, labels: Any) -> Array:
        """Read the labels of rows as answers; see :class:`edgeroberta.data.rows.Rows`."""

    def agrees(self, task: Labelled, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
        """Tell for which texts two answers are the same, bool[n]."""

    def comparable(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return of outputs float32 ``[units, L]`` the numbers in which two engines must be close."""

    def lost(self, task: Labelled, good: Array, truth: Array) -> tuple[Array, Array, Array]:
        """Make texts on which one model answers as it does and another has lost what there was to lose.

        ``good``: answers of the model that keeps them, as :meth:`Metric.compared` returns them. Returns the
        former's answers, the latter's, and the truth.
        """

    def details(self, task: Labelled, answers: Array, truth: Array) -> dict[str, float]:
        """Return what else is worth telling of answers beside the metrics, by name."""

    def recall(self, task: Labelled) -> tuple[tuple[str, ...], Callable[[Array, Array], Floats]] | None:
        """Return the labels that have a recall, T of them, and what counts hits and wanted per text.

        The function takes answers and truth and returns float64[n, 2 T], hits of all labels before wanted of
        all. None where there is no recall per label.
        """

    def indicators(self, task: Labelled, answers: Array, truth: Array) -> tuple[Floats, Floats]:
        """Lay answers and truth side by side, to see whether they have to do with each other.

        Returns zeros and ones of the answers and of the truth, float64[m, L] each, where a row is what one of
        the labels is said of, and in the same order; or the ranks of values, float64[m, 1].
        """

    def constant(self, task: Labelled, truth: Array) -> tuple[npt.NDArray[np.float32], str] | None:
        """Return the outputs of the one answer that is right most often, float32[L], and its name.

        None where no answer can be given to every text.
        """

    def sureness(self, task: Labelled, full: Outputs, compressed: Outputs) -> Floats:
        """Rate texts by how much it tells that their answer changed, float64[n], the most first."""

    def confidence(self, task: Labelled, outputs: Outputs, calibration: Calibration) -> Floats | None:
        """Rate how sure a model is of its answers, float64[n], more where it is surer, and at most 1.

        All numbers of ``outputs`` are finite. None where answers of two models cannot stand for each other,
        as embeddings cannot, or where ``calibration`` lacks what it takes.
        """

    def text_confidence(
        self, task: Labelled, values: Array, places: Indices | None, calibration: Calibration
    ) -> float:
        """Return the same of one text, for what answers one at a time.

        ``values``: float32 [units, L]. ``places``: int64 [units, 3] of its units; None where the unit is the
        text. Raises ValueError: there is no confidence.
        """

    def crosstab(self, task: Labelled, answers: Array, truth: Array) -> Crosstab | None:
        """Count which answers were given where which label is true; None where answers are no labels."""

    def numbers(self, task: Labelled, answers: Array, truth: Array) -> tuple[str, Floats] | None:
        """Return a number of each text by which two models can be compared, float64[n], and what it is.

        NaN where a text has none. None where the labels say it all.
        """

    def named(self, task: Labelled, answer: Any, text: Any = None) -> str:
        """Write one answer for people; ``text``: what was asked, where it may be shown."""

    def merge(self, task: Labelled, windows: Outputs, overlap: int) -> Outputs:
        """Make the outputs of one text of those of its windows.

        ``windows``: one entry per window, in the order of the text, with places if units are tokens.
        ``overlap``: tokens that a window has in common with the next one. Returns outputs of one text.
        """

    def interpret(
        self,
        task: Labelled,
        values: npt.NDArray[np.float32],
        places: Indices | None,
        text: Any,
        *,
        truncated: bool,
    ) -> Any:
        """Make what a user reads of one text's outputs.

        ``values``: float32 [units, L]. ``places``: int64 [units, 3] of its units, see
        :class:`~edgeroberta.tasks.outputs.Ragged`; None where the unit is the text. ``text``: the text, or
        the pair. Raises EngineError: a number is NaN or infinite.
        """
