from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeroberta.data.documents import DocumentList
from edgeroberta.errors import DataError, RecipeError
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.training import packing
from edgeroberta.training.blocks import PackedCorpus, Packing
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
) -> PackedCorpus:
    return packing.pack(
        DocumentList(texts),
        model,
        folder=folder / "blocks",
        settings=settings,
        length=length,
        seed=seed,
        progress=Progress(),
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


def test_one_document_cannot_be_held_out(model, tmp_path):
    with pytest.raises(DataError, match="1 document, of which none can be held out") as caught:
        packed(model, tmp_path, ["a film"] * 9)
    assert caught.value.code == "data.too-few-documents"


@pytest.mark.parametrize("way", list(Packing))
def test_the_same_seed_packs_the_same(model, tmp_path, way):
    settings = PackingSettings(packing=way)
    first, again = (packed(model, tmp_path / name, settings=settings, length=48) for name in "ab")
    assert first.train.ids.tolist() == again.train.ids.tolist()
    assert first.train.lengths.max() <= 48
    if way.paired:
        assert first.train.next_sentence.tolist() == again.train.next_sentence.tolist()
        assert set(first.train.next_sentence.tolist()) == {0, 1}
