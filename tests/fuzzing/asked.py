"""Damaged files of questions on texts, in SQuAD's layout, in CMRC's, and as rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.mutation import ODD, damaged, document, dumps

_VALUES = ("question", "context", "answers", "answer_start", "id", "title", "#1", "nothing")
_FIELDS = ("text", "text_pair", "label", "eval_data", "unlabelled")


def questions(rng: Random, folder: Path, _base: object) -> Callable[[], object]:
    """Write a file of questions, most of them with something wrong, and read it."""
    from edgeroberta import data
    from edgeroberta.data.rows import DataSpec
    from edgeroberta.tasks import Problem, Task

    kind = rng.choice(("squad", "cmrc", "rows.json", "rows.jsonl"))
    file = folder / ("train.jsonl" if kind == "rows.jsonl" else "train.json")
    made: Any = {"squad": _squad, "cmrc": _cmrc}.get(kind, _rows)(rng)
    if rng.random() < 0.7:
        made = document(rng, made)
    listed = kind == "rows.jsonl" and isinstance(made, list)
    content = ("\n".join(map(dumps, made)) if listed else dumps(made)).encode("utf-8", "surrogatepass")
    file.write_bytes(damaged(rng, content) if rng.random() < 0.2 else content)
    spec: dict[str, Any] = {}
    for field in _FIELDS:
        if rng.random() < 0.05:
            spec[field] = str(file) if field in ("eval_data", "unlabelled") else rng.choice(_VALUES)
    task = None if rng.random() < 0.3 else Task(Problem.SPANS, ("start", "end"), pair=True)
    return lambda: data.load_splits(DataSpec(str(file), **spec), task=task)


def _asked(rng: Random, number: int) -> tuple[str, list[dict[str, Any]]]:
    context = f"🎉 In {1900 + number} the tower of 红楼 stood, and the tower fell."
    answers = [
        {"text": text, "answer_start": context.index(text)}
        for text in (str(1900 + number), "the tower", "红楼")[: rng.randint(0, 3)]
    ]
    for each in answers:
        if rng.random() < 0.02:
            each[rng.choice(("text", "answer_start"))] = rng.choice((*ODD[:20], -1, 1, 99, 2.5, "7"))
    return context, answers


def _squad(rng: Random) -> dict[str, Any]:
    articles = []
    for number in range(24):
        context, answers = _asked(rng, number)
        asked = {"id": str(number), "question": f"What {number}?", "answers": answers}
        if not answers or rng.random() < 0.3:
            asked["is_impossible"] = not answers
        articles.append({"title": f"T{number}", "paragraphs": [{"context": context, "qas": [asked]}]})
    return {"version": rng.choice(("1.1", "v2.0", None)), "data": articles}


def _cmrc(rng: Random) -> list[dict[str, Any]]:
    found = []
    for number in range(24):
        context, answers = _asked(rng, number)
        texts = [each["text"] for each in answers] or ["the tower"]
        asked = {"query_id": f"Q{number}", "query_text": f"什么 {number}?", "answers": texts}
        found.append({"context_id": f"D{number}", "context_text": context, "title": "x", "qas": [asked]})
    return found


def _rows(rng: Random) -> list[dict[str, Any]]:
    found = []
    for number in range(24):
        context, answers = _asked(rng, number)
        hub = {name: [each[name] for each in answers] for name in ("text", "answer_start")}
        given = rng.choice((hub, answers, [each["text"] for each in answers]))
        found.append({"question": f"What {number}?", "context": context, "answers": given})
    return found
