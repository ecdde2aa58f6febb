"""One answer as a line for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeroberta.runtime import (
        Embedding,
        MaskPrediction,
        Prediction,
        SpanPrediction,
        TokenPrediction,
    )
    from edgeroberta.runtime.answers import Said
    from edgeroberta.runtime.encoding import Input

# Characters of a text, and numbers of an embedding, that are shown.
_SHOWN = 60
_NUMBERS = 4


def line(item: Input, answer: Said) -> str:
    """Lay out one answer: ``positive  0.981  great film``, ``city "Paris" 0.993  We met in Paris.``.

    Of a cascade the tier that answered stands behind the text: ``positive  0.981  great film  [tiny]``.
    """
    from edgeroberta.runtime import Embedding, MaskPrediction, Prediction, Similarity, SpanPrediction

    text = _shown(item if isinstance(item, str) else " | ".join(item))
    if isinstance(answer, SpanPrediction):
        said = _spans(answer)
    elif isinstance(answer, MaskPrediction):
        said = _masks(answer)
    elif isinstance(answer, Similarity):
        said = [f"{answer.similarity:.3f}"]
    elif isinstance(answer, Embedding):
        said = [_vector(answer)]
    else:
        said = _labels(answer) if isinstance(answer, Prediction) else _entities(answer)
    windows = f"({answer.windows} windows)" if answer.windows > 1 else ""
    name: str | None = getattr(answer, "tier", None)  # embeddings have none
    tier = "" if name is None else f"[{name}]"
    parts = [*said, text, tier, windows, "(cut off)" if answer.truncated else ""]
    return "  ".join(part for part in parts if part)


def _labels(answer: Prediction) -> list[str]:
    label = ", ".join(answer.labels) or ("none" if len(answer.scores) > 1 else "")
    return [label, f"{answer.score:.3f}"]


def _vector(answer: Embedding) -> str:
    """Lay out the first numbers of an embedding; ``--json`` has all of them."""
    first = ", ".join(f"{value:.4f}" for value in answer.embedding[:_NUMBERS])
    return f"[{first}{', …' if len(answer.embedding) > _NUMBERS else ''}] ({len(answer.embedding)} numbers)"


def _entities(answer: TokenPrediction) -> list[str]:
    found = [f'{each.label} "{_shown(each.text)}" {each.score:.3f}' for each in answer.entities]
    return [", ".join(found) or "none"]


def _masks(answer: MaskPrediction) -> list[str]:
    """Lay out the tokens for each mask, the best first, each with its probability."""
    told = [[f'"{each.text}" {each.score:.3f}' for each in tokens] for tokens in answer.masks]
    return [", ".join(tokens) for tokens in told]


def _spans(answer: SpanPrediction) -> list[str]:
    """Lay out the answer, and those that are told beside it."""
    best = ["none" if answer.answer is None else f'"{_shown(answer.answer)}"', f"{answer.score:.3f}"]
    others = answer.answers if answer.answer is None else answer.answers[1:]
    more = ", ".join(f'"{_shown(each.text)}" {each.score:.3f}' for each in others)
    return [*best, *([f"or {more}"] if more and len(answer.answers) > 1 else [])]


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
