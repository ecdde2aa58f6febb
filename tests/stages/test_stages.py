"""What every stage declares."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from edgeroberta import stages
from edgeroberta.storage.artifact import Kind

CHECKPOINT, GRAPH, DRAFT, REPORT, BUNDLE = Kind


@pytest.mark.parametrize(
    ("name", "reads", "writes", "distributed"),
    [
        ("tokenizer", (CHECKPOINT,), CHECKPOINT, False),
        ("finetune", (CHECKPOINT,), CHECKPOINT, True),
        ("distill", (CHECKPOINT,), CHECKPOINT, True),
        ("prune", (CHECKPOINT,), CHECKPOINT, True),
        ("vocabulary", (CHECKPOINT,), CHECKPOINT, False),
        ("export", (CHECKPOINT,), GRAPH, False),
        ("quantize", (CHECKPOINT, GRAPH), GRAPH, True),
        ("build", (GRAPH,), DRAFT, False),
        ("verify", (DRAFT,), REPORT, False),
        ("bundle", (DRAFT, REPORT), BUNDLE, False),
    ],
)
def test_a_stage_says_what_it_reads_and_writes(name, reads, writes, distributed):
    stage = stages.get(name)
    assert (stage.reads, stage.writes, stage.distributed) == (reads, writes, distributed)


@pytest.mark.parametrize("name", stages.MODULES)
def test_every_setting_of_a_stage_is_described(name):
    def undescribed(config):
        for field, info in config.model_fields.items():
            if not info.description:
                yield field
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                yield from undescribed(info.annotation)

    assert list(undescribed(stages.get(name).config)) == []
