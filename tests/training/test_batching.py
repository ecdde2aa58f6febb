from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeroberta.training import batching, prediction
from edgeroberta.training.batching import Tokens

LENGTHS = np.random.default_rng(0).integers(3, 60, size=1000)


def flat(batches: list[batching.Indices]) -> list[int]:
    return [int(row) for batch in batches for row in batch]


def test_a_batch_is_padded_on_the_right_to_its_longest_text():
    tokens = Tokens.pack([[0, 7, 2], [0, 2], [0, 8, 9, 10, 2]], pad_id=1)
    ids, mask = tokens.batch(np.array([1, 0]))
    assert ids.tolist() == [[0, 2, 1], [0, 7, 2]]
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert (ids.dtype, mask.dtype) == (np.int64, np.int64)


def test_a_batch_can_be_padded_to_a_multiple_but_not_beyond_the_longest_of_all():
    tokens = Tokens.pack([[0, 7, 2], [0, 2], [0] * 11], pad_id=1)
    ids, mask = tokens.batch(np.array([1, 0]), multiple=4)
    assert ids.tolist() == [[0, 2, 1, 1], [0, 7, 2, 1]]
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert tokens.batch(np.array([0, 2]), multiple=4)[0].shape == (2, 11)


def test_tokens_are_those_of_the_device_and_cut_to_the_limit(tiny_checkpoint):
    from edgeroberta.runtime.tokenizer import TextTokenizer

    texts = ["a great film", "word " * 50, ""]
    tokens = batching.tokenize(tiny_checkpoint, texts, max_length=20)
    wanted = [encoding.ids for encoding in TextTokenizer.open(tiny_checkpoint, 20).encode(texts)]
    for row, ids in enumerate(wanted):
        assert tokens.batch(np.array([row]))[0][0].tolist() == ids.tolist()
    assert tokens.lengths.max() == 20
    assert tokens.pad_id == 1


def test_the_models_own_limit_holds_where_it_is_lower(tiny_checkpoint):
    tokens = batching.tokenize(tiny_checkpoint, ["word " * 900], max_length=100_000)
    assert tokens.lengths.tolist() == [512]


def test_pairs_are_tokenized_together(tiny_checkpoint):
    tokens = batching.tokenize(tiny_checkpoint, [("a film", "a plot")], max_length=32)
    ids = tokens.batch(np.array([0]))[0][0].tolist()
    assert ids[0] == 0
    assert ids.count(2) == 3  # <s> a </s></s> b </s>


def test_digests_differ_where_tokens_do():
    digests = {
        Tokens.pack(sequences, pad_id=1).digest for sequences in ([[1, 2], [3]], [[1], [2, 3]], [[1, 2], [4]])
    }
    assert len(digests) == 3
    assert Tokens.pack([[1, 2]], pad_id=1).digest == Tokens.pack([np.array([1, 2])], pad_id=1).digest


@given(st.integers(1, 400), st.integers(1, 50), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_an_epoch_holds_every_text_once(rows, batch_size, seed, epoch):
    batches = batching.shuffled(LENGTHS[:rows], batch_size=batch_size, seed=seed, epoch=epoch)
    assert sorted(flat(batches)) == list(range(rows))
    assert sorted(len(batch) for batch in batches)[1:] == [batch_size] * (len(batches) - 1)


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[int]:
        return flat(batching.shuffled(LENGTHS, batch_size=16, seed=seed, epoch=epoch))

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_batches_hold_texts_of_similar_length():
    batches = batching.shuffled(LENGTHS, batch_size=16, seed=0, epoch=0)
    padded = sum(len(batch) * LENGTHS[batch].max() for batch in batches)
    assert padded / LENGTHS.sum() < 1.05  # in random batches: 1.8


def test_batches_come_in_no_order_of_length():
    longest = [int(LENGTHS[b].max()) for b in batching.shuffled(LENGTHS, batch_size=16, seed=0, epoch=0)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_inference_batches_hold_every_text_once_longest_first():
    batches = batching.by_length(LENGTHS, batch_size=64)
    assert sorted(flat(batches)) == list(range(1000))
    assert list(LENGTHS[flat(batches)]) == sorted(LENGTHS, reverse=True)


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_processes_share_a_batch_without_loss_or_repeat(processes):
    rows = np.array([4, 8, 15, 16, 23])
    parts = [batching.process_share(rows, rank=rank, processes=processes) for rank in range(processes)]
    assert sorted(flat(parts)) == rows.tolist()


def two_texts_a_row() -> Tokens:
    return Tokens.pack([[0, 5, 2], [0, 2], [0, 7, 8, 9, 2], [0, 6, 2]], pad_id=1, units=2)


def test_the_texts_of_a_row_are_in_one_batch_side_by_side():
    tokens = two_texts_a_row()
    assert (tokens.count, len(tokens)) == (2, 4)
    assert tokens.row_lengths.tolist() == [3, 5]
    batch = prediction.to_device(tokens, np.array([1, 0]), torch.device("cpu"))
    assert batch.rows.tolist() == [1, 0]
    assert batch.texts.tolist() == [2, 3, 0, 1]
    assert batch.ids.shape == (4, 5)
    values = torch.arange(4.0)[:, None]
    assert batch.by_row(values)[..., 0].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert batch.per_row(torch.arange(4.0)).tolist() == [0.5, 2.5]


def test_rows_of_one_and_of_two_texts_may_be_mixed():
    tokens = replace(two_texts_a_row(), rows=np.array([0, 2, 3, 4]))
    batch = prediction.to_device(tokens, np.array([2, 0]), torch.device("cpu"))
    assert batch.texts.tolist() == [3, 0, 1]
    assert batch.by_row(torch.tensor([[3.0], [1.0], [2.0]]))[..., 0].tolist() == [[3.0, 0.0], [1.0, 2.0]]


def test_tokens_of_pairs_have_another_digest_than_those_of_texts():
    tokens = two_texts_a_row()
    assert tokens.digest != replace(tokens, rows=None).digest
