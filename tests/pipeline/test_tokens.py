"""A base model becomes a small one that labels tokens, through every stage that trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeroberta import api
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime
from edgeroberta.tasks import Problem

PLACES, NAMES, REST = (
    ("Paris", "New York", "Oslo"),
    ("Anna", "Carla Jones", "Dan"),
    ("in", "saw", "and", "left"),
)
RECIPE = """
schema_version: 1
name: tokens
stages:
  - finetune: {epochs: 8, batch_size: 8, learning_rate: 3.0e-3, dropout: 0, freeze_embeddings: false}
  - distill: {layers: 2, epochs: 4, batch_size: 8, learning_rate: 3.0e-3, augment: 1, weights: {hidden: 1}}
  - prune: {heads: 0.75, ffn: 0.75, granularity: 8, recovery: {epochs: 2, batch_size: 8}}
  - vocabulary: {size: 300, max_length: data}
  - export: {}
  - build: {engines: [onnxruntime]}
  - verify: {latency_rows: 5}
  - bundle: {}
"""


def conll(folder: Path, sentences: int) -> Path:
    """A file of words and tags: names and places, and words that are neither."""
    random, lines = np.random.default_rng(0), []
    for _ in range(sentences):
        tagged = [(word, "O") for word in random.choice(REST, 2)]
        for kind, pool in (("PER", NAMES), ("LOC", PLACES)):
            words = str(random.choice(pool)).split()
            tagged += [(word, f"{'I' if place else 'B'}-{kind}") for place, word in enumerate(words)]
            tagged.append((str(random.choice(REST)), "O"))
        lines.append("\n".join(f"{word} {tag}" for word, tag in tagged))
    file = folder / "data.conll"
    file.write_text("\n\n".join(lines) + "\n")
    return file


def test_a_base_model_becomes_a_small_one_that_labels_tokens(tiny_headless_checkpoint, tmp_path):
    (tmp_path / "tokens.yaml").write_text(RECIPE)
    found = api.compress(
        tiny_headless_checkpoint,
        str(conll(tmp_path, 150)),
        recipe=tmp_path / "tokens.yaml",
        output=tmp_path / "out",
        work=tmp_path / "work",
    )
    notes = {each.artifact.lineage.stage: each.artifact.lineage.notes for each in found.run.stages}
    assert list(notes) == [
        "finetune",
        "distill",
        "prune",
        "vocabulary",
        "export",
        "build",
        "verify",
        "bundle",
    ]
    assert notes["finetune"]["metric"] == "f1"
    assert notes["finetune"]["best_score"] > 0.9
    assert notes["distill"]["teacher_score"] == notes["finetune"]["best_score"]
    assert notes["distill"]["best_score"] > 0.8
    assert notes["prune"]["score"] > 0.5
    assert notes["vocabulary"]["tokens"] == 300
    small = found.run.stages[3].artifact.path
    assert Checkpoint(small).task.problem is Problem.TOKENS
    assert Checkpoint(small).parameters < 0.5 * Checkpoint(tiny_headless_checkpoint).parameters
    answer = Runtime.open(found.bundle)("saw and Anna left Oslo in")
    assert [(each.label, each.text) for each in answer.entities] == [("PER", "Anna"), ("LOC", "Oslo")]
