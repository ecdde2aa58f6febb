"""Runs of single stages as the pipeline has them run, each kept once it is done: a killed bench goes on."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta import stages, targets
from edgeroberta.context import Context
from edgeroberta.data.documents import Documents
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import Artifact, Kind, Lineage, digest_value, write_json
from edgeroberta.tasks import Problem, Task

logger = logging.getLogger(__name__)

#: Where a run's numbers are, written last.
NUMBERS = "run.json"
#: Of stages that learn from text alone, which read neither task nor rows.
_NO_TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
_NO_ROWS = Rows((), None, None, "none")


@dataclass(frozen=True, eq=False)
class StageRun:
    """A stage, its settings and what it is given.

    ``folder`` is its own: scratch of a run that was killed, then the artifact and its numbers.
    """

    stage: str
    settings: Mapping[str, Any]
    model: Path
    folder: Path
    seed: int
    corpus: Documents | None = None
    rows: Splits | None = None

    @property
    def key(self) -> str:
        """Digest of all that its numbers depend on beside this project's code."""
        rows = None if self.rows is None else [self.rows.train.digest, self.rows.validation.digest]
        text = None if self.corpus is None else self.corpus.digest
        model = Checkpoint(self.model).digest
        return digest_value([self.stage, dict(self.settings), model, self.seed, text, rows])

    @property
    def output(self) -> Path:
        """The artifact."""
        return self.folder / "output"


def done(run: StageRun, *, progress: Progress | None = None) -> dict[str, Any]:
    """Run a stage unless it has run; returns its notes and ``wall_seconds``, those of its last start."""
    kept = recall(run.folder / NUMBERS, run.key)
    if kept is not None:
        return kept
    started = time.monotonic()
    shutil.rmtree(run.output, ignore_errors=True)
    for folder in (run.output, run.folder / "scratch"):
        folder.mkdir(parents=True, exist_ok=True)
    logger.info("%s: %s, seed %d", run.folder.name, run.stage, run.seed)
    stage = stages.get(run.stage)
    notes = dict(stage.run(stage.config(**run.settings), _context(run, progress or Progress())))
    notes["wall_seconds"] = round(time.monotonic() - started, 1)
    shutil.rmtree(run.folder / "scratch")
    return remember(run.folder / NUMBERS, run.key, notes)


def kept(file: Path, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a file keeps of a run of this key, or make it and keep it."""
    found = recall(file, key)
    return remember(file, key, make()) if found is None else found


def recall(file: Path, key: str) -> dict[str, Any] | None:
    """Return what a file keeps of a run of this key; None where there is none."""
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    numbers: dict[str, Any] = found["numbers"]
    return numbers if found["key"] == key else None


def remember(file: Path, key: str, numbers: dict[str, Any]) -> dict[str, Any]:
    """Keep the numbers of a run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"key": key, "numbers": numbers})
    return numbers


def _context(run: StageRun, progress: Progress) -> Context:
    source = Checkpoint(run.model)
    lineage = Lineage("source", "", {}, run.seed, {}, {}, 0.0)
    task = _NO_TASK if run.rows is None else Task(Problem.SINGLE_LABEL, run.rows.labels)
    return Context(
        output=run.output,
        scratch=run.folder / "scratch",
        inputs={Kind.CHECKPOINT: Artifact(run.model, Kind.CHECKPOINT, lineage)},
        checkpoint=source,
        baseline=source,
        task=task,
        data=run.rows or Splits(_NO_ROWS, _NO_ROWS, _NO_ROWS, None, ()),
        target=targets.load("cpu"),
        seed=run.seed,
        reference=None,
        progress=progress,
        corpus=run.corpus,
    )
