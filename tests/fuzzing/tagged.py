"""Damaged rows of words with tags, and of texts with spans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.mutation import damaged, document, dumps

_LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
_TAGS = (*_LABELS, "E-PER", "S-LOC", "PER", "b-per", "B_PER", "0", "-", "", "-100", "B-", "I", "L-PER", "O O")
_ODD = (
    "",
    " ",
    "a b",
    "\u00a0",
    "\u200b",
    "\x00",
    "\ud83d",
    "#",
    "-DOCSTART-",
    "e\u0301",
    "\ufeff",
    "x" * 300,
)
_FIELDS = ("text", "label", "label_format", "limit", "eval_data", "unlabelled", "text_pair")
_VALUES = (
    "tokens",
    "ner_tags",
    "text",
    "spans",
    "#1",
    "#2",
    "#3",
    "names",
    "ids",
    "tags",
    "values",
    "nothing",
)


def tagged(rng: Random, folder: Path, _base: object) -> Callable[[], object]:
    """Write a file of words or spans, most of them with something wrong, and read it."""
    from edgeroberta import data
    from edgeroberta.data.rows import DataSpec
    from edgeroberta.tasks import Problem, Task

    extension = rng.choice((".conll", ".bio", ".txt", ".tsv", ".jsonl", ".jsonl", ".json", ".in"))
    file = folder / f"train{extension}"
    sentences = _sentences(rng)
    if extension.startswith(".js"):
        rows = [document(rng, row) if rng.random() < 0.05 else row for row in _rows(rng, sentences)]
        text = dumps(rows) if extension == ".json" else "\n".join(map(dumps, rows))
    elif extension == ".in":
        text = "\n".join(" ".join(word for word, _ in each) for each in sentences)
        tags = "\n".join(" ".join(tag for _, tag in each) for each in sentences)
        file.with_suffix(".out").write_bytes(_maybe(rng, tags))
    else:
        mark = rng.choice(("\t", " ", " x ", "\tx\t"))
        text = "\n\n".join("\n".join(f"{word}{mark}{tag}" for word, tag in each) for each in sentences)
    file.write_bytes(_maybe(rng, text))
    spec: dict[str, Any] = {}
    for field in _FIELDS:
        if rng.random() < 0.1:
            paths = field in ("eval_data", "unlabelled")
            spec[field] = str(file) if paths else 5 if field == "limit" else rng.choice(_VALUES)
    if extension in (".txt", ".tsv") and rng.random() < 0.8:
        spec["label_format"] = "tags"
    labels = rng.choice((None, _LABELS, ("O", "PER"), ("LABEL_0", "LABEL_1"), ("O", "I-PER", "I-LOC")))
    task = None if labels is None else Task(Problem.TOKENS, labels)
    return lambda: data.load_splits(DataSpec(str(file), **spec), task=task)


def _sentences(rng: Random) -> list[list[tuple[str, str]]]:
    """Draw sentences of right tags, and some words and tags that are odd."""
    found = []
    for number in range(24):
        words = [(f"w{number}x{place}", rng.choice(_LABELS)) for place in range(rng.randrange(1, 6))]
        if rng.random() < 0.05:
            words[0] = (rng.choice(_ODD), rng.choice(_TAGS))
        found.append(words)
    return found


def _rows(rng: Random, sentences: list[list[tuple[str, str]]]) -> list[dict[str, Any]]:
    if rng.random() < 0.5:
        ids = rng.random() < 0.2
        return [
            {
                "tokens": [word for word, _ in each],
                "ner_tags": [_TAGS.index(tag) if ids else tag for _, tag in each],
            }
            for each in sentences
        ]
    rows = []
    for each in sentences:
        text = " ".join(word for word, _ in each) or "x"
        ends = sorted(rng.randrange(-1 if rng.random() < 0.02 else 0, len(text) + 1) for _ in range(4))
        spans: Any = [
            {"start": start, "end": end, "label": rng.choice(("PER", "LOC"))}
            for start, end in ((ends[0], ends[1]), (ends[2], ends[3]))
            if start < end and text[start:end].strip()
        ]
        rows.append(
            {"text": text, "spans": rng.choice((spans, spans, spans, [[*s.values()] for s in spans]))}
        )
    return rows


def _maybe(rng: Random, text: str) -> bytes:
    content = text.encode("utf-8", "replace")
    return damaged(rng, content) if rng.random() < 0.4 else content
