"""What is told of the rows before anything runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import edgeroberta
from edgeroberta import recipe
from edgeroberta.data import DataSpec
from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.pipeline import compression_inputs
from edgeroberta.pipeline.compression_inputs import CompressionInputs, CompressionRequest


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
    chosen = recipe.load("int8")
    found = compression_inputs.find(request, chosen)
    assert found.told[:2] == (
        "x.jsonl: words 'tokens', tags 'ner_tags'; --text and --label choose other columns",
        "x.jsonl: 41 sentences of 150 words with 41 entities, tags in IOB2",
    )
    lost = [line for line in found.told if "beyond what the model reads of a text, in 1 of " in line]
    assert len(lost) == 1
    assert lost[0].endswith("1 of these words are in entities")

    # Held-out rows are read as by the bundle, training rows are cut.
    Path("y.jsonl").write_text(json.dumps(rows[-1]) + "\n")
    held = replace(request, data=DataSpec("x.jsonl", eval_data="y.jsonl"))
    told = "y.jsonl: of 30 words "
    assert any(line.startswith(told) for line in compression_inputs.find(held, chosen).told)
    windows = recipe.load("int8", ("build.long_text=windows",))
    assert not any(line.startswith(told) for line in compression_inputs.find(held, windows).told)


def test_a_reference_is_held_to_the_windows_of_the_recipe(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{'a great film ' * (1 + i % 2)}{i},{('negative', 'positive')[i % 2]}\n" for i in range(60)]
    Path("x.csv").write_text("text,label\n" + "".join(lines))
    edgeroberta.reference(
        tiny_checkpoint, "x.csv", output="ref", long_text="windows", stride=4, device="cpu", threads=1
    )

    def find(*overrides: str) -> CompressionInputs:
        request = CompressionRequest(
            model=str(tiny_checkpoint),
            data=DataSpec("x.csv"),
            recipe="int8",
            overrides=overrides,
            target="cpu",
            output=Path("out"),
            work=None,
            reference=Path("ref"),
        )
        return compression_inputs.find(request, recipe.load("int8", overrides))

    assert find("build.long_text=windows", "build.stride=4").data.heldout
    for wrong, told in (
        ((), "long texts are cut here, and were read in windows that overlap by 4 tokens"),
        (("build.long_text=windows", "build.stride=5"), "long texts are read in windows that overlap by 5"),
    ):
        with pytest.raises(UsageError, match=told):
            find(*wrong)
    with pytest.raises(RecipeError, match=r"build\.stride: windows of 510 tokens cannot overlap by 600"):
        find("build.long_text=windows", "build.stride=600")
