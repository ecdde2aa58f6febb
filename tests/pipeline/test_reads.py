"""A run reads the files of its model once, however many stages and checks ask for what is in them."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edgeroberta import pipeline, recipe
from edgeroberta.data import DataSpec
from edgeroberta.pipeline import compression
from edgeroberta.pipeline.compression_inputs import CompressionRequest
from edgeroberta.progress import Progress
from edgeroberta.roberta import tensorfile
from edgeroberta.storage.files import CONFIG

WORDS = ("good", "bad", "film", "story", "dull", "bright", "long")


@pytest.fixture
def opened(tiny_checkpoint, monkeypatch) -> Counter[str]:
    """How often a file of the model was opened by Python, and its header read; torch's own reads aside."""
    found: Counter[str] = Counter()
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and str(arguments[0]).startswith(f"{tiny_checkpoint}/"):
            found[Path(str(arguments[0])).name] += 1

    def header(file: Path, real: Any = tensorfile._header) -> Any:
        found["headers"] += file.parent == tiny_checkpoint
        return real(file)

    sys.addaudithook(watch)
    monkeypatch.setattr(tensorfile, "_header", header)
    yield found
    watching = False


def test_a_run_reads_config_headers_and_weights_once(opened, tiny_checkpoint, tmp_path):
    with (tmp_path / "reviews.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for index in range(60):
            text = " ".join(WORDS[index * step % len(WORDS)] for step in range(1, 5 + index % 7))
            writer.writerow([f"{text} no. {index}", ("negative", "positive")[index * 7 % 3 % 2]])
    chosen = recipe.load("int8", ("quantize.samples=8", "quantize.check_samples=8"))
    request = CompressionRequest(
        model=str(tiny_checkpoint),
        data=DataSpec(str(tmp_path / "reviews.csv")),
        recipe="int8",
        overrides=(),
        target="cpu",
        output=tmp_path / "out",
        work=None,
        reference=None,
    )
    job = compression.prepare(request, chosen, progress=Progress())
    made = pipeline.make(chosen.stages[:3], job, progress=Progress())
    assert [each.artifact.lineage.stage for each in made] == ["export", "quantize", "build"]
    assert opened[CONFIG] == 4, "parsed, for the digest, and copied beside each of two graphs"
    assert opened["headers"] == 1
    assert opened["model.safetensors"] == 2, "looked through for NaN, and for the digest"
