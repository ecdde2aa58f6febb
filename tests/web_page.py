"""The page of ``examples/web`` in a test: bundles of each kind, how they are asked, what is to be seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import chromium

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXTS = (
    "The film is great.",
    "It would wait, tomorrow\nat the table 20",
    "Ünïcödé Łódź 市場 🎬, q'd ends",
    "a",
)
PAIRS = (
    ("How long is it?", "The film was two hours long, and nobody left."),
    ("Who?", "They've waited… 市场 for Łódź-24% tonight (here), didn't they?"),
    ("and then", "Nothing."),
)
#: Kinds of model by name: how its checkpoint is made, and what it is asked.
HEADS: dict[str, tuple[Callable[..., Path], tuple[Any, ...]]] = {
    "single": (lambda make, embed: make(), TEXTS),
    "xlm-roberta": (lambda make, embed: make(("bad", "dull", "good"), model_type="xlm-roberta"), TEXTS),
    "multi-label": (lambda make, embed: make(("plot", "music"), "multi_label_classification"), TEXTS),
    "regression": (lambda make, embed: make(("score",), "regression"), TEXTS),
    "pairs": (lambda make, embed: make(), PAIRS),
    "bert-pairs": (lambda make, embed: make(model_type="bert"), PAIRS),
    "entities": (lambda make, embed: make(TAGS, "token_classification"), TEXTS),
    "bert-entities": (lambda make, embed: make(TAGS, "token_classification", model_type="bert"), TEXTS),
    "xlm-entities": (
        lambda make, embed: make(TAGS, "token_classification", model_type="xlm-roberta"),
        TEXTS,
    ),
    "questions": (lambda make, embed: make(problem="question_answering"), PAIRS),
    "bert-questions": (lambda make, embed: make(problem="question_answering", model_type="bert"), PAIRS),
    "masks": (lambda make, embed: make(problem="fill_mask"), ("a <mask> film", "the <mask> was <mask>.")),
    "bert-masks": (lambda make, embed: make(problem="fill_mask", model_type="bert"), ("a [MASK] film",)),
    "mean": (lambda make, embed: embed("mean", True), PAIRS),
    "dot": (lambda make, embed: embed("max", False, "dot"), PAIRS),
}
FAILED = "document.getElementById('problem')?.hidden === false"
SHOWN = "document.getElementById('answer')?.innerText"


def ask(tab: chromium.Page, asked: str | tuple[str, str]) -> str:
    """Type texts, wait for their answer, and return what stands there."""
    texts = (asked,) if isinstance(asked, str) else asked
    for place, text in enumerate(texts):
        tab.type(f"text-{place}", text)
    tab.wait("document.getElementById('answer').ariaBusy === 'false'")
    return str(tab.run(SHOWN))


def plain(text: str) -> str:
    """Return a text as a reader sees it: all spaces are alike."""
    return " ".join(text.split())


def percent(score: float) -> str:
    return f"{100 * score:.1f} %"


def said(answer: Any) -> list[str]:
    """What the page has to show of an answer of the runtime."""
    if hasattr(answer, "similarity"):
        return [f"{answer.similarity:.3f}" if abs(answer.similarity) <= 1 else f"{answer.similarity:.4g}"]
    if hasattr(answer, "masks"):
        best = [mask[0] for mask in answer.masks]
        return [f"{each.text.strip()}\n{percent(each.score)}" for each in best]
    if hasattr(answer, "entities"):
        return [f"{each.text} {each.label}\n{percent(each.score)}" for each in answer.entities] or [
            "No entities."
        ]
    if hasattr(answer, "no_answer"):
        return [f"{answer.answer}\n", percent(answer.score)]
    if answer.label is None and not answer.labels and len(answer.scores) == 1:
        return [f"{answer.score:.4g}"]
    scores = [f"{label}\n{percent(score)}" for label, score in answer.scores.items()]
    return [", ".join(answer.labels) or "no label", *scores]
