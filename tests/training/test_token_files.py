from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeroberta.data import DataSpec, Rows, streams
from edgeroberta.progress import Progress
from edgeroberta.training import batching, token_files
from edgeroberta.training.batching import Encoder, Tokens

TRAIN = Rows(("a good film", "bad"), None, np.array([1, 0]), "train.csv")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch) -> None:
    monkeypatch.setattr(token_files, "CHUNK", 3)
    monkeypatch.setattr(batching, "_BLOCK", 7)


@pytest.fixture
def encoder(tiny_checkpoint) -> Encoder:
    return Encoder.open(tiny_checkpoint, max_length=16)


@pytest.fixture
def more(tmp_path) -> streams.TextStream:
    (tmp_path / "more.txt").write_text("".join(f"text {i} {'very ' * (i % 9)}long\n" for i in range(20)))
    spec = DataSpec("-", unlabelled=str(tmp_path / "more.txt"))
    return streams.load(spec, pair=False, without=())


def written(encoder: Encoder, parts: list[object], folder: Path) -> Tokens:
    return token_files.tokenize(encoder, parts, folder=folder / "tokens", progress=Progress())  # type: ignore[arg-type]


def test_tokens_in_files_are_those_in_memory(encoder, more, tiny_checkpoint, tmp_path):
    texts = [text for part in (TRAIN, *more.chunks()) for text in part.inputs()]
    wanted = batching.tokenize(tiny_checkpoint, texts, max_length=16)
    found = written(encoder, [TRAIN, more], tmp_path)
    assert len(found) == 22
    assert found.offsets.tolist() == wanted.offsets.tolist()
    assert found.ids.tolist() == wanted.ids.tolist()
    assert found.digest == wanted.digest
    rows = np.array([21, 0, 9])
    for ours, theirs in zip(found.batch(rows), wanted.batch(rows), strict=True):
        assert ours.tolist() == theirs.tolist()


def test_the_ids_are_mapped_and_not_held(encoder, more, tmp_path):
    assert isinstance(written(encoder, [more], tmp_path).ids.base, np.memmap)


def test_files_that_are_there_are_used(encoder, more, tmp_path, monkeypatch):
    first = written(encoder, [more], tmp_path).digest

    def refuse(*arguments: object) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr(token_files, "_write", refuse)
    assert written(encoder, [more], tmp_path).digest == first


def test_other_texts_or_another_length_are_tokenized_anew(encoder, more, tiny_checkpoint, tmp_path):
    assert len(written(encoder, [more], tmp_path)) == 20
    assert len(written(encoder, [TRAIN], tmp_path)) == 2
    assert written(Encoder.open(tiny_checkpoint, max_length=4), [TRAIN], tmp_path).lengths.max() == 4


def test_any_function_can_be_the_tokenizer(more, tmp_path):
    encoder = Encoder(lambda inputs: [[7] * len(text.split()) for text in inputs], pad_id=0, digest="words")
    tokens = written(encoder, [more], tmp_path)
    assert tokens.lengths[:3].tolist() == [3, 4, 5]
    assert tokens.batch(np.array([0, 1]))[0].tolist() == [[7, 7, 7, 0], [7, 7, 7, 7]]


def test_pairs_are_tokenized_together(encoder, tmp_path):
    pairs = Rows(("a film",), ("a plot",), None, "x")
    assert written(encoder, [pairs], tmp_path).ids.tolist().count(2) == 3  # <s> a </s></s> b </s>


def test_places_are_kept_where_they_are_asked_for(encoder, more, tmp_path):
    texts = (*TRAIN.texts, *(text for rows in more.chunks() for text in rows.texts))
    wanted = batching.encoded(encoder, texts, places=True)
    found = token_files.tokenize(
        encoder, [TRAIN, more], folder=tmp_path / "tokens", progress=Progress(), places=True
    )
    np.testing.assert_array_equal(found.located, wanted.located)
    np.testing.assert_array_equal(found.ids, wanted.ids)
    assert found.limit == wanted.limit == 16
    # tokens kept without places are not taken for those with
    assert written(encoder, [TRAIN, more], tmp_path).places is None
