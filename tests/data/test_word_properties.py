"""What holds for all words, tags and spans: nothing is lost, and seqeval reads the same entities."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from edgeroberta.benchmark.payload import rows_jsonl
from edgeroberta.data import DataSpec, Rows, load_heldout, tag_schemes, word_spans
from edgeroberta.data.word_spans import Span
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.schemes import Scheme

TYPES = ("LOC", "PER")
LABELS = {
    Scheme.IO: ("O", *(f"I-{kind}" for kind in TYPES)),
    Scheme.IOB2: ("O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI")),
    Scheme.BIOES: ("O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BIES")),
}
MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

#: Characters of words: no white space that separates words, no surrogates; the rest of Unicode.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\v\f")
WORDS = st.text(CHARACTERS, min_size=1, max_size=6).filter(lambda word: bool(word.strip()))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip())
)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _read(rows: list[dict[str, Any]], task: Task) -> Rows:
    Path("x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_heldout(DataSpec("x.jsonl", eval_data="x.jsonl"), task)


def _sentences(tags: tuple[str, ...]) -> st.SearchStrategy[list[list[tuple[str, str]]]]:
    words = st.tuples(WORDS, st.sampled_from(tags))
    return st.lists(st.lists(words, min_size=1, max_size=8), min_size=1, max_size=4)


@MANY
@given(_sentences(LABELS[Scheme.IOB2]))
def test_words_and_tags_come_back_as_they_were(sentences):
    tags = [tag for sentence in sentences for _, tag in sentence]
    assume(set(tags) > {"O"})
    task = Task(Problem.TOKENS, LABELS[Scheme.IOB2])
    rows = _read(
        [{"tokens": [word for word, _ in one], "ner_tags": [tag for _, tag in one]} for one in sentences],
        task,
    )
    for row, sentence in enumerate(sentences):
        ids, places = rows.labels.part(row)
        assert [rows.texts[row][start:end] for start, end, _ in places.tolist()] == [w for w, _ in sentence]
        assert [task.labels[i] for i in ids] == [tag for _, tag in sentence]
    Path("rows.jsonl").write_bytes(rows_jsonl(rows, task))
    there = DataSpec(
        "rows.jsonl", eval_data="rows.jsonl", text="text", label="ner_tags", label_format="names"
    )
    assert load_heldout(there, task).digest == rows.digest


@pytest.mark.parametrize("theirs", [Scheme.IOB2, Scheme.BIOES])
@pytest.mark.parametrize("ours", [Scheme.IOB2, Scheme.BIOES])
@MANY
@given(data=st.data())
def test_a_change_of_scheme_keeps_what_seqeval_reads(theirs, ours, data):
    tags = data.draw(st.lists(st.sampled_from(LABELS[theirs]), min_size=1, max_size=12))
    assume(set(tags) > {"O"})
    task = Task(Problem.TOKENS, LABELS[ours])
    rows = _read([{"tokens": ["x"] * len(tags), "ner_tags": tags}], task)
    written = [task.labels[i] for i in rows.labels.values]
    if theirs is Scheme.BIOES and not {"E", "S"} & {tag[0] for tag in tags}:
        assume(ours is Scheme.IOB2)
    assert get_entities(written) == get_entities(tags)


@MANY
@given(st.lists(st.sampled_from(LABELS[Scheme.BIOES]), min_size=1, max_size=12), st.data())
def test_entities_are_those_of_seqeval(tags, data):
    cuts = sorted({0, len(tags), *data.draw(st.lists(st.integers(0, len(tags)), max_size=3))})
    found = tag_schemes.Tagging(tags, np.array(cuts, np.int64), LABELS[Scheme.BIOES]).entities
    wanted = [
        (start + kind_first, start + kind_last, kind)
        for start, end in itertools.pairwise(cuts)
        for kind, kind_first, kind_last in get_entities(tags[start:end])
    ]
    assert list(zip(found.starts.tolist(), found.lasts.tolist(), found.types, strict=True)) == wanted


@st.composite
def _marked(draw: Callable[..., Any]) -> tuple[str, list[list[Any]]]:
    """Draw a text and spans of it that do not overlap and hold more than white space."""
    text = draw(TEXTS)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = [
        [start, end, draw(st.sampled_from(TYPES))]
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
        if text[start:end].strip()
    ]
    return text, spans


@pytest.mark.parametrize("scheme", [Scheme.IOB2, Scheme.BIOES])
@MANY
@given(marked=_marked())
def test_spans_come_back_as_the_entities_of_words(scheme, marked):
    text, spans = marked
    assume(spans)
    task = Task(Problem.TOKENS, LABELS[scheme])
    rows = _read([{"text": text, "spans": spans}, {"text": "x", "spans": []}], task)
    ids, places = rows.labels.part(0)
    found = [
        (int(places[first, 0]), int(places[last, 1]), kind)
        for kind, first, last in get_entities([task.labels[i] for i in ids])
    ]
    wanted = []
    for start, end, kind in spans:
        inside = text[start:end]
        first = start + len(inside) - len(inside.lstrip())
        wanted.append((first, first + len(inside.strip()), kind))
    assert found == wanted


@MANY
@given(TEXTS, st.data())
def test_the_words_of_a_text_are_all_that_is_no_white_space_in_order(text, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = [Span(*ends, "PER") for ends in zip(cuts[::2], cuts[1::2], strict=False)]
    words = word_spans.words(text, spans)
    assert "".join(text[start:end] for start, end in words) == "".join(text.split())
    assert all(start < end for start, end in words)
    ends = [0, *(end for _, end in words)]
    assert all(before <= start for before, (start, _) in zip(ends, words, strict=False))
    for start, end in words:
        assert all(not start < cut < end for span in spans for cut in span[:2])
        word = text[start:end]
        assert len(word) == 1 or word.replace("_", "a").isalnum(), unicodedata.name(word[0], "?")
