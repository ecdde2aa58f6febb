from __future__ import annotations

import pytest
from corpora import ListedDocuments

from edgeroberta.data.document_split import SplitReader, is_heldout
from edgeroberta.errors import DataError

TEXTS = [f"Text number {number} of them" for number in range(4000)]


def test_the_share_of_different_texts_is_held_out_and_copies_are_on_one_side():
    held = [is_heldout(text, 0.1) for text in TEXTS]
    assert 330 < sum(held) < 470  # 400, with a deviation of 19
    assert held == [is_heldout(f"  {text.upper()}\n", 0.1) for text in TEXTS]
    assert not any(is_heldout(text, 0) for text in TEXTS)
    assert all(is_heldout(text, 1) for text in TEXTS)


def test_a_reader_gives_each_text_once_and_keeps_held_out_ones_up_to_its_room():
    counts: list[int] = []
    reader = SplitReader(ListedDocuments(TEXTS, 1000), counts.append, 0.1, room=500)
    training = [text for chunk in reader.training() for text in chunk]
    assert training == [text for text in TEXTS if not is_heldout(text, 0.1)]
    assert sum(map(len, reader.heldout)) <= 500 < sum(map(len, reader.heldout)) + 30
    assert all(is_heldout(text, 0.1) for text in reader.heldout)
    assert (reader.documents, counts) == (4000, [1000] * 4)


def test_no_documents_are_refused_and_no_corpus_is_nothing():
    with pytest.raises(DataError) as caught:
        list(SplitReader(ListedDocuments([]), len, 0.1, room=9).training())  # type: ignore[arg-type]
    assert (caught.value.where, caught.value.what) == ("texts.txt", "no text in here")
    assert list(SplitReader(None, len, 0.1, room=9).training()) == []  # type: ignore[arg-type]
