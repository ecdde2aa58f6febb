"""Texts with masks: which ones are refused, and what a filled one reads like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np

from edgeroberta.errors import EngineError, UsageError
from edgeroberta.runtime.encoding import Encoding, mask_places
from edgeroberta.runtime.session import Ids, Logits, MaskSession, Session
from edgeroberta.tasks import FilledToken, MaskPrediction, Problem, Task, masked
from edgeroberta.tasks.outputs import START, WORD, Indices


class Decoder(Protocol):
    """A tokenizer that makes texts of ids again."""

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Return the text of token ids."""


def require_masks(task: Task, encodings: Sequence[Encoding], session: Session, *, named: bool) -> None:
    """Refuse texts without a mask, and those with more than the engine takes; ``named``: by their number."""
    most: int | None = getattr(session, "most_masks", None)
    for number, encoding in enumerate(encodings):
        windows = (encoding, *encoding.rest)
        counts = [int(np.count_nonzero(window.ids == task.mask_id)) for window in windows]
        where = f"input {number}" if named else None
        if not any(counts):
            raise _no_mask(encoding, where)
        if most is not None and max(counts) > most:
            raise UsageError(
                f"the text has {max(counts)} masks, and this engine was built for {most} in one text",
                where=where,
                hint="fill some of them first, or open the bundle on another engine (engine='onnxruntime')",
                code="usage.too-many-masks",
            )


def _no_mask(encoding: Encoding, where: str | None) -> UsageError:
    if encoding.truncated:
        return UsageError(
            "the mask lies in the part of the text that is cut off",
            where=where,
            hint="shorten the text, or open the bundle with long_text='windows' (--long-text windows)",
            code="usage.no-mask",
        )
    return UsageError(
        "the text has no mask, so there is nothing to fill",
        where=where,
        hint="write the model's mask token where the word is missing: <mask>, or [MASK] of a BERT",
        code="usage.no-mask",
    )


def written(
    found: MaskPrediction, task: Task, encoding: Encoding, places: Indices | None, decoder: Decoder
) -> MaskPrediction:
    """Add to the tokens of each mask their texts, and that of the whole with them in its place.

    As the ``fill-mask`` pipeline of transformers has it; of a text read in windows, the whole is the window.
    ``places``: int64 [masks, 3] of the masks of such a text, see :func:`.encoding.mask_places`.
    """
    spots = _spots(task, encoding, places)
    alone = len(spots) == 1
    return replace(
        found,
        masks=tuple(
            tuple(_written(one, spot[0], spot[1], decoder, alone=alone) for one in tokens)
            for tokens, spot in zip(found.masks, spots, strict=True)
        ),
    )


def _written(found: FilledToken, ids: Ids, place: int, decoder: Decoder, *, alone: bool) -> FilledToken:
    filled = ids.tolist()
    filled[place] = found.token
    return replace(
        found,
        text=decoder.decode([found.token], skip_special_tokens=False),
        sequence=decoder.decode(filled, skip_special_tokens=alone),
    )


def _spots(task: Task, encoding: Encoding, places: Indices | None) -> list[tuple[Ids, int]]:
    """Return for each mask the ids of its window and its place there."""
    if not encoding.rest or places is None:
        return [(encoding.ids, int(place)) for place in np.flatnonzero(encoding.ids == task.mask_id)]
    known = {
        (int(start), int(number)): window.ids
        for window in (encoding, *encoding.rest)
        for start, _, number in mask_places(window, task.mask_id)
    }
    return [(known[int(each[START]), int(each[WORD])], int(each[WORD])) for each in places]


def targets_of_windows(task: Task, encodings: Sequence[Encoding], targets: Sequence[Ids]) -> list[Ids]:
    """Return the tokens asked for at the masks of each window.

    ``targets``: int64 [masks] of each text, in the order of its masks. A mask in two windows is asked for in
    both.
    """
    found: list[Ids] = []
    for encoding, wanted in zip(encodings, targets, strict=True):
        windows = [mask_places(window, task.mask_id)[:, START] for window in (encoding, *encoding.rest)]
        starts = np.unique(np.concatenate(windows))
        found += [np.asarray(wanted, np.int64)[np.searchsorted(starts, own)] for own in windows]
    return found


def gives_all(session: Session) -> bool:
    """Tell whether a session gives the log-probabilities of any token, not of the best ones alone."""
    return hasattr(session, "log_probabilities") and getattr(session, "most_masks", None) is None


def run_for(session: Session, batch: tuple[Ids, Ids], k: int, targets: Ids) -> Logits:
    """Run one batch for certain tokens too, float32 [masks, 2 (k + 1)]; ``targets``: int64 [masks].

    Raises EngineError: the engine gives the best tokens alone, or fails.
    """
    if not gives_all(session):
        raise EngineError(f"{session.name} tells the best tokens alone, not the probability of any other")
    return masked.pack(cast("MaskSession", session).log_probabilities(*batch), k, targets)


def with_top_k(task: Task, top_k: int) -> Task:
    """Return a task of which so many answers are told. Raises UsageError: it has not so many."""
    if task.problem not in (Problem.SPANS, Problem.MASKED):
        raise UsageError("this model gives one answer, not several", where="top_k", hint="leave it out")
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise UsageError(f"must be a whole number of at least 1, not {top_k!r}", where="top_k")
    if task.problem is Problem.MASKED and top_k > task.num_outputs // 2:
        raise UsageError(
            f"the graph gives {task.num_outputs // 2} tokens for a mask, not {top_k}",
            where="top_k",
            code="usage.top-k",
        )
    return replace(task, top_k=top_k)
