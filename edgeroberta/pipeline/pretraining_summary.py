"""What ``edgeroberta pretrain`` tells at its end: what was learnt, the curve, what to do next."""

from __future__ import annotations

import shlex
from typing import Any

from edgeroberta.pipeline import summary
from edgeroberta.pipeline.pretraining import PretrainingRun
from edgeroberta.report import pretraining


def to_json(result: PretrainingRun) -> dict[str, Any]:
    """Return the outcome of a run for machines: ``pretraining.json`` and what was done this time."""
    return {
        **result.facts,
        "checkpoint": str(result.folder),
        "notes": list(result.notes),
        "runs": [
            {
                "stage": made.artifact.lineage.stage,
                "reused": made.reused,
                "seconds": made.artifact.lineage.seconds,
            }
            for made in result.stages
        ],
    }


def to_text(result: PretrainingRun, *, program: str = "edgeroberta") -> str:
    """Return the outcome of a run for people."""
    folder = shlex.quote(summary.shown(result.folder))
    lines = ["", summary.spent(result.stages)]
    for section in pretraining.sections(result.facts["pretraining"]):
        lines += ["", *section.sentences]
        lines += ["", section.table.text()] if section.table else []
    next_one = f"{program} compress {folder} --recipe finetune-int8 --data ROWS -o BUNDLE"
    return "\n".join([*lines, "", f"checkpoint: {folder}", f"next:       {next_one}"])
