"""What tests of stages that train share: labelled texts, and a context in folders of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta import stages, targets
from edgeroberta.context import Context
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import Artifact, Kind, Lineage
from edgeroberta.tasks import Problem, Task, Unit, WordTags

TASKS = {
    "single": Task(Problem.SINGLE_LABEL, ("bad", "good")),
    "pair": Task(Problem.SINGLE_LABEL, ("bad", "good"), pair=True),
    "multi": Task(Problem.MULTI_LABEL, ("plot", "music", "acting")),
    "regression": Task(Problem.REGRESSION, ("score",)),
    "tokens": Task(Problem.TOKENS, ("O", "B-PRAISE", "I-PRAISE", "B-BLAME", "I-BLAME")),
}
#: The tag that a word has where words tell their tags: B-PRAISE or B-BLAME.
SAID = dict.fromkeys(("great", "lovely", "good"), 1) | dict.fromkeys(("terrible", "boring", "bad"), 3)
WORDS = ["a", "the", "film", "plot", "music", "great", "boring", "lovely", "bad", "good", "and", "of"]


def rows_of(task: Task, count: int, seed: int, *, told: bool = False) -> Rows:
    """Random texts and labels; where they are ``told``, a word of each text tells its label."""
    random = np.random.default_rng(seed)
    texts = tuple(" ".join(random.choice(WORDS, random.integers(2, 9))) for _ in range(count))
    yes = random.integers(0, 2, count)
    if told:
        words = (("terrible", "boring", "bad"), ("great", "lovely", "good"))
        texts = tuple(f"a {words[which][random.integers(3)]} film {row}" for row, which in enumerate(yes))
    if task.kind.unit is Unit.TOKEN:
        return tagged_rows(texts, random, told=told)
    labels: Any = {
        Problem.SINGLE_LABEL: yes,
        Problem.MULTI_LABEL: np.stack([yes, 1 - yes, yes], 1).astype(np.float32),
        Problem.REGRESSION: yes.astype(np.float32),
    }[task.problem]
    return Rows(texts, texts[::-1] if task.pair else None, labels, "reviews.csv")


def tagged_rows(texts: tuple[str, ...], random: np.random.Generator, *, told: bool) -> Rows:
    """Tags for the words of texts, of which those of :data:`SAID` tell them; else random ones."""
    words = [text.split(" ") for text in texts]
    tags = [
        np.array([SAID.get(word, 0) if told else int(random.integers(5)) for word in each]) for each in words
    ]
    places = []
    for each in words:
        ends = np.cumsum([len(word) + 1 for word in each]) - 1
        starts = ends - [len(word) for word in each]
        places.append(np.stack([starts, ends, np.arange(len(each))], 1))
    return Rows(texts, None, WordTags.pack(tags, places), "reviews.csv")  # type: ignore[arg-type]


def checkpoint_in(folder: Path) -> Artifact:
    return Artifact(folder, Kind.CHECKPOINT, Lineage("source", "", {}, 0, {}, {}, 0.0))


def context(folder: Path, model: Path, task: Task, rows: Sequence[Rows], **fields: Any) -> Context:
    """A context with output and scratch below ``folder``; ``rows``: training, validation, held-out."""
    for part in ("output", "scratch"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    made = Context(
        output=folder / "output",
        scratch=folder / "scratch",
        inputs={Kind.CHECKPOINT: checkpoint_in(model)},
        checkpoint=Checkpoint(model),
        baseline=Checkpoint(model),
        task=task,
        data=Splits(*rows, None, task.labels),
        target=targets.load("cpu"),
        seed=0,
        reference=None,
        progress=Progress(),
    )
    made = replace(made, **fields)
    return replace(made, checkpoint=Checkpoint(made.inputs[Kind.CHECKPOINT].path))


def run(name: str, made: Context, **config: Any) -> dict[str, Any]:
    """Run a stage and return its notes."""
    stage = stages.get(name)
    return dict(stage.run(stage.config(**config), made))
