"""What ``edgeroberta pretrain --dry-run`` tells: the model, the text, and what is set in each stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeroberta.pipeline.dry_run import Preview

#: What a run on rows begins with, and this one does not: of the JSON, and how lines of the text begin.
_OF_ROWS = ("fine_tunes_packaged_model", "task", "rows", "label_format", "target")
_LINES_OF_ROWS = ("task:", "rows:", "labels:", "target:")


@dataclass(frozen=True)
class PretrainingPreview(Preview):
    """What a run would do."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; ``changed`` of a stage has what is not the default, by dotted name."""
        return {name: value for name, value in super().to_json().items() if name not in _OF_ROWS}

    def facts(self) -> list[str]:
        """Return what a run would begin with, whatever its stages are, one fact a line."""
        return [line for line in super().facts() if not line.startswith(_LINES_OF_ROWS)]
