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


# --- every form of file, and what is equal in all ---------------------------------------------------


def test_a_folder_of_conll_files_and_columns_by_number_are_read():
    _write("d/train.conll", CONLL)
    _write("d/dev.conll", "Rome\tx\tB-LOC\nfell\tx\tO\n")
    _write("d/test.bio", "Ann x B-PER\r\nLee x I-PER\r\n\r\n")
    splits = load_splits(DataSpec("d"), task=TASK)
    assert _tags(splits.heldout) == [[("Ann", "B-PER"), ("Lee", "I-PER")]]
    assert _tags(splits.validation) == [[("Rome", "B-LOC"), ("fell", "O")]]
    assert len(splits.train) == 2
    data = _write("x.conll", "1 Rome a B-LOC 7\n2 fell b O 8\n")
    assert _tags(_read(data, text="#2", label="#4")) == [[("Rome", "B-LOC"), ("fell", "O")]]


@pytest.mark.parametrize("name", ["x.txt", "x.tsv", "x.csv"])
def test_a_file_of_another_name_is_columns_where_the_user_says_so(name):
    data = _write(name, "Rome\tB-LOC\nfell\tO\n\nAnn\tB-PER\n")
    rows = _read(data, label_format="tags")
    assert _tags(rows) == [[("Rome", "B-LOC"), ("fell", "O")], [("Ann", "B-PER")]]


def test_a_text_file_with_column_numbers_is_columns():
    data = _write("x.txt", "Rome\tB-LOC\nfell\tO\n\nAnn\tB-PER\n")
    assert _tags(_read(data, text="#1", label="#2"))[1] == [("Ann", "B-PER")]


def test_comments_before_a_sentence_are_skipped_and_words_of_a_hash_are_not():
    data = _write(
        "x.conll",
        "# newdoc\n# text = Rome fell O\n#begin x\nRome\tB-LOC\n#\tO\n#1\tO\n\n"
        "#\tO\nAnn\tB-PER\n\n#Rome\tB-LOC\n",
    )
    assert list(_read(data).texts) == ["Rome # #1", "# Ann", "#Rome"]


def test_a_first_word_with_a_hash_and_a_tag_of_the_words_before_is_no_comment(caplog):
    data = _write("x.conll", "Rome LOC\nfell O\n\n#Rome LOC\nfell O\n\n#Rome LOC\n#fell O\n")
    assert list(_read(data, Task(Problem.TOKENS, ("O", "LOC"))).texts) == [
        "Rome fell",
        "#Rome fell",
        "#Rome #fell",
    ]
    assert not caplog.records


def test_a_count_of_sentences_is_a_comment_among_ids(caplog):
    data = _write("x.conll", "# 1\nRome 1\nfell 0\n\n# 1\n#Rome 1\nfell 0\n")
    assert list(_read(data).texts) == ["Rome fell", "#Rome fell"]
    assert not caplog.records


def test_lines_that_may_be_words_or_comments_are_told(caplog):
    data = _write("x.conll", "#Rome 1\nfell 0\nRome 1\n\n#Oslo 7\nin 0\nRome 1\n")
    assert list(_read(data).texts) == ["fell Rome", "in Rome"]
    assert {record.message for record in caplog.records} == {
        "x.conll:1: 2 lines that begin with # taken for comments, though with the fields of words: '#Rome 1'"
    }


def test_words_of_a_file_with_tabs_may_hold_other_spaces():
    rows = _read(_write("x.conll", "10\u00a0000\tO\nMont\u2011Blanc\tB-LOC\n \u3000x\tO\n"))
    assert rows.texts == ("10\u00a0000 Mont\u2011Blanc \u3000x",)


def test_a_byte_order_mark_is_no_part_of_the_first_word():
    assert _read(_write("x.conll", "\ufeffRome B-LOC\nfell O\n")).texts == ("Rome fell",)


TOKENS = [
    {"tokens": ["Ann", "Lee", "saw", "Rome", "."], "ner_tags": ["B-PER", "I-PER", "O", "B-LOC", "O"]},
    {"tokens": ["No"], "ner_tags": ["O"]},
]


@pytest.mark.parametrize(
    ("words", "tags"),
    [("tokens", "ner_tags"), ("words", "tags"), ("tokens", "labels"), ("words", "ner"), ("tokens", "label")],
)
def test_jsonl_of_tokens_and_tags_is_found_by_the_usual_names(words, tags):
    data = _jsonl("x.jsonl", *({words: row["tokens"], tags: row["ner_tags"]} for row in TOKENS))
    rows = _read(data)
    assert _tags(rows)[0] == FIRST
    assert infer_task(DataSpec(data)) == TASK


def test_any_columns_can_be_named():
    data = _jsonl("x.jsonl", *({"toks": row["tokens"], "slots2": row["ner_tags"]} for row in TOKENS))
    assert _tags(_read(data, text="toks", label="slots2"))[0] == FIRST


