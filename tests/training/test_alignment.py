from __future__ import annotations

import json
import shutil
from pathlib import Path

from edgeroberta.data.rows import Rows
from edgeroberta.training import alignment

TEXTS = ["The film is great.", "Boring!", "A long and lovely story about music and a dog."]
PARTS = [Rows(tuple(TEXTS[:1]), None, None, "a.csv"), Rows(tuple(TEXTS[1:]), None, None, "b.csv")]


def copy(folder: Path, to: Path, **fields: object) -> Path:
    shutil.copytree(folder, to)
    config = to / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
    return to


def test_the_same_files_are_the_same_tokenizer(tiny_checkpoint, tmp_path):
    assert alignment.same_tokenizer(tiny_checkpoint, tiny_checkpoint)
    assert alignment.same_tokenizer(tiny_checkpoint, copy(tiny_checkpoint, tmp_path / "a"))
    spaced = copy(tiny_checkpoint, tmp_path / "b", add_prefix_space=True)
    assert not alignment.same_tokenizer(tiny_checkpoint, spaced)


def test_another_tokenizer_is_not_the_same(tiny_checkpoint, tiny_xlmr_checkpoint):
    assert not alignment.same_tokenizer(tiny_checkpoint, tiny_xlmr_checkpoint)
    found = alignment.same_tokens((tiny_checkpoint, 128), (tiny_xlmr_checkpoint, 128), PARTS)
    assert not found.all()


def test_texts_align_by_characters_whatever_the_ids(tiny_checkpoint, tmp_path):
    other = copy(tiny_checkpoint, tmp_path / "other")
    file = other / "tokenizer.json"
    fields = json.loads(file.read_text())
    vocabulary = fields["model"]["vocab"]
    names = sorted((name for name in vocabulary if vocabulary[name] > 10), key=vocabulary.__getitem__)
    ids = [vocabulary[name] for name in names]
    vocabulary.update(zip(names, ids[::-1], strict=True))
    file.write_text(json.dumps(fields))
    assert not alignment.same_tokenizer(tiny_checkpoint, other)
    assert alignment.same_tokens((tiny_checkpoint, 128), (other, 128), PARTS).all()


def test_texts_that_one_of_them_cuts_do_not_align(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(alignment, "_CHUNK", 1)
    found = alignment.same_tokens((tiny_checkpoint, 128), (tiny_checkpoint, 12), PARTS)
    assert found.tolist() == [True, True, False]


def test_a_tokenizer_without_its_file_aligns_with_none(make_checkpoint, tiny_checkpoint, tmp_path):
    assert not alignment.same_tokens((tiny_checkpoint, 128), (tmp_path, 128), PARTS).any()
