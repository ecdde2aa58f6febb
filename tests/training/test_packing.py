from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgeroberta.data.documents import DocumentList
from edgeroberta.errors import DataError, RecipeError
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.training import document_mixing, packing, tokenized_documents
from edgeroberta.training.blocks import Blocks, PackedCorpus, Packing
from edgeroberta.training.packing import PackingSettings

TEXTS = [f"The film number {n} is good. I saw it {n} times! Was it long?" for n in range(60)]
IN_ORDER = PackingSettings(shuffle_buffer=0)


@pytest.fixture
def model(tiny_mask_checkpoint) -> Checkpoint:
    return Checkpoint(tiny_mask_checkpoint)


def packed(
    model: Checkpoint,
    folder: Path,
    texts: list[str] = TEXTS,
    settings: PackingSettings = IN_ORDER,
    length: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> PackedCorpus:
    return packing.pack(
        DocumentList(texts),
        model,
        folder=folder / "blocks",
        settings=settings,
        length=length,
        seed=seed,
        progress=progress or Progress(),
    )


def test_blocks_are_filled_with_whole_sentences_across_documents(model, tmp_path):
    found = packed(model, tmp_path)
    assert found.documents == 60
    assert found.bytes == sum(map(len, TEXTS))
    assert found.train.longest <= 32
    assert found.train.ids.dtype == np.uint16
    assert isinstance(found.train.ids.base, np.memmap)
    starts, stops = found.train.offsets[:-1], found.train.offsets[1:]
    assert set(found.train.ids[starts]) == {0}
    assert set(found.train.ids[stops - 1]) == {2}
    inside = found.train.ids.copy()
    inside[starts], inside[stops - 1] = 99, 99
    assert (inside == 2).any()  # the separator between two documents
    assert found.train.next_sentence is None


def test_a_share_of_the_documents_is_held_out_and_copies_stay_together(model, tmp_path):
    found = packed(model, tmp_path, [*TEXTS, *TEXTS], PackingSettings(heldout=0.2))
    total = found.train.lengths.sum() + found.heldout.lengths.sum()
    assert 0.1 < found.heldout.lengths.sum() / total < 0.3


def test_copies_do_not_count_for_how_many_documents_are_held_out(model, tmp_path):
    """Of 21 texts that are there 40 times, two are a tenth; 20 would leave one to learn from."""
    found = packed(model, tmp_path, TEXTS[:21] * 40)
    share = found.heldout.lengths.sum() / (found.train.lengths.sum() + found.heldout.lengths.sum())
    assert share == pytest.approx(2 / 21, abs=0.02)


@pytest.mark.parametrize("way", [Packing.SEGMENT_PAIRS, Packing.SENTENCE_PAIRS])
def test_a_document_as_long_as_a_window_has_another_one_to_pair_with(model, tmp_path, monkeypatch, way):
    monkeypatch.setattr(document_mixing, "_WINDOW", 50)
    found = packed(
        model, tmp_path, [" ".join(TEXTS[n : n + 8]) for n in range(0, 56, 2)], PackingSettings(packing=way)
    )
    assert found.train.next_sentence is not None
    assert 0 < found.train.next_sentence.mean() < 1


def test_blocks_that_are_there_are_used(model, tmp_path, monkeypatch):
    first = packed(model, tmp_path)
    monkeypatch.setattr(packing, "_write", lambda *arguments: pytest.fail("written again"))
    again = packed(model, tmp_path)
    assert again.train.digest == first.train.digest != first.heldout.digest
    assert (again.documents, again.tokens, again.bytes) == (first.documents, first.tokens, first.bytes)


def test_other_settings_and_seeds_pack_anew(model, tmp_path):
    first = packed(model, tmp_path).train.digest
    assert packed(model, tmp_path, seed=1).train.digest != first
    longer = packed(model, tmp_path, length=64)
    assert longer.train.digest != first
    assert longer.train.longest > 32


def test_sequences_longer_than_the_model_are_refused(model, tmp_path):
    with pytest.raises(RecipeError, match="sequences of 600 tokens, and the model takes 512"):
        packed(model, tmp_path, length=600)


@pytest.mark.parametrize(
    ("texts", "way", "what"),
    [
        (["a film"] * 9, Packing.FULL_SENTENCES, "1 document, of which none can be held out"),
        (["A film", "a  FILM"], Packing.DOC_SENTENCES, "1 document, of which none can be held out"),
        (
            ["a", "b", "c"],
            Packing.SEGMENT_PAIRS,
            "3 different documents, of which none can be held out, where 4 are needed for pairs of two",
        ),
        (
            [f"a film {n}" for n in range(99)],
            Packing.SENTENCE_PAIRS,
            "no document has two sentences, so there are no sentence-pairs",
        ),
        ([f"a film {n}" for n in range(99)], Packing.SEGMENT_PAIRS, "no document has two sentences"),
    ],
)
def test_too_few_documents_are_refused_and_leave_nothing_behind(model, tmp_path, texts, way, what):
    with pytest.raises(DataError, match=what) as caught:
        packed(model, tmp_path, texts, PackingSettings(packing=way), length=64)
    assert caught.value.code == "data.too-few-documents"
    assert not (tmp_path / "blocks").exists()
    assert packed(model, tmp_path).documents == 60  # what was left of the failed one is no obstacle


@pytest.mark.parametrize(
    "fields",
    [{"heldout": 0}, {"heldout": 0.6}, {"shuffle_buffer": -1}, {"packing": "words"}, {"documents": "lines"}],
)
def test_settings_that_make_no_sense_are_refused(fields):
    with pytest.raises(ValidationError):
        PackingSettings.model_validate(fields)


def test_a_killed_packing_starts_anew(model, tmp_path):
    class Kill(Progress):
        def bar(self, label: str, *arguments: Any, **options: Any) -> Any:
            if label == "pack":
                raise KeyboardInterrupt
            return super().bar(label, *arguments, **options)

    with pytest.raises(KeyboardInterrupt):
        packed(model, tmp_path, progress=Kill())
    assert [path.name for path in tmp_path.iterdir()] == [".partial-blocks"]
    found = packed(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["blocks"]
    assert sorted(path.name for path in (tmp_path / "blocks").iterdir()) == [
        "heldout-ids.bin",
        "heldout-offsets.npy",
        "plan.json",
        "train-ids.bin",
        "train-offsets.npy",
    ]
    assert found.train.ids.tolist() == packed(model, tmp_path / "other").train.ids.tolist()


def test_special_tokens_that_are_written_in_the_text_are_told(model, tmp_path, caplog):
    packed(model, tmp_path, [*TEXTS, "It ends </s> here. And </s>"])
    assert "special tokens are written in the text (</s> 2 times) and read as such" in caplog.text


def test_the_number_of_documents_held_out_is_a_share_or_a_few_more_in_small_corpora(model, tmp_path):
    def held_out(count: int, share: float) -> int:
        texts = [f"number {n} of {count}" for n in range(count)]
        settings = PackingSettings(packing=Packing.DOC_SENTENCES, heldout=share)
        found = packed(model, tmp_path / f"{count}-{share}", texts, settings)
        assert len(found.train) + len(found.heldout) == count
        return len(found.heldout)

    assert held_out(2, 0.01) == 1
    assert held_out(50, 0.01) == 5
    assert held_out(400, 0.01) == 20
    assert held_out(400, 0.1) == 40


def test_the_share_of_hashes_is_held_out_of_many_documents(model, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenized_documents, "_COUNTED", 100)
    texts = [f"number {n}" for n in range(2000)]
    settings = PackingSettings(packing=Packing.DOC_SENTENCES, heldout=0.1)
    assert 150 < len(packed(model, tmp_path, texts, settings).heldout) < 250


def test_no_document_is_in_both_parts(model, tmp_path):
    texts = [f"number {n}" for n in range(300)] * 2
    settings = PackingSettings(packing=Packing.DOC_SENTENCES, heldout=0.2)
    found = packed(model, tmp_path, texts, settings)

    def rows(part: Blocks) -> set[tuple[int, ...]]:
        return {tuple(one.tolist()) for one in np.split(part.ids, part.offsets[1:-1])}

    assert not rows(found.train) & rows(found.heldout)
    assert len(rows(found.heldout)) == 60


def test_parts_of_any_size_give_the_same_sequences(model, tmp_path, monkeypatch):
    settings = PackingSettings(packing=Packing.DOC_SENTENCES)
    wanted = packed(model, tmp_path / "whole", settings=settings)
    monkeypatch.setattr(tokenized_documents, "_TOKENS", 50)
    monkeypatch.setattr(tokenized_documents, "_DOCUMENTS", 7)
    found = packed(model, tmp_path / "parts", settings=settings)
    assert found.train.ids.tolist() == wanted.train.ids.tolist()


@pytest.mark.parametrize("way", list(Packing))
def test_the_same_seed_packs_the_same(model, tmp_path, way):
    settings = PackingSettings(packing=way)
    first, again = (packed(model, tmp_path / name, settings=settings, length=48) for name in "ab")
    assert first.train.ids.tolist() == again.train.ids.tolist()
    assert first.train.lengths.max() <= 48
    if way.paired:
        assert first.train.next_sentence.tolist() == again.train.next_sentence.tolist()
        assert set(first.train.next_sentence.tolist()) == {0, 1}
