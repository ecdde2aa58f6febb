from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.training import sequences
from edgeroberta.training.batching import first_windows
from edgeroberta.training.sequences import Sequences, Template, Window

ROBERTA = Template((0,), (2,), ((0,), (2, 2), (2,)))


def window(*documents: list[list[int]]) -> Window:
    """Make a window of documents, each a list of sentences."""
    lengths = np.array([sum(map(len, document)) for document in documents])
    ids = np.array([token for document in documents for sentence in document for token in sentence])
    ends = np.zeros(len(ids), bool)
    ends[np.cumsum([len(sentence) for document in documents for sentence in document]) - 1] = True
    return Window(ids, first_windows(lengths), ends)


def many(documents: int = 300, seed: int = 0) -> Window:
    """Make documents whose tokens tell where they are: 1,000 for each document, 1 for each token."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(documents):
        sizes = random.integers(1, 12, random.integers(2, 12))
        tokens = iter(range(1000 * (number + 1), 1000 * (number + 2)))
        made.append([[next(tokens) for _ in range(size)] for size in sizes])
    return window(*made)


def rows(found: Sequences) -> list[list[int]]:
    return [part.tolist() for part in np.split(found.ids, np.cumsum(found.lengths)[:-1])]


def cut(packer: sequences.Packer, made: Window, length: int, seed: int = 0) -> Sequences:
    return packer(made, ROBERTA, length, np.random.default_rng(seed))


def test_full_sentences_go_on_across_documents_behind_a_separator():
    made = window([[10, 11], [12, 13, 14]], [[20, 21]], [[30, 31, 32, 33], [34]])
    found = rows(cut(sequences.full_sentences, made, 10))
    assert found == [[0, 10, 11, 12, 13, 14, 2, 20, 21, 2], [0, 30, 31, 32, 33, 34, 2]]


def test_a_separator_between_documents_counts():
    made = window([[10, 11]], [[20, 21]])
    assert rows(cut(sequences.full_sentences, made, 7)) == [[0, 10, 11, 2, 20, 21, 2]]
    assert rows(cut(sequences.full_sentences, made, 6)) == [[0, 10, 11, 2], [0, 20, 21, 2]]


def test_doc_sentences_do_not_go_on_across_documents():
    made = window([[10, 11], [12, 13, 14]], [[20, 21]], [[30, 31, 32, 33], [34]])
    found = rows(cut(sequences.doc_sentences, made, 10))
    assert found == [[0, 10, 11, 12, 13, 14, 2], [0, 20, 21, 2], [0, 30, 31, 32, 33, 34, 2]]
    assert rows(cut(sequences.doc_sentences, made, 6))[-2:] == [[0, 30, 31, 32, 33, 2], [0, 34, 2]]


@pytest.mark.parametrize("packer", [sequences.full_sentences, sequences.doc_sentences])
@pytest.mark.parametrize("length", [8, 16, 33, 512])
def test_no_token_is_lost_or_twice_and_sequences_are_full(packer, length):
    made = many()
    found = cut(packer, made, length)
    assert found.lengths.max() <= length
    text = found.ids[found.ids >= 1000]
    assert text.tolist() == made.ids.tolist()
    if packer is sequences.full_sentences:
        assert (found.lengths[:-1] + 12 > length).all()  # no sentence more would have fitted in


def test_sentences_longer_than_a_sequence_are_cut():
    made = window([list(range(100, 120))])
    assert rows(cut(sequences.full_sentences, made, 10)) == [
        [0, *range(100, 108), 2],
        [0, *range(108, 116), 2],
        [0, *range(116, 120), 2],
    ]


def parts(row: list[int]) -> tuple[list[int], list[int]]:
    assert row[0] == 0
    assert row[-1] == 2
    middle = row.index(2)
    assert row[middle + 1] == 2
    return row[1:middle], row[middle + 2 : -1]


@pytest.mark.parametrize("packer", [sequences.segment_pairs, sequences.sentence_pairs])
@pytest.mark.parametrize("length", [24, 40, 128])
def test_half_of_the_second_parts_follow_the_first_and_the_others_are_of_another_document(packer, length):
    made = many()
    found = cut(packer, made, length)
    labels = found.next_sentence
    assert labels is not None
    assert len(labels) == len(found.lengths)
    assert found.lengths.max() <= length
    for row, follows in zip(rows(found), labels.tolist(), strict=True):
        first, second = parts(row)
        assert first == list(range(first[0], first[0] + len(first)))
        assert second == list(range(second[0], second[0] + len(second)))
        if follows:
            assert second[0] == first[-1] + 1
        else:
            assert second[0] // 1000 != first[0] // 1000
    # Of BERT's pairs those at the end of a document, where nothing follows, are always of two.
    assert 0.3 < labels.mean() < 0.6


def test_labels_are_even_in_long_documents():
    made = many(documents=4)
    long = Window(
        np.tile(made.ids, 50), first_windows(np.full(4, 50 * len(made.ids) // 4)), np.tile(made.ends, 50)
    )
    for packer in (sequences.segment_pairs, sequences.sentence_pairs):
        labels = cut(packer, long, 32).next_sentence
        assert labels is not None
        assert abs(labels.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(labels)) + 0.01


@pytest.mark.parametrize("packer", [sequences.segment_pairs, sequences.sentence_pairs])
def test_all_text_is_a_first_part_or_follows_one_and_none_is_lost(packer):
    made = many()
    found = cut(packer, made, 64)
    labels = found.next_sentence
    assert labels is not None
    read = []
    for row, follows in zip(rows(found), labels.tolist(), strict=True):
        first, second = parts(row)
        read += [*first, *second] if follows else first
    assert read == made.ids.tolist()


def test_a_tenth_of_the_segment_pairs_is_short():
    found = cut(sequences.segment_pairs, window(*[[[n, n + 1]] * 400 for n in range(10, 90, 2)]), 128)
    short = np.mean(found.lengths < 110)
    assert 0.05 < short < 0.2


def test_pairs_are_others_with_another_seed_and_the_same_with_the_same():
    made = many()
    for packer in (sequences.segment_pairs, sequences.sentence_pairs):
        assert rows(cut(packer, made, 64)) == rows(cut(packer, made, 64))
        assert rows(cut(packer, made, 64)) != rows(cut(packer, made, 64, seed=1))


def test_special_tokens_are_those_of_the_tokenizer(tiny_mask_checkpoint, tiny_bert_checkpoint):
    assert Template.of(tokenizerfiles.read(tiny_mask_checkpoint)[0]) == ROBERTA
    tokenizer = tokenizerfiles.read(tiny_bert_checkpoint)[0]
    first, last = (tokenizer.token_to_id(text) for text in ("[CLS]", "[SEP]"))
    bert = Template((first,), (last,), ((first,), (last,), (last,)))
    assert Template.of(tokenizer) == bert
    assert bert.separator == last
    assert bert.room(32, paired=True) == 29
    assert Checkpoint(tiny_bert_checkpoint).separator_id == last


def test_a_tokenizer_without_separator_is_refused():
    with pytest.raises(CheckpointError, match="puts no separator behind a text"):
        Template.of(Tokenizer(models.BPE(vocab={"a": 0}, merges=[])))
