"""Mask tokens: which token stands behind each.

Outputs are packed, float32 ``[masks, 2 k]``: the log-probabilities of the k best tokens, the best first, and
then their ids, which float32 holds exactly below 2^24. Where certain tokens were asked for, each half has one
more column, the last one, for that token: its exact log-probability, and its id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError
from edgeroberta.tasks import statistics
from edgeroberta.tasks.confidence import Calibration, of_one, top_probability
from edgeroberta.tasks.crosstab import Crosstab
from edgeroberta.tasks.kind import Array, Floats, Labelled, Metric
from edgeroberta.tasks.outputs import START, WORD, Indices, Outputs, Ragged
from edgeroberta.tasks.problem import Unit

#: Tokens that a graph gives for each mask.
TOP_K = 10
#: Tokens that are told of each mask where nobody says otherwise, as by the pipeline of transformers.
SHOWN = 5
#: Masks of a text that graphs take whose shapes may not depend on the texts, as those for TensorRT.
MOST_MASKS = 8
#: Log-probability of what is said not to be possible, in answers that are made up.
_NEVER = -100.0
#: Tokens that soundness takes for themselves; what is rarer counts as one.
_MOST_TOKENS = 40


@dataclass(frozen=True)
class FilledToken:
    """One token for a mask, as the ``fill-mask`` pipeline of transformers tells it.

    Attributes:
        token: Id of the token.
        text: The token as text; one that begins a word may begin with a space.
        score: Its probability among all tokens.
        sequence: The whole text with this token in the place of the mask. Where there is one mask, special
            tokens are left out; where there are more, the others are to be seen.
    """

    token: int
    text: str
    score: float
    sequence: str


@dataclass(frozen=True)
class MaskPrediction:
    """The answer for one text.

    Attributes:
        masks: The best tokens for each mask, the best first, in the order of the text.
        truncated: True when the text was longer than the model takes and its end was not read.
        windows: Parts that the text was read in; more than one for a long text read in windows.
        tier: Name of the cascade's tier that answered; None of a bundle of one model.
    """

    masks: tuple[tuple[FilledToken, ...], ...]
    truncated: bool
    windows: int = 1
    tier: str | None = None


@dataclass(frozen=True, eq=False)
class MaskAnswer:
    """What is said of, or known of, the masks of one text."""

    tokens: Indices  # int64 [masks], the best token of each
    candidates: Indices  # int64 [masks, c], all tokens of which the log-probability is known
    log_probabilities: Floats  # float64 [masks, c]

    def of(self, tokens: Indices) -> Floats:
        """Return log-probabilities of tokens, one for each mask, float64 [masks].

        One that is not among the candidates has at most what the last of them has, and counts with that.
        Masks beyond those that were read, where a text was cut, have none.
        """
        tokens = tokens[: len(self.tokens)]
        found = np.where(self.candidates == tokens[:, None], self.log_probabilities, -np.inf).max(axis=1)
        return np.where(np.isfinite(found), found, self.log_probabilities.min(axis=1, initial=0.0))


class FillMask:
    """A token for each mask; answers are object[n] of :class:`MaskAnswer`.

    ``accuracy`` counts masks whose best token is the true one, ``accuracy_5`` those that have it among the
    best five. The perplexity, exp of the mean of -log p of true tokens, is told beside them: it is exact
    where the true tokens were asked for, and otherwise too small where they are not among the best.
    """

    optimum_task = "fill-mask"
    head = "fill-mask"
    unit = Unit.MASK
    default_metric = "accuracy"

    def __init__(self) -> None:
        self.metrics: Mapping[str, Metric] = {
            "accuracy": Metric(_among_first(1), statistics.share),
            "accuracy_5": Metric(_among_first(5), statistics.share),
        }

    def decide(self, task: Labelled, outputs: Outputs) -> Array:
        """Take the best token of each mask."""
        return _objects([_answer(outputs.part(row)[0]) for row in range(len(outputs))])

    def truth(self, task: Labelled, labels: Ragged) -> Array:
        """Take the true tokens, int64 [masks] of each text, for sure."""
        tokens = [np.asarray(labels.part(row)[0], np.int64) for row in range(len(labels))]
        return _objects([MaskAnswer(one, one[:, None], np.zeros((len(one), 1))) for one in tokens])

    def agrees(self, task: Labelled, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
        """Tell where all masks have the same best token."""
        pairs = zip(reference, other, strict=True)
        return np.fromiter((np.array_equal(a.tokens, b.tokens) for a, b in pairs), np.bool_, len(reference))

    def comparable(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the log-probabilities: ids of tokens that are nearly as good may change places."""
        return values[:, : values.shape[1] // 2]

    def lost(self, task: Labelled, good: Array, truth: Array) -> tuple[Array, Array, Array]:
        """Take, for each text with a true answer, no true token at all."""
        kept = self.agrees(task, good, truth)
        kept = kept if kept.any() else np.ones(len(good), np.bool_)
        wrong = [
            MaskAnswer(
                np.full_like(one.tokens, -1),
                np.full((len(one.tokens), 1), -1),
                np.zeros((len(one.tokens), 1)),
            )
            for one in good[kept]
        ]
        return good[kept], _objects(wrong), truth[kept]

    def details(self, task: Labelled, answers: Array, truth: Array) -> dict[str, float]:
        """Return the perplexity."""
        pairs = zip(answers, truth, strict=True)
        known = np.concatenate([np.zeros(0), *(said.of(true.tokens) for said, true in pairs)])
        return {"perplexity": float(np.exp(-known.mean()))} if len(known) else {}

    def recall(self, task: Labelled) -> None:
        """Return nothing; there are as many labels as tokens."""
        return

    def crosstab(self, task: Labelled, answers: Array, truth: Array) -> Crosstab | None:
        """Return nothing; there are as many labels as tokens."""
        return None

    def numbers(self, task: Labelled, answers: Array, truth: Array) -> tuple[str, Floats]:
        """Return the probability of the true token, of several masks their mean."""
        found = [np.exp(said.of(known.tokens)) for said, known in zip(answers, truth, strict=True)]
        means = [float(each.mean()) if len(each) else np.nan for each in found]
        return "probability of the true token", np.array(means, np.float64)

    def indicators(self, task: Labelled, answers: Array, truth: Array) -> tuple[Floats, Floats]:
        """Return one-hot rows of masks: a column for each of the most frequent tokens, one for all others."""
        said, known = (
            np.concatenate([np.zeros(0, np.int64), *(one.tokens for one in each)])
            for each in (answers, truth)
        )
        tokens, counts = np.unique(known, return_counts=True)
        chosen = np.sort(tokens[np.argsort(-counts, kind="stable")[:_MOST_TOKENS]])
        one = np.eye(len(chosen) + 1)
        return tuple(one[_places(each, chosen)] for each in (said, known))  # type: ignore[return-value]

    def constant(self, task: Labelled, truth: Array) -> tuple[npt.NDArray[np.float32], str] | None:
        """Take the most frequent token, where each text has one mask."""
        if not len(truth) or any(len(one.tokens) != 1 for one in truth):
            return None
        ((best, _),) = Counter(int(one.tokens[0]) for one in truth).most_common(1)
        half = task.num_outputs // 2
        row = np.full((2, half), _NEVER, np.float32)
        row[0, 0], row[1] = 0.0, -1.0
        row[1, 0] = best
        return row.reshape(-1), f"token {best}"

    def sureness(self, task: Labelled, full: Outputs, compressed: Outputs) -> Floats:
        """Return how far the baseline's best two tokens are apart where the best became another."""
        found = np.zeros(len(full))
        if len(full.values) != len(compressed.values):
            return found
        values = full.values.astype(np.float64)
        margin = values[:, 0] - values[:, 1] if values.shape[1] >= 4 else np.zeros(len(values))
        same = _best(full.values) == _best(compressed.values)
        np.maximum.at(found, full.texts, np.where(same, 0.0, margin))
        return found

    def confidence(self, task: Labelled, outputs: Outputs, calibration: Calibration) -> Floats | None:
        """Return the probability of the best token of the least certain mask; 1 where there is no mask."""
        found = np.ones(len(outputs))
        # A last column, of a token that was asked for, says what is right, not how sure one is.
        best = outputs.values[:, : min(task.num_outputs, outputs.values.shape[1]) // 2]
        np.minimum.at(found, outputs.texts, top_probability(best, calibration.temperature))
        return found

    def text_confidence(
        self, task: Labelled, values: Array, places: Indices | None, calibration: Calibration
    ) -> float:
        """Rate the masks of one text, float32 [masks, 2 k]."""
        return of_one(self.confidence(task, Outputs.pack([values]), calibration))

    def named(self, task: Labelled, answer: Any, text: Any = None) -> str:
        """Write the ids of the tokens: which texts these are, only the tokenizer knows."""
        return ", ".join(f"token {token}" for token in answer.tokens) or "nothing"

    def merge(self, task: Labelled, windows: Outputs, overlap: int) -> Outputs:
        """Take each mask from the window in which more tokens stand before it, or that has it alone.

        The places' last column tells the number of a mask's token in its window.
        """
        if windows.places is None:
            raise ValueError("the windows of a text need the places of their masks")
        best: dict[int, int] = {}  # first character of each mask to its row
        for row, place in enumerate(windows.places):
            start, number = int(place[START]), int(place[WORD])
            if start not in best or number > overlap // 2:
                best[start] = row
        chosen = np.array([best[start] for start in sorted(best)], np.int64)
        return Outputs.pack([windows.values[chosen]], [windows.places[chosen]])

    def interpret(
        self,
        task: Labelled,
        values: npt.NDArray[np.float32],
        places: Indices | None,
        text: Any,
        *,
        truncated: bool,
    ) -> MaskPrediction:
        """Read the best tokens of each mask, float32 [masks, 2 k]; the tokenizer alone knows their texts."""
        if not np.isfinite(values).all():
            raise EngineError(
                "the engine answered with a number that is not finite", hint="edgeroberta doctor"
            )
        scores, tokens = (half[:, : task.top_k or SHOWN] for half in np.split(values, 2, axis=1))
        rows = zip(tokens.astype(np.int64).tolist(), np.exp(scores).tolist(), strict=True)
        masks = tuple(
            tuple(FilledToken(token, "", score, "") for token, score in zip(*row, strict=True))
            for row in rows
        )
        return MaskPrediction(masks, truncated)


def width(vocabulary: int) -> int:
    """Return how many numbers a graph gives for each mask, by the size of the vocabulary."""
    return 2 * min(TOP_K, vocabulary)


def width_of(config: Mapping[str, Any]) -> int:
    """Return the same by a parsed ``config.json``."""
    size = config.get("vocab_size")
    return width(size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else TOP_K)


def pack(
    log_probabilities: npt.NDArray[np.float32], k: int, targets: Indices | None = None
) -> npt.NDArray[np.float32]:
    """Pack the best k tokens of each mask.

    ``log_probabilities``: float32 [masks, V]. ``targets``: int64 [masks], a token for each mask whose
    log-probability is wanted too. Returns float32 [masks, 2 k], or [masks, 2 (k + 1)] with targets.
    """
    chosen = (
        np.argpartition(-log_probabilities, k - 1, axis=1)[:, :k]
        if k < log_probabilities.shape[1]
        else (np.tile(np.arange(k), (len(log_probabilities), 1)))
    )
    values = np.take_along_axis(log_probabilities, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    chosen = np.take_along_axis(chosen, order, axis=1)
    if targets is not None:
        chosen = np.concatenate([chosen, targets[:, None]], axis=1)
    values = np.take_along_axis(log_probabilities, chosen, axis=1)
    return np.concatenate([values, chosen.astype(np.float32)], axis=1)


def _answer(values: npt.NDArray[np.float32]) -> MaskAnswer:
    scores, tokens = np.split(values, 2, axis=1)
    candidates = tokens.astype(np.int64)
    return MaskAnswer(candidates[:, 0], candidates, scores.astype(np.float64))


def _best(values: npt.NDArray[np.float32]) -> Indices:
    """Return the best token of each mask, int64 [masks], of packed outputs of any width."""
    return values[:, values.shape[1] // 2].astype(np.int64)


def _objects(found: Sequence[MaskAnswer]) -> Array:
    made = np.empty(len(found), object)
    made[:] = found
    return made


def _among_first(k: int) -> Any:
    """Make what counts, per text, masks that have the true token among the first k, and masks."""

    def counts(said: Array, truth: Array, _: Labelled) -> Floats:
        rows = []
        for ours, known in zip(said, truth, strict=True):
            tokens = known.tokens[: len(ours.tokens)]  # fewer where the text was cut
            hits = (ours.candidates[:, :k] == tokens[:, None]).any(axis=1).sum()
            rows.append((hits, len(known.tokens)))
        return np.array(rows, np.float64).reshape(-1, 2)

    return counts


def _places(tokens: Indices, known: Indices) -> Indices:
    """Return the place of each token among the known ones, which rise; their number where it is none."""
    found = np.searchsorted(known, tokens)
    same = known[np.minimum(found, len(known) - 1)] == tokens if len(known) else np.zeros(len(tokens), bool)
    return np.where(same, found, len(known))
