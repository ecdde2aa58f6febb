"""Rows for the thresholds of a cascade: drawn after all others, and in no other part."""

from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.data import DataSpec, FreshRows, Splits, load_splits
from edgeroberta.errors import DataError
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.spans import SIDES

TASK = Task(Problem.SINGLE_LABEL, ("bad", "good"))


def count(texts: int) -> int:
    return texts // 5


@pytest.fixture
def reviews(tmp_path) -> str:
    """400 reviews, a quarter of them bad; every fourth text stands twice."""
    rows = [f"film {row - (row % 4 == 3)},{'bad' if row % 4 == 0 else 'good'}" for row in range(400)]
    file = tmp_path / "reviews.csv"
    file.write_text("text,label\n" + "\n".join(rows) + "\n")
    return str(file)


def split(data: str, fresh: FreshRows | None = None, **fields: str) -> Splits:
    return load_splits(DataSpec(data, **fields), task=TASK, fresh=fresh)  # type: ignore[arg-type]


def test_the_other_parts_stay_what_they_are(reviews):
    without, found = split(reviews), split(reviews, FreshRows(count))
    assert found.heldout.texts == without.heldout.texts
    assert found.validation.texts == without.validation.texts
    assert sorted([*found.train.texts, *found.fresh.texts]) == sorted(without.train.texts)
    assert without.fresh is None
    assert len(without.train.texts) > len(found.train.texts)


def test_copies_of_a_text_stay_together_and_labels_keep_their_proportions(reviews):
    found = split(reviews, FreshRows(count))
    assert found.fresh is not None
    assert set(found.fresh.texts).isdisjoint(found.train.texts)
    different = len(set(found.train.texts) | set(found.fresh.texts))
    assert len(set(found.fresh.texts)) == different // 5
    assert np.bincount(found.fresh.labels)[0] / len(found.fresh) == pytest.approx(0.25, abs=0.02)


def test_they_count_in_the_digest_of_all_but_not_in_that_of_the_training_rows(reviews):
    found = split(reviews, FreshRows(count))
    assert found.fresh is not None
    again = Splits(found.train, found.validation, found.heldout, None, found.labels)
    assert again.training_digest == found.training_digest
    assert again.digest != found.digest


def test_unlabelled_texts_do_not_bring_them_back(reviews, tmp_path):
    (tmp_path / "more.txt").write_text("\n".join(f"film {row}" for row in range(600)) + "\n")
    found = split(reviews, FreshRows(count), unlabelled=str(tmp_path / "more.txt"))
    assert found.fresh is not None
    assert found.unlabelled is not None
    streamed = {text for part in found.unlabelled.chunks() for text in part.texts}
    assert streamed.isdisjoint(found.fresh.texts)
    assert "film 500" in streamed


def test_documents_of_questions_stay_together(tmp_path):
    rows = [
        f'{{"context": "page {page} says yes", "question": "what {number}?", "answers":'
        f' {{"text": ["yes"], "answer_start": [{len(f"page {page} says ")}]}}}}'
        for page in range(60)
        for number in range(5)
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(rows) + "\n")
    task = Task(Problem.SPANS, SIDES, pair=True)
    asked: list[int] = []

    def seen(questions: int) -> int:
        asked.append(questions)
        return count(questions)

    found = load_splits(DataSpec(str(file)), task=task, fresh=FreshRows(seen))
    assert found.fresh is not None
    assert asked == [len(found.train) + len(found.fresh)]
    assert set(found.fresh.pairs or ()).isdisjoint(found.train.pairs or ())
    assert len(found.fresh) == len(set(found.fresh.pairs or ())) * 5


def test_texts_of_a_file_come_in_their_place(reviews, tmp_path):
    """Those that other parts have are left out, and no training row is set aside."""
    (tmp_path / "new.txt").write_text("\n".join(f"film {row}" for row in range(390, 700)) + "\n")
    asked: list[int] = []
    fresh = FreshRows(lambda texts: asked.append(texts) or texts, str(tmp_path / "new.txt"))
    found, without = split(reviews, fresh), split(reviews)
    assert found.train.texts == without.train.texts
    assert found.fresh is not None
    assert found.fresh.labels is None
    known = {*found.train.texts, *found.validation.texts, *found.heldout.texts}
    assert set(found.fresh.texts) == {f"film {row}" for row in range(390, 700)} - known
    assert asked == [len(found.fresh)]


def test_too_few_texts_of_a_file_are_refused(reviews, tmp_path):
    (tmp_path / "new.txt").write_text("another film\n")

    def refuse(texts: int) -> int:
        raise DataError(f"{texts} are too few")

    with pytest.raises(DataError, match="1 are too few"):
        split(reviews, FreshRows(refuse, str(tmp_path / "new.txt")))
