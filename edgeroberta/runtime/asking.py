"""What a runtime may be asked: inputs of the right form, prompts and tiers that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeroberta.errors import UsageError, did_you_mean, shown
from edgeroberta.runtime.embedding_texts import Prompt
from edgeroberta.runtime.tokenizer import explain
from edgeroberta.tasks import Problem, Task


def prompted(task: Task, prompt: Prompt) -> dict[str, Any]:
    """Return what a tokenizer is told of a prompt. Raises UsageError: the task knows no prompts."""
    if not task.apart:
        raise UsageError(
            "this model makes no embeddings, and puts nothing in front of texts",
            where="prompt",
            hint="leave it out",
            code="usage.prompt-unknown",
        )
    return {"prompt": prompt}


def check_all(task: Task, inputs: Sequence[object]) -> None:
    """Refuse what is no list of texts or pairs, by the number of the first. Raises UsageError."""
    if not isinstance(inputs, Sequence) or isinstance(inputs, (str, bytes)):
        raise UsageError(f"expected a text, a pair or a list of them, not {type(inputs).__name__}")
    for number, item in enumerate(inputs):
        check(task, item, number)


def check(task: Task, item: object, number: int | None = None) -> None:
    """Refuse what is no text, or pair, as the task takes it. Raises UsageError."""
    if isinstance(item, (str, tuple) if task.apart else tuple if task.pair else str):
        return
    where = None if number is None else f"input {number}"
    if not isinstance(item, (str, tuple)):
        raise UsageError(explain(item).what, where=where)
    if task.problem is Problem.SPANS:
        hint = "runtime(question='…', context='…'), or a tuple of the two"
        raise UsageError("this model takes a question and its context", where=where, hint=hint)
    if task.pair:
        raise UsageError("this model takes pairs: pass a tuple of two texts", where=where)
    raise UsageError("this model takes single texts; for several, pass a list", where=where)


def unknown_tier(name: object, tiers: Sequence[str]) -> UsageError:
    """Make the error for a tier that a bundle does not have."""
    if not tiers:
        return UsageError(
            f"there is no tier {shown(name)}: the bundle is one model", where="tier", hint="leave it out"
        )
    return UsageError(
        f"there is no tier {shown(name)} (there are: {', '.join(tiers)})",
        where="tier",
        hint=did_you_mean(name, tiers) if isinstance(name, str) else None,
    )
