"""From unlabelled text to a checkpoint that recipes fine-tune and compress."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.api import data as rows
from edgeroberta.api.arguments import overrides, path, with_arguments_of
from edgeroberta.api.arguments import seed as checked_seed
from edgeroberta.api.data import Data
from edgeroberta.api.results import Result, reporting
from edgeroberta.extras import require
from edgeroberta.report.table import Table

if TYPE_CHECKING:
    from edgeroberta.pipeline.pretraining import PretrainingRequest, PretrainingRun
    from edgeroberta.pipeline.pretraining_preview import PretrainingPreview
    from edgeroberta.progress import Progress


@dataclass(frozen=True)
class PretrainingResult(Result):
    """A delivered checkpoint, and what was measured of it."""

    run: PretrainingRun  # what the stages made

    @property
    def checkpoint(self) -> Path:
        """The checkpoint's folder, as transformers and :func:`compress` take it."""
        return self.run.folder

    @property
    def facts(self) -> Mapping[str, Any]:
        """What ``pretraining.json`` says: model, text, perplexity before and after, curve, stages."""
        return self.run.facts

    @property
    def perplexity(self) -> float | None:
        """Perplexity of masked words on held-out text; None where no stage measured it."""
        found = self.facts["pretraining"]
        return found[-1]["after"]["perplexity"] if found and found[-1]["after"] else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen for the user, and what the check of the model had to say."""
        return self.run.notes

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object, the same as ``edgeroberta pretrain --json``."""
        from edgeroberta.pipeline import pretraining_summary

        return pretraining_summary.to_json(self.run)

    def to_text(self, *, program: str = "edgeroberta") -> str:
        """Return the result for people; ``program`` is what to type for the next command."""
        from edgeroberta.pipeline import pretraining_summary

        return pretraining_summary.to_text(self.run, program=program)

    def __str__(self) -> str:
        return self.to_text()

    def _tables(self) -> Iterable[str | Table]:
        from edgeroberta.report import pretraining

        for section in pretraining.sections(self.facts["pretraining"]):
            yield from section.sentences
            if section.table is not None:
                yield section.table


def pretrain(
    model: str | os.PathLike[str] | None = None,
    unlabelled: Data | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    recipe: str | os.PathLike[str] = "adapt",
    settings: Mapping[str, Any] | str | Sequence[str] = (),
    text: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    work: str | os.PathLike[str] | None = None,
    allow_pickle: bool = False,
    progress: Progress | None = None,
) -> PretrainingResult:
    """Train an encoder on unlabelled text, as RoBERTa was, and deliver it as a checkpoint.

    With neither ``model`` nor ``unlabelled``, a small packaged RoBERTa and film reviews are used. A killed
    run resumes when the same call is made again.

    Args:
        model: Hugging Face model folder or Hub id, with or without a head; a small packaged RoBERTa if not
            given.
        unlabelled: Text to learn from: a text file with a document on each line, CSV, TSV, JSONL or Parquet
            with a column of text, a folder of them, a Hub data set, or rows in memory.
        output: Where the checkpoint goes.
        recipe: Name of a shipped recipe, or path of a YAML file, that ends in a checkpoint.
        settings: Settings that win over the recipe's: ``{"pretrain.epochs": 2}``.
        text: Column of the text; ``#1`` is the first one of a file without a header.
        limit: Use at most this many documents, drawn at random.
        seed: Seed of everything random.
        work: Work folder; beside ``output`` if not given.
        allow_pickle: Accept ``pytorch_model.bin`` where safetensors are missing.
        progress: Where to report; bars in a terminal or notebook if not given.

    Returns:
        The checkpoint, with perplexity before and after.

    Raises:
        UsageError: An argument, recipe, text or model cannot be used.
        UnavailableError: A package is missing.
        EdgeRobertaError: A stage failed.
    """
    request = _asked(locals())
    from edgeroberta.pipeline import pretraining

    return PretrainingResult(pretraining.pretrain(request, progress=reporting(progress)))


@with_arguments_of(pretrain)
def preview_pretraining(arguments: Mapping[str, Any]) -> PretrainingPreview:
    """Check all that :func:`pretrain` would be given, and tell what it would do; nothing is trained.

    It takes the same arguments.

    Raises:
        EdgeRobertaError: As :func:`pretrain` before its first stage.
    """
    request = _asked(arguments)
    from edgeroberta.pipeline import pretraining

    return pretraining.preview(request)


def _asked(given: Mapping[str, Any]) -> PretrainingRequest:
    """Put the arguments of :func:`pretrain` into the pipeline's words."""
    require("compress", purpose="edgeroberta pretrain")
    from edgeroberta.pipeline.pretraining import PretrainingRequest

    return PretrainingRequest(
        model=None if given["model"] is None else os.fspath(given["model"]),
        unlabelled=None if given["unlabelled"] is None else rows.named(given["unlabelled"]),
        recipe=os.fspath(given["recipe"]),
        overrides=overrides(given["settings"]),
        output=path(given["output"]),
        work=path(given["work"]),
        text=given["text"],
        seed=checked_seed(given["seed"]),
        limit=given["limit"],
        allow_pickle=given["allow_pickle"],
    )
