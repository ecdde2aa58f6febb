"""Plain texts for the tests of all that learns masked words, split as the product splits them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from edgeroberta.data import DataSpec, MaskReader, Splits, load_splits
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.tasks import Problem, Task, masked


def task_of(model: Path) -> Task:
    """The task of filling masks, by the model's tokenizer and vocabulary."""
    found = Checkpoint(model)
    token = MaskReader.open(model, found.max_length).token
    return Task(Problem.MASKED, (), dimensions=masked.width(found.fields["vocab_size"]), mask_id=token.id)


def texts(count: int, seed: int = 0) -> list[str]:
    """Sentences of a few words of which each tells the others: after ``great`` stands what follows it."""
    draw = random.Random(seed)
    pairs = {"great": "film", "dull": "story", "good": "plot", "bad": "music"}
    made = []
    for number in range(count):
        first, second = draw.choices(list(pairs), k=2)
        made.append(f"a {first} {pairs[first]} and a {second} {pairs[second]} {number}")
    return made


def splits(folder: Path, model: Path, count: int = 96, **fields: Any) -> Splits:
    """Write texts to a file, and split them into training, validation and held-out rows."""
    file = folder / "texts.txt"
    file.write_text("\n".join(texts(count)))
    masks = MaskReader.open(model, Checkpoint(model).max_length)
    return load_splits(DataSpec(str(file), **fields), task=task_of(model), masks=masks)
