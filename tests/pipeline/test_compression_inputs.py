"""What is told of the rows before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

from edgeroberta import recipe
from edgeroberta.data import DataSpec
from edgeroberta.pipeline import compression_inputs
from edgeroberta.pipeline.compression_inputs import CompressionRequest


def test_words_that_the_model_does_not_read_are_told(make_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = ("O", "B-PER", "I-PER")
    model = make_checkpoint(labels, "token_classification", max_position_embeddings=18)
    rows = [{"tokens": [f"w{i}", "Ann", "Lee"], "ner_tags": ["O", "B-PER", "I-PER"]} for i in range(40)]
    rows.append({"tokens": ["far"] * 29 + ["Ann"], "ner_tags": ["O"] * 29 + ["B-PER"]})
    Path("x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = CompressionRequest(
        model=str(model),
        data=DataSpec("x.jsonl"),
        recipe="int8",
        overrides=(),
        target="cpu",
        output=Path("out"),
        work=None,
        reference=None,
    )
    found = compression_inputs.find(request, recipe.load("int8"))
    assert found.told[:2] == (
        "x.jsonl: words 'tokens', tags 'ner_tags'; --text and --label choose other columns",
        "x.jsonl: 41 sentences of 150 words with 41 entities, tags in IOB2",
    )
    lost = [line for line in found.told if "beyond what the model reads of a text, in 1 of " in line]
    assert len(lost) == 1
    assert lost[0].endswith("1 of these words are in entities")
