"""What ``edgeroberta pretrain --dry-run`` tells: the model, the text, and what is set in each stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeroberta.data.documents import DocumentStream
from edgeroberta.pipeline.dry_run import Preview
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.training.blocks import Packing
from edgeroberta.training.pretrain_settings import PretrainConfig

#: What a run on rows begins with, and this one does not: of the JSON, and how lines of the text begin.
_OF_ROWS = ("fine_tunes_packaged_model", "task", "rows", "label_format", "target")
_LINES_OF_ROWS = ("task:", "rows:", "labels:", "target:")
#: Special tokens of a block, at least.
_SPECIAL = 2


@dataclass(frozen=True)
class StageEstimate:
    """About how much work a stage ``pretrain`` has."""

    blocks: int  # training sequences
    length: int  # tokens of each, special ones included
    steps: int  # of the optimizer, without those of a fresh head alone

    def __str__(self) -> str:
        return f"about {self.blocks:,} blocks of {self.length} tokens, {self.steps:,} steps"


@dataclass(frozen=True)
class PretrainingPreview(Preview):
    """What a run would do."""

    #: tokens in all of the text, about; None where a tokenizer that is still to come makes them
    tokens: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; ``changed`` of a stage has what is not the default, by dotted name."""
        found = {name: value for name, value in super().to_json().items() if name not in _OF_ROWS}
        found["text"]["tokens"] = self.tokens
        for stage, estimate in zip(found["stages"], self.estimates(), strict=True):
            if estimate is not None:
                stage["estimate"] = vars(estimate)
        return found

    def facts(self) -> list[str]:
        """Return what a run would begin with, whatever its stages are, one fact a line."""
        lines = [line for line in super().facts() if not line.startswith(_LINES_OF_ROWS)]
        if self.tokens is not None:
            told = f"about {self.tokens:,} tokens"
            lines = [f"{line}, {told}" if line.startswith("text:") else line for line in lines]
        told_of = zip(self.placed(), self.estimates(), strict=True)
        return lines + [
            f"{placed.step.stage.name} would take {each}"
            for (placed, done), each in told_of
            if each and not done
        ]

    def estimates(self) -> list[StageEstimate | None]:
        """Return how much work each stage has; None of one that does not learn from full blocks."""
        return [self._estimate(placed.step.config) for placed, _ in self.placed()]

    def _estimate(self, config: object) -> StageEstimate | None:
        if not isinstance(config, PretrainConfig) or config.packing is not Packing.FULL_SENTENCES:
            return None
        if self.tokens is None:
            return None
        room = config.max_length - _SPECIAL
        blocks = math.ceil(self.tokens * (1 - config.heldout) / room)
        per_epoch = math.ceil(blocks / (config.batch_size * config.accumulation))
        return StageEstimate(blocks, config.max_length, config.steps or per_epoch * config.epochs)


def tokens_of(job: PipelineJob, sample: Sequence[str]) -> int:
    """Estimate how many tokens a text has, from those of a sample of it."""
    from edgeroberta.training.corpus_tokens import CorpusTokenizer

    assert isinstance(job.corpus, DocumentStream)  # as it was loaded
    ids = CorpusTokenizer.open(job.model).encode([text for text in sample if text]).ids
    return round(len(ids) * job.corpus.characters / sum(map(len, sample)))