def test_ids_are_those_of_the_class_names_of_the_file_by_name_not_by_place():
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    feature = {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}
    info = {"info": {"features": {"ner_tags": feature, "tokens": {}}}}
    table = pyarrow.table(
        {
            "tokens": [row["tokens"] for row in TOKENS],
            "ner_tags": [[names.index(tag) for tag in row["ner_tags"]] for row in TOKENS],
        }
    ).replace_schema_metadata({"huggingface": json.dumps(info)})
    parquet.write_table(table, "x.parquet")
    assert _tags(_read("x.parquet"))[0] == FIRST
    assert infer_task(DataSpec("x.parquet")).labels == tuple(names)


def test_ids_without_names_are_the_models():
    data = _jsonl("x.jsonl", {"tokens": ["Ann", "Lee", "left"], "ner_tags": [3, 4, 0]})
    assert _tags(_read(data)) == [[("Ann", "B-PER"), ("Lee", "I-PER"), ("left", "O")]]


def test_lists_that_pandas_wrote_to_csv_are_read():
    data = _write("x.csv", "tokens,ner_tags\n\"['Ann', 'left']\",\"['B-PER', 'O']\"\n")
    assert _tags(_read(data)) == [[("Ann", "B-PER"), ("left", "O")]]


SPANS = [
    {"start": 0, "end": 7, "label": "PER"},
    {"start": 12, "end": 16, "label": "LOC"},
]
SPANNED = [("Ann", "B-PER"), ("Lee", "I-PER"), ("saw", "O"), ("Rome", "B-LOC"), (".", "O")]


@pytest.mark.parametrize("column", ["spans", "entities", "label"])
@pytest.mark.parametrize(
    "spans",
    [
        SPANS,
        [[0, 7, "PER"], [12, 16, "LOC"]],
        {"start": [0, 12], "end": [7, 16], "label": ["PER", "LOC"]},
        [{"begin": each["start"], "stop": each["end"], "entity_type": each["label"]} for each in SPANS],
        SPANS[::-1],
    ],
)
def test_texts_with_spans_are_cut_into_words(column, spans):
    data = _jsonl("x.jsonl", {"text": "Ann Lee saw Rome.", column: spans}, {"text": "No!", column: []})
    rows = _read(data)
    assert rows.texts == ("Ann Lee saw Rome.", "No!")
    assert _tags(rows) == [SPANNED, [("No", "O"), ("!", "O")]]
    assert rows.labels.labelled == "all"
    assert rows.select([1]).labels.labelled == "all"
    task = infer_task(DataSpec(data))
    assert task == Task(Problem.TOKENS, LABELS, aggregation="simple")


def test_words_are_cut_where_spans_begin_and_end_and_white_space_is_trimmed():
    text = "mailto:ann@x.org (Ann ) 12km"
    spans = [[7, 16, "MAIL"], [18, 22, "PER"], [24, 26, "NUM"]]
    task = infer_task(DataSpec(_jsonl("x.jsonl", {"text": text, "spans": spans})))
    tags = _tags(_read("x.jsonl", task), task.labels)[0]
    assert [word for word, _ in tags] == [
        "mailto",
        ":",
        "ann",
        "@",
        "x",
        ".",
        "org",
        "(",
        "Ann",
        ")",
        "12",
        "km",
    ]
    assert [tag for _, tag in tags if tag != "O"] == [
        *("B-MAIL", "I-MAIL", "I-MAIL", "I-MAIL", "I-MAIL"),
        "B-PER",
        "B-NUM",
    ]


def test_a_label_with_a_hyphen_is_a_type_by_itself():
    data = _jsonl("x.jsonl", {"text": "to a@b.c", "spans": [[3, 8, "E-MAIL"]]}, {"text": "no", "spans": []})
    task = infer_task(DataSpec(data))
    assert task.labels == ("O", "B-E-MAIL", "I-E-MAIL")
    assert [str(each.entities) for each in task.truth(_read(data, task).labels)] == ["((0, 3, 8),)", "()"]


def test_a_label_per_text_beside_spans_goes_first_where_nothing_is_said():
    data = _jsonl(
        "x.jsonl",
        {"text": "Ann left", "label": "a", "spans": [[0, 3, "PER"]]},
        {"text": "Rome", "label": "b", "spans": []},
    )
    assert infer_task(DataSpec(data)).problem is Problem.SINGLE_LABEL
    assert infer_task(DataSpec(data, label="spans")).problem is Problem.TOKENS
    assert infer_task(DataSpec(data, label_format="tags")).problem is Problem.TOKENS
    assert len(_read(data)) == 2


def test_several_labels_per_text_are_still_that():
    rows = [{"text": f"x {i}", "labels": ["a", "b"][: i % 3]} for i in range(9)]
    assert infer_task(DataSpec(_jsonl("x.jsonl", *rows))).problem is Problem.MULTI_LABEL
