from __future__ import annotations

import numpy as np

from edgeroberta.training import document_mixing
from edgeroberta.training.document_mixing import DocumentTokens, mixed, windows


def order(found: list[DocumentTokens]) -> list[int]:
    ids = [part.tolist() for one in found for part in np.split(one.ids, np.cumsum(one.lengths)[:-1])]
    assert all(len(set(each)) == 1 for each in ids)
    return [each[0] for each in ids]


def numbered(count: int, each: int = 3) -> list[DocumentTokens]:
    return [
        DocumentTokens(np.repeat(np.arange(start, start + 10), each), np.full(10, each))
        for start in range(0, count, 10)
    ]


def test_documents_are_mixed_within_the_buffer_and_none_is_lost():
    found = order(list(mixed(numbered(100), 30, np.random.default_rng(0))))
    assert sorted(found) == list(range(100))
    assert found != list(range(100))
    assert sorted(found[:30]) == list(range(30))


def test_no_buffer_keeps_the_order():
    assert order(list(mixed(numbered(50), 0, np.random.default_rng(0)))) == list(range(50))


def test_the_same_seed_mixes_alike():
    found = [order(list(mixed(numbered(60), 60, np.random.default_rng(seed)))) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_documents_are_gathered_into_parts_of_which_none_has_one_alone(monkeypatch):
    monkeypatch.setattr(document_mixing, "_WINDOW", 50)
    one = DocumentTokens(np.array([99]), np.array([1]))
    for tail in ([], [one], [one, one]):
        found = list(windows([*numbered(40, each=4), *tail]))
        assert min(len(part.lengths) for part in found) > 1
        assert sum(len(part.lengths) for part in found) == 40 + len(tail)
    assert [len(part.lengths) for part in windows([one])] == [1]
    assert list(windows([])) == []


def test_a_document_of_a_whole_part_is_not_left_alone_in_it(monkeypatch):
    """Pairs take their second part from another document of the same part."""
    monkeypatch.setattr(document_mixing, "_WINDOW", 50)
    books = [DocumentTokens(np.full(60, number), np.array([60])) for number in range(5)]
    found = list(windows([*books, *numbered(20)]))
    assert min(len(part.lengths) for part in found) > 1
    assert sum(len(part.lengths) for part in found) == 25


def test_parts_without_documents_are_passed_over():
    nothing = DocumentTokens(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert list(windows([nothing, nothing])) == []
    (found,) = windows([nothing, *numbered(10), nothing])
    assert len(found.lengths) == 10


def test_small_parts_of_the_buffer_are_handed_on_at_a_time(monkeypatch):
    monkeypatch.setattr(document_mixing, "_WINDOW", 7)
    found = list(mixed(numbered(100), 100, np.random.default_rng(0)))
    assert len(found) > 20
    assert sorted(order(found)) == list(range(100))
