"""What ships: nothing of the user's data or of where it lay, and the same model whenever it is made."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from edgeroberta.data import DataSpec
from edgeroberta.evaluation import baseline_store, provenance
from edgeroberta.pipeline import compression
from edgeroberta.pipeline.compression_inputs import CompressionRequest
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import manifest

pytestmark = pytest.mark.slow

WORDS = ("good", "bad", "film", "story", "dull", "bright", "long")


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_checkpoint) -> Path:
    """A private folder with a model and rows; the model's files name the folder, as transformers' do."""
    folder = tmp_path_factory.mktemp("home-of-somebody")
    model = Path(shutil.copytree(tiny_checkpoint, folder / "model"))
    for name in ("config.json", "tokenizer_config.json"):
        fields = json.loads((model / name).read_text()) if (model / name).is_file() else {}
        (model / name).write_text(json.dumps({**fields, "_name_or_path": str(folder / "secret")}))
    with (folder / "reviews.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for index in range(160):
            text = " ".join(WORDS[index * step % len(WORDS)] for step in range(1, 5 + index % 7))
            writer.writerow([f"{text} no. {index}", ("negative", "positive")[index * 7 % 3 % 2]])
    return folder


def made(home: Path, name: str, *overrides: str) -> Path:
    request = CompressionRequest(
        model=str(home / "model"),
        data=DataSpec(str(home / "reviews.csv")),
        recipe="int8",
        # A gate that everything passes, and quick figures: what is asked here is what ships.
        overrides=("verify.latency_rows=5", "verify.gate={max_drop: 1.0, min_agreement: 0.0}", *overrides),
        target="cpu",
        output=home / name,
        work=None,
        reference=None,
    )
    return compression.compress(request, progress=Progress()).bundle


@pytest.fixture
def bundles(home) -> tuple[Path, Path]:
    return made(home, "first"), made(home, "second")


def test_the_same_command_gives_the_same_digest_that_needs_no_folder_of_the_user_s(bundles, home):
    first, second = map(manifest.read, bundles)
    assert first.digest == second.digest
    assert first.seal != second.seal, "what was measured differs"
    told = {name for name in first.files if first.files[name] != second.files[name]}
    assert all(name == "README.md" or name.startswith("reports/") for name in told), told
    assert (bundles[0] / "model.onnx").read_bytes() == (bundles[1] / "model.onnx").read_bytes()

    with (home / "reviews.csv").open(newline="") as handle:
        texts = [row["text"] for row in csv.DictReader(handle)]
    flips = json.loads((bundles[0] / "reports" / "report.json").read_text())["flips"]
    assert all(flip["text"] is None for flip in flips)
    for file in (file for file in bundles[0].rglob("*") if file.is_file()):
        content = file.read_bytes()
        for secret in (str(home), home.name, "secret", *texts):
            assert secret.encode() not in content, (file, secret)

    # On this computer the bundle still finds its data and its model.
    stored = baseline_store.load(bundles[0] / "reports" / "reference")
    assert provenance.heldout_rows(first, None).digest == stored.data_digest
    assert first.baseline["digest"] == Checkpoint(home / "model").digest
