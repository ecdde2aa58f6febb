"""Sentences are split as texts are: seeded, copies together, rare entities in every part."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from edgeroberta.api import data as api_data
from edgeroberta.benchmark.payload import rows_jsonl, spec_of
from edgeroberta.data import DataSpec, Rows, infer_task, load_heldout, load_splits, word_coverage
from edgeroberta.runtime.encoding import Encoding
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.outputs import WordTags

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
TASK = Task(Problem.TOKENS, LABELS)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _sentences(count: int) -> list[tuple[list[str], list[str]]]:
    """Return numbered sentences: half without an entity, some of each of six types, the rarest in three."""
    kinds = ["", "", "", "", "a", "a", "b", "c"]
    found = []
    for number in range(count):
        kind = "f" if number < 3 else "e" if number < 8 else kinds[number % len(kinds)]
        tags = ["O", f"B-{kind}", f"I-{kind}"] if kind else ["O", "O", "O"]
        found.append(([f"w{number}", "x", "y"], tags))
    return found


def _conll(rows: list[tuple[list[str], list[str]]], name: str = "x.conll") -> str:
    blocks = ("".join(f"{word} {tag}\n" for word, tag in zip(*row, strict=True)) for row in rows)
    Path(name).write_text("\n".join(blocks))
    return name


def _texts(*parts: Rows) -> Counter[str]:
    return Counter(text for part in parts for text in part.texts)


def _types(rows: Rows, labels: tuple[str, ...]) -> set[str]:
    return {labels[i].partition("-")[2] for i in rows.labels.values} - {""}


def test_every_type_that_is_in_two_sentences_is_held_out_and_trained_on():
    spec = DataSpec(_conll(_sentences(200)))
    task = infer_task(spec)
    splits = load_splits(spec, task=task)
    assert len(splits.heldout) == 20
    assert len(splits.validation) == 9
    types = {"a", "b", "c", "e", "f"}
    assert [_types(part, task.labels) for part in (splits.train, splits.heldout)] == [types, types]
    assert _types(splits.validation, task.labels) >= types - {"f"}
    everything = Counter(" ".join(words) for words, _ in _sentences(200))
    assert _texts(splits.train, splits.validation, splits.heldout) == everything
    shares = Counter(len(set(splits.heldout.labels.part(row)[0].tolist())) for row in range(20))
    assert 7 <= shares[1] <= 10  # sentences without an entity are nearly half of all


def test_tags_stay_with_their_words():
    rows = {" ".join(words): tags for words, tags in _sentences(60)}
    spec = DataSpec(_conll(_sentences(60)))
    task = infer_task(spec)
    splits = load_splits(spec, task=task)
    for part in (splits.train, splits.validation, splits.heldout):
        for row, text in enumerate(part.texts):
            ids, places = part.labels.part(row)
            assert [task.labels[i] for i in ids] == rows[text]
            assert [text[start:end] for start, end, _ in places.tolist()] == text.split()


def test_the_seed_moves_the_split_and_the_held_out_rows_are_found_again():
    spec = DataSpec(_conll(_sentences(100)))
    task = infer_task(spec)
    first = load_splits(spec, task=task)
    assert load_splits(spec, task=task).digest == first.digest
    assert load_heldout(spec, task).digest == first.heldout.digest
    assert load_splits(replace(spec, seed=1), task=task).heldout.digest != first.heldout.digest


def test_copies_of_a_sentence_stay_together():
    twice = [*_sentences(40), *((["W" + words[0][1:], *words[1:]], tags) for words, tags in _sentences(40))]
    spec = DataSpec(_conll(twice))
    splits = load_splits(spec, task=infer_task(spec))
    for one, other in ((splits.train, splits.heldout), (splits.train, splits.validation)):
        assert not {text.casefold() for text in one.texts} & {text.casefold() for text in other.texts}


def test_a_training_sentence_that_is_held_out_is_left_out_and_counted(caplog):
    _conll(_sentences(60), "train.conll")
    heldout = _conll(_sentences(9), "test.conll")
    spec = DataSpec("train.conll", eval_data=heldout)
    with caplog.at_level(logging.WARNING):
        splits = load_splits(spec, task=infer_task(spec))
    assert splits.leaked == 9
    assert "train.conll: 9 rows left out, also in test.conll" in caplog.text


def test_a_limit_draws_sentences_of_every_type():
    spec = DataSpec(_conll(_sentences(300)), eval_data=_conll(_sentences(90), "t.conll"), limit=30)
    task = infer_task(spec)
    rows = load_heldout(spec, task)
    assert len(rows) == 30
    assert _types(rows, task.labels) == {"a", "b", "c", "e", "f"}


def test_other_texts_for_distillation_stay_texts():
    spec = DataSpec(_conll(_sentences(60)), unlabelled=_conll(_sentences(90)[60:], "more.conll"))
    splits = load_splits(spec, task=infer_task(spec))
    assert splits.unlabelled is not None
    assert [text for rows in splits.unlabelled.chunks() for text in rows.texts][:2] == ["w60 x y", "w61 x y"]
    assert all(rows.labels is None for rows in splits.unlabelled.chunks())


def test_other_texts_may_be_columns_by_number():
    spec = DataSpec(_conll(_sentences(60)), unlabelled=_conll(_sentences(90)[60:], "more.conll"))
    task = infer_task(spec)
    numbered = load_splits(replace(spec, text="#1", label="#2"), task=task)
    assert numbered.digest == load_splits(spec, task=task).digest


def test_what_the_tags_of_each_part_are_is_told():
    Path("d").mkdir()
    for part, tags in (("train", "O B-a"), ("dev", "O I-a"), ("test", "O S-a")):
        _conll([([f"{part}{i}", "x"], tags.split()) for i in range(20)], f"d/{part}.conll")
    told: list[str] = []
    task = Task(Problem.TOKENS, ("O", "B-a", "I-a", "E-a", "S-a"))
    load_splits(DataSpec("d"), task=task, tell=told.append)
    assert told == [
        "d/train.conll: 20 sentences of 40 words with 20 entities, tags in IOB2",
        "d/train.conll: the tags are IOB2, the model's labels BIOES: written anew as BIOES",
        "d/train.conll: no word has the model's 'B-a', 'I-a', 'E-a'",
        "d/test.conll: 20 sentences of 40 words with 20 entities, tags in BIOES",
        "d/dev.conll: 20 sentences of 40 words with 20 entities, tags in IO",
        "d/dev.conll: the tags are IO, the model's labels BIOES: written anew as BIOES",
    ]


# --- digests --------------------------------------------------------------------------------------


def _row(tags: list[str], words: tuple[str, ...] = ("a", "b", "c"), name: str = "d.jsonl") -> Rows:
    rows = [{"tokens": list(words), "ner_tags": tags}, {"tokens": ["x", "y"], "ner_tags": ["O", "B-LOC"]}]
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_heldout(DataSpec(name, eval_data=name), TASK)


def test_the_digest_is_of_texts_tags_and_places():
    first = _row(["O", "B-PER", "I-PER"])
    assert _row(["O", "B-PER", "I-PER"], name="other.jsonl").digest == first.digest
    assert _row(["O", "B-PER", "O"]).digest != first.digest
    assert _row(["O", "B-PER", "I-PER"], ("a", "b", "d")).digest != first.digest
    places = first.labels.places.copy()
    places[1, 1] += 1
    moved = WordTags(first.labels.values, first.labels.offsets, places)
    assert replace(first, labels=moved).digest != first.digest


def test_rows_of_words_and_of_spans_train_in_different_ways_and_so_have_another_digest():
    task = TASK
    Path("x.jsonl").write_text(
        "".join(
            json.dumps({"text": f"Ann saw {i}", "spans": [[0, 3, "PER"]] if i % 2 else []}) + "\n"
            for i in range(40)
        )
    )
    spans = load_splits(DataSpec("x.jsonl"), task=task)
    words = replace(spans, train=replace(spans.train, labels=replace(spans.train.labels, labelled="first")))
    assert words.train.digest == spans.train.digest
    assert words.training_digest != spans.training_digest


@pytest.mark.parametrize(
    "labels", [LABELS, ("O", "I-LOC", "I-PER"), ("O", *(f"{p}-{t}" for t in ("LOC", "PER") for p in "BIES"))]
)
@pytest.mark.parametrize("spans", [True, False])
def test_rows_that_are_sent_to_a_device_read_back_as_they_are(labels, spans):
    task = Task(Problem.TOKENS, labels)
    if spans:
        text = "Ann-Lee(Rome) 😀 e\u0301 x\u2028y"
        rows = [{"text": text, "spans": [[0, 3, "PER"], [3, 7, "PER"], [8, 12, "LOC"], [14, 15, "PER"]]}]
    else:
        rows = [{"tokens": ["Ann", "é", "\u00a0x", "Rome"], "ner_tags": ["B-PER", "B-PER", "I-PER", "O"]}]
    rows.append({"text": "no", "spans": []} if spans else {"tokens": ["no"], "ner_tags": ["O"]})
    Path("x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_heldout(DataSpec("x.jsonl", eval_data="x.jsonl"), task)
    Path("rows.jsonl").write_bytes(rows_jsonl(found, task))
    assert load_heldout(spec_of(found, task), task).digest == found.digest


# --- rows in memory -------------------------------------------------------------------------------


def test_rows_in_memory_are_read_as_those_of_a_file():
    rows = [{"tokens": words, "ner_tags": tags} for words, tags in _sentences(40)]
    spec = api_data.spec(rows)
    assert spec is not None
    task = infer_task(spec)
    there = DataSpec(_conll(_sentences(40)))
    assert load_splits(spec, task=task).digest == load_splits(there, task=task).digest


def test_ids_of_a_data_set_in_memory_are_those_of_its_features_not_the_models():
    class Feature:
        def __init__(self, names: list[str] | None = None, feature: object = None) -> None:
            self.names, self.feature = names, feature

    class Dataset(list[dict[str, object]]):
        features: ClassVar = {
            "tokens": Feature(),
            "ner_tags": Feature(feature=Feature(["O", "B-PER", "I-PER", "B-LOC"])),
        }

    spec = api_data.spec(Dataset([{"tokens": ["Ann", "left", "Rome"], "ner_tags": [1, 0, 3]}]))
    assert spec is not None
    rows = load_heldout(replace(spec, eval_data=spec.data), TASK)
    assert [LABELS[i] for i in rows.labels.values] == ["B-PER", "O", "B-LOC"]


# --- words without a token ------------------------------------------------------------------------


class _Tokenizer:
    """Gives each text the tokens that a test has for it."""

    def __init__(self, *found: tuple[list[tuple[int, int, int]], bool]) -> None:
        self.found = [
            Encoding(np.zeros(len(places), np.int64), truncated, np.array(places, np.int64))
            for places, truncated in found
        ]

    def encode(self, inputs: Sequence[str], *, places: bool) -> list[Encoding]:
        assert places
        return self.found[: len(inputs)]


SPECIAL = (0, 0, -1)


def test_words_without_a_token_are_counted():
    words = ["Ann", "\u200b", "saw", "Rome", "too"]
    rows = [
        {"tokens": words, "ner_tags": ["B-PER", "O", "O", "B-LOC", "O"]},
        {"tokens": ["x", "y"], "ner_tags": ["O", "O"]},
        {"tokens": ["x", "y"], "ner_tags": ["B-PER", "I-PER"]},
    ]
    Path("x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_heldout(DataSpec("x.jsonl", eval_data="x.jsonl"), TASK)
    tokenizer = _Tokenizer(
        ([SPECIAL, (0, 3, 0), (5, 7, 1), (7, 9, 1), SPECIAL], True),
        ([SPECIAL, (0, 3, 0), SPECIAL], False),
        ([SPECIAL, SPECIAL], False),
    )
    assert word_coverage.told(found, LABELS, tokenizer) == (
        "x.jsonl: of 9 words 2 are beyond what the model reads of a text and 3 get no token, in 2 of 3 "
        "texts; 3 of these words are in entities"
    )
    whole = _Tokenizer(([SPECIAL, (0, 1, 0), (2, 3, 1), SPECIAL], False))
    assert word_coverage.told(found.select([1]), LABELS, whole) is None


def test_a_text_that_is_cut_at_its_beginning_loses_its_first_words():
    Path("x.jsonl").write_text(
        json.dumps({"tokens": ["a", "b", "c"], "ner_tags": ["O", "B-PER", "O"]}) + "\n"
    )
    found = load_heldout(DataSpec("x.jsonl", eval_data="x.jsonl"), TASK)
    told = word_coverage.told(found, LABELS, _Tokenizer(([SPECIAL, (4, 5, 0)], True)))
    assert told == (
        "x.jsonl: of 3 words 2 are beyond what the model reads of a text, in 1 of 1 texts; "
        "1 of these words are in entities"
    )


def test_a_tokenizer_tells_the_words_that_a_short_model_cuts_off(tiny_token_checkpoint):
    Path("x.jsonl").write_text(
        json.dumps({"tokens": ["a"] * 30, "ner_tags": ["O"] * 29 + ["B-PER"]})
        + "\n"
        + json.dumps({"tokens": ["a", "b"], "ner_tags": ["O", "B-PER"]})
        + "\n"
    )
    found = load_heldout(DataSpec("x.jsonl", eval_data="x.jsonl"), TASK)
    told = word_coverage.told(found, LABELS, TextTokenizer.open(tiny_token_checkpoint, 8))
    assert told is not None
    assert "are beyond what the model reads of a text, in 1 of 2 texts; 1 of these words" in told
    windows = TextTokenizer.open(tiny_token_checkpoint, 8, long_text="windows")
    assert word_coverage.told(found, LABELS, windows) is None
