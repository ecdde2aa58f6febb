"""Rows of words with tags, from every kind of file, to label ids and places."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.data import DataSpec, Rows, infer_task, load_heldout, load_splits
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.outputs import WordTags

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
TASK = Task(Problem.TOKENS, LABELS)
CONLL = """-DOCSTART- -X- O O

Ann NNP I-NP B-PER
Lee NNP I-NP I-PER
saw VBD I-VP O
Rome NNP I-NP B-LOC
. . O O

-DOCSTART- -X- O O

No UH O O
"""


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _write(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(text.encode())
    return name


def _jsonl(name: str, *rows: dict[str, object]) -> str:
    return _write(name, "".join(json.dumps(row) + "\n" for row in rows))


def _read(data: str, task: Task = TASK, **how: str) -> Rows:
    return load_heldout(DataSpec(data, eval_data=data, **how), task)


def _tags(rows: Rows, labels: tuple[str, ...] = LABELS) -> list[list[tuple[str, str]]]:
    """Return each row's words, cut out of its text, with their tags."""
    found = []
    for row, text in enumerate(rows.texts):
        ids, places = rows.labels.part(row)
        assert places[:, 2].tolist() == list(range(len(ids)))
        found.append(
            [(text[start:end], labels[i]) for i, (start, end, _) in zip(ids, places.tolist(), strict=True)]
        )
    return found


FIRST = [("Ann", "B-PER"), ("Lee", "I-PER"), ("saw", "O"), ("Rome", "B-LOC"), (".", "O")]


def test_conll_columns_are_read_into_joined_texts_and_places():
    rows = _read(_write("x.conll", CONLL))
    assert rows.texts == ("Ann Lee saw Rome .", "No")
    assert _tags(rows) == [FIRST, [("No", "O")]]
    assert isinstance(rows.labels, WordTags)
    assert rows.labels.values.dtype == np.int64
    assert rows.labels.labelled == "first"


def test_aligned_files_are_read_by_line():
    folder = Path("snips")
    for part in ("train", "valid", "test"):
        _write(f"snips/{part}/seq.in", f"Ann Lee saw Rome . \n{part} No\n")
        _write(f"snips/{part}/seq.out", "B-PER I-PER O B-LOC O \nO O\n")
    splits = load_splits(DataSpec(str(folder)), task=TASK)
    assert _tags(splits.heldout) == [FIRST, [("test", "O"), ("No", "O")]]
    assert [len(part) for part in (splits.train, splits.validation, splits.heldout)] == [1, 1, 2]
    assert splits.leaked == 1
    assert _tags(_read("snips/test")) == _tags(_read("snips/test/seq.in")) == _tags(splits.heldout)


def test_labels_are_inferred_o_first_and_types_together():
    assert infer_task(DataSpec(_write("x.conll", CONLL))) == TASK
