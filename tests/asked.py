"""Questions with their contexts and answers, of which a tiny model can learn to find them."""

from __future__ import annotations

import numpy as np

from edgeroberta.data.rows import Rows
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.outputs import AnswerSpans

SPANS = Task(Problem.SPANS, ("start", "end"), pair=True)
_FILLING = ["a", "the", "film", "plot", "music", "and", "of", "was", "seen", "by", "many"]
_SAID = ["great", "boring", "lovely", "terrible"]


def question_rows(count: int, seed: int, *, words: int = 12, unanswerable: float = 0.0) -> Rows:
    """Make contexts of so many words, one of which says how the film is, where there is an answer."""
    random = np.random.default_rng(seed)
    contexts, values, counts = [], [], []
    for _ in range(count):
        found = [str(word) for word in random.choice(_FILLING, words)]
        place = int(random.integers(words))
        none = random.random() < unanswerable
        if not none:
            found[place] = str(random.choice(_SAID))
        contexts.append(" ".join(found))
        start = len(" ".join(found[:place])) + bool(place)
        values += [] if none else [(start, start + len(found[place]))]
        counts.append(0 if none else 1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    labels = AnswerSpans(
        np.array(values, np.int64).reshape(-1, 2), offsets, None, tuple(contexts), tuple(contexts)
    )
    return Rows(("how is the film?",) * count, tuple(contexts), labels, "questions.json")
