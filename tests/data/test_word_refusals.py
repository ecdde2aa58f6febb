"""What is refused in words, tags and spans: the line, the message, the code and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeroberta.data import DataSpec, infer_task, load_heldout, load_splits
from edgeroberta.errors import DataError, EdgeRobertaError, UsageError
from edgeroberta.tasks import Problem, Task

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
TASK = Task(Problem.TOKENS, LABELS)
_LIST = "'O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER'"
_SCHEMES = "tags are those of IO, IOB1, IOB2 or BIOES: O, B-PER, I-PER, E-PER, S-PER"
_ONE = "each word needs one tag, O where it belongs to no entity"
_SPAN = 'e.g. {"start": 0, "end": 4, "label": "PER"}'
_ENDS = "start counts characters from 0, end is the one after the last"
_NAME = "name the columns: --text COLUMN of words or texts, --label COLUMN of their tags or spans"
_LINES = "a file with a word and its tag on each line is called .conll"
_WORDS = 'e.g. {"tokens": ["in", "Rome"], "ner_tags": ["O", "B-LOC"]}'


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _write(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(text.encode())
    return name


def _jsonl(*rows: object) -> str:
    """Write rows after one that is right."""
    right = {"tokens": ["in", "Rome"], "ner_tags": ["O", "B-LOC"]}
    return _write("x.jsonl", "".join(json.dumps(row) + "\n" for row in (right, *rows)))


def _words(words: object, tags: object) -> str:
    return _jsonl({"tokens": words, "ner_tags": tags})


def _spans(spans: object, text: object = "Ann saw Rome") -> str:
    right = {"text": "in Rome", "spans": [[3, 7, "LOC"]]}
    return _write("x.jsonl", json.dumps(right) + "\n" + json.dumps({"text": text, "spans": spans}) + "\n")


def _refused(data: str, code: str, message: str, task: Task = TASK, **how: str) -> None:
    with pytest.raises(EdgeRobertaError) as caught:
        load_heldout(DataSpec(data, eval_data=data, **how), task)
    assert str(caught.value) == message
    assert caught.value.code == code
    assert caught.value.exit_code == 2


# --- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "in O\nRome\n",
            "data.columns",
            "x.conll:2: 1 column where line 1 has 2\n"
            "  next: is a word or its tag missing? Where lines do differ, say which columns count: "
            "--text '#1' --label '#2'",
        ),
        (
            "in\nRome\n",
            "data.columns",
            "x.conll:1: one column, 'in', where a word and its tag are needed\n"
            "  next: write a word and its tag on each line, with a tab or a space between them",
        ),
        (
            "in\tO\n\tO\n",
            "data.words",
            "x.conll:2: an empty word\n  next: write both, or delete the line",
        ),
        (
            "in\tx\tO\nRome\tB-LOC\n",
            "data.columns",
            "x.conll:2: 2 columns where line 1 has 3\n"
            "  next: is a word or its tag missing? Where lines do differ, say which columns count: "
            "--text '#1' --label '#2'",
        ),
        (
            "New York\tB-LOC\nx\tO\n",
            "data.words",
            "x.conll:1: ' ' inside of word 1, 'New York'\n"
            "  next: white space separates words: write two words with a tag each, or one word without it",
        ),
        (
            "\u00a0\tO\nx\tB-LOC\n",
            "data.words",
            "x.conll:1: word 1 is white space, '\\xa0'\n  next: delete it together with its tag",
        ),
        ("\n\n-DOCSTART- O\n", "data", "x.conll: no words"),
        (
            "in O\n\nRome B-CITY\n",
            "data.label-unknown",
            f"x.conll:3: unknown tag 'B-CITY'; the model's labels are {_LIST}\n"
            "  next: the model finds 'LOC', 'PER': tag others O, or train a model on these tags",
        ),
        (
            "in O\n\nRome B_LOC\n",
            "data.tags",
            "x.conll:3: the tag 'B_LOC' has another mark than a hyphen after B\n  next: write 'B-LOC'",
        ),
        (
            "in O\nRome LOC\nx B-PER\n",
            "data.tags",
            "x.conll:2: the tag 'LOC' has no prefix of a scheme, but others have one, such as 'B-PER'\n"
            f"  next: {_SCHEMES}",
        ),
        (
            "in O\nRome M-LOC\nx B-LOC\n",
            "data.tags",
            "x.conll:2: the tag 'M-LOC' has no prefix of a scheme, but others have one, such as 'B-LOC'\n"
            f"  next: {_SCHEMES}",
        ),
        (
            "in O\nRome b-LOC\nx B-LOC\n",
            "data.tags",
            "x.conll:2: the tag 'b-LOC' has no prefix of a scheme, but others have one, such as 'B-LOC'\n"
            "  next: did you mean 'B-LOC'?",
        ),
        (
            "in o\nRome LOC\n",
            "data.tags",
            "x.conll:1: the tag 'o' is no type\n  next: is it O, the capital letter?",
        ),
        (
            "in 0\nRome LOC\n",
            "data.tags",
            "x.conll:1: the tag '0' is no type\n  next: is it O, the capital letter?",
        ),
        (
            "in O\nRome B-LOC\nat -\n",
            "data.tags",
            "x.conll:3: the tag '-' has no prefix of a scheme, but others have one, such as 'B-LOC'\n"
            f"  next: {_SCHEMES}",
        ),
        (
            "in O\nRome O\n",
            "data.tags",
            "x.conll: no entity: every word is outside of one\n"
            "  next: are these the columns of words and tags? --text COLUMN --label COLUMN",
        ),
        (
            "Rome B-LOC\n\nParis B-LOC\n",
            "data.tags",
            "x.conll: every word has the same tag, 'B-LOC'\n"
            "  next: words of no entity are tagged O; is this the column of tags?",
        ),
        (
            "in O\nRome B-loc\n",
            "data.label-unknown",
            f"x.conll:2: unknown tag 'B-loc'; the model's labels are {_LIST}\n  next: did you mean 'B-LOC'?",
        ),
        (
            "Ann B-PERSON\nleft O\n",
            "data.label-unknown",
            f"x.conll:1: unknown tag 'B-PERSON'; the model's labels are {_LIST}\n"
            "  next: did you mean 'PER'? the model's types are 'LOC', 'PER'",
        ),
        (
            "Ann B-PERS\nleft O\n",
            "data.label-unknown",
            f"x.conll:1: unknown tag 'B-PERS'; the model's labels are {_LIST}\n"
            "  next: did you mean 'PER'? the model's types are 'LOC', 'PER'",
        ),
    ],
)
def test_columns(text, code, message):
    _refused(_write("x.conll", text), code, message)


def test_a_first_column_that_counts_words():
    data = _write("x.conll", "# id\n1\tin\tO\n2\tRome\tB-LOC\n\n1\tRome\tB-LOC\n")
    _refused(
        data,
        "data.columns",
        "x.conll:2: the first column counts the words of each sentence: 1, 2, 3 …\n"
        "  next: say which columns count: --text '#2' --label '#3'",
    )
    assert load_heldout(DataSpec(data, eval_data=data, text="#2", label="#3"), TASK).texts[0] == "in Rome"


def test_columns_that_are_not_there():
    _refused(
        _write("x.conll", "in O\nRome B-LOC\n"),
        "data.columns",
        "x.conll:1: 2 columns, so there is no column #3\n"
        "  next: a word and its tag are needed on each line, and a blank line between sentences",
        text="#1",
        label="#3",
    )


def test_bytes_that_are_not_utf8():
    Path("x.conll").write_bytes(b"in O\nM\xfcnchen B-LOC\n")
    _refused(
        "x.conll",
        "data",
        "x.conll:2: not UTF-8: byte 0xfc at offset 6\n"
        "  next: convert it, e.g. iconv -f ISO-8859-1 -t UTF-8 x.conll > utf8.conll",
    )


# --- aligned files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "tags", "message"),
    [
        ("in Rome\nx\n", "O B-LOC O\nO\n", f"x.in:1: 2 words, but 3 tags in line 1 of x.out\n  next: {_ONE}"),
        ("in Rome\n\n", "O B-LOC\nO\n", f"x.in:2: 0 words, but 1 tag in line 2 of x.out\n  next: {_ONE}"),
        (
            "in Rome\nx\n",
            "O B-LOC\n",
            "x.in:2: x.out ends at line 1, but x.in goes on\n"
            "  next: both files need a line for each sentence",
        ),
        (
            "in Rome\n",
            "O B-LOC\nO\n",
            "x.out:2: x.in ends at line 1, but x.out goes on\n"
            "  next: both files need a line for each sentence",
        ),
    ],
)
def test_aligned_files(words, tags, message):
    _write("x.out", tags)
    _refused(_write("x.in", words), "data.words", message)


def test_aligned_files_of_which_one_is_missing():
    _refused(
        _write("d/seq.in", "in Rome\n").removesuffix("/seq.in"),
        "data.not-found",
        "d/seq.in: there is no file seq.out beside it with the tags of its words\n"
        "  next: put it there: one line of tags for each line of seq.in",
    )


# --- lists of words and tags ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "tags", "code", "message"),
    [
        (["in"], ["O", "O"], "data.words", f"1 word, but 2 tags\n  next: {_ONE}"),
        (["in", "a"], ["O"], "data.words", f"2 words, but 1 tag\n  next: {_ONE}"),
        ([], [], "data.words", "a sentence without words\n  next: delete the row"),
        (
            ["in", ""],
            ["O", "O"],
            "data.words",
            "word 2 is empty\n  next: delete it together with its tag",
        ),
        (
            ["New York"],
            ["B-LOC"],
            "data.words",
            "' ' inside of word 1, 'New York'\n"
            "  next: white space separates words: write two words with a tag each, or one word without it",
        ),
        (
            ["in", "Rome\n"],
            ["O", "B-LOC"],
            "data.words",
            "'\\n' inside of word 2, 'Rome\\n'\n"
            "  next: white space separates words: write two words with a tag each, or one word without it",
        ),
        ([7], ["O"], "data.words", "word 1 is 7, not a text\n  next: write words as texts, in quotes"),
        ([None], ["O"], "data.words", "word 1 is None, not a text\n  next: write words as texts, in quotes"),
        (
            ["\ud83d"],
            ["O"],
            "data.words",
            "half of a surrogate pair in word 1, '\\ud83d'\n"
            "  next: write the file with a tool that knows UTF-8",
        ),
        (None, ["O"], "data.words", f"nothing in column 'tokens', where a list is needed\n  next: {_WORDS}"),
        (
            ["a"],
            None,
            "data.words",
            f"nothing in column 'ner_tags', where a list is needed\n  next: {_WORDS}",
        ),
        (["a"], "O", "data.words", f"'O' in column 'ner_tags', where a list is needed\n  next: {_WORDS}"),
        (["a"], [None], "data.tags", "no tag of word 1\n  next: words of no entity are tagged O"),
        (["a"], [""], "data.tags", "no tag of word 1\n  next: words of no entity are tagged O"),
        (["a"], [["O"]], "data.tags", "['O'] is no tag of word 1\n  next: words of no entity are tagged O"),
    ],
)
def test_lists(words, tags, code, message):
    _refused(_words(words, tags), code, f"x.jsonl:2: {message}")


@pytest.mark.parametrize(
    ("tag", "hint"),
    [
        (5, f"ids are 0 to 4: {_LIST}"),
        (-1, f"ids are 0 to 4: {_LIST}"),
        (-100, "-100 is for tokens of a tokenizer that are not learned from: give words, with one tag each"),
    ],
)
def test_ids_that_stand_for_nothing(tag, hint):
    rows = [{"tokens": ["in", "Rome"], "ner_tags": [0, each]} for each in (1, tag)]
    data = _write("x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    _refused(data, "data.tags", f"x.jsonl:2: the tag '{tag}' is none of the ids\n  next: {hint}")


def test_a_name_among_ids():
    _refused(
        _jsonl({"tokens": ["a"], "ner_tags": [0]}),
        "data.tags",
        "x.jsonl:1: the tag 'O' is none of the ids\n"
        "  next: tags are ids here, and this is a name: --label-format names",
        label_format="ids",
    )


# --- spans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        (
            [[0, 3, "PER"], [2, 7, "LOC"]],
            "'Ann' (PER, 0 to 3) and 'n saw' (LOC, 2 to 7) overlap\n"
            "  next: a word has one label: keep one of the two",
        ),
        (
            [[8, 12, "LOC"], [8, 12, "LOC"]],
            "'Rome' (LOC, 8 to 12) and 'Rome' (LOC, 8 to 12) overlap\n"
            "  next: a word has one label: keep one of the two",
        ),
        ([[8, 13, "LOC"]], f"the span 8 to 13 (LOC) lies beyond the text of 12 characters\n  next: {_ENDS}"),
        ([[-4, 3, "LOC"]], f"the span -4 to 3 (LOC) lies beyond the text of 12 characters\n  next: {_ENDS}"),
        ([[8, 8, "LOC"]], "the span 8 to 8 (LOC) is empty\n  next: end is the character after the last one"),
        ([[8, 2, "LOC"]], "the span 8 to 2 (LOC) is empty\n  next: end is the character after the last one"),
        (
            [[3, 4, "LOC"]],
            "the span 3 to 4 (LOC) holds white space only\n  next: delete it, or correct its ends",
        ),
        (
            [{"start": 0, "end": 3}],
            f"the span {{'end': 3, 'start': 0}} has no 'label'\n  next: {_SPAN}",
        ),
        (
            [{"start": 0, "label": "PER"}],
            f"the span {{'label': 'PER', 'start': 0}} has no 'end'\n  next: {_SPAN}",
        ),
        ([["0", 3, "PER"]], "'0' is no start of a span\n  next: count characters from 0"),
        ([[0, 2.5, "PER"]], "2.5 is no end of a span\n  next: count characters from 0"),
        ([[0, None, "PER"]], "None is no end of a span\n  next: count characters from 0"),
        ([[0, 3, ""]], f"'' is no label of a span\n  next: name it, {_SPAN}"),
        (
            [[0, 3, "O"]],
            "'O' is no label of a span\n"
            "  next: O says that a word belongs to no entity: delete the span, or rename the label",
        ),
        ([[0, 3, 1]], f"1 is no label of a span\n  next: name it, {_SPAN}"),
        (
            [[0, 3, "B-PER"]],
            "the label 'B-PER' of a span has a prefix\n  next: a span has both its ends: write 'PER'",
        ),
        ([[0, 3]], f"[0, 3] in column 'spans' is no span\n  next: {_SPAN}"),
        ([7], f"7 in column 'spans' is no span\n  next: {_SPAN}"),
        ("PER", f"'PER' in column 'spans' is no list of spans\n  next: […], {_SPAN}"),
        (
            {"start": [0, 1], "end": [3], "label": ["PER"]},
            f"lists of different lengths in column 'spans'\n  next: {_SPAN}",
        ),
    ],
)
def test_spans(spans, message):
    _refused(_spans(spans), "data.spans", f"x.jsonl:2: {message}")


def test_a_span_with_a_copy_of_other_characters():
    spans = [{"start": 9, "end": 13, "label": "LOC", "text": "Rome"}]
    _refused(
        _spans(spans, "Zo\u00eb saw Rome."),
        "data.spans",
        "x.jsonl:2: the span 9 to 13 (LOC) is 'ome.', but says 'Rome'\n"
        "  next: start counts characters from 0, not bytes or words, and end is the one after the last",
    )


def test_spans_that_count_utf16_units():
    _refused(
        _spans([[9, 13, "LOC"]], "Hi 😀 Rome"),
        "data.spans",
        f"x.jsonl:2: the span 9 to 13 (LOC) lies beyond the text of 9 characters\n  next: {_ENDS}",
    )
    _refused(
        _spans([[6, 10, "LOC"]], "Hi 😀 Rome"),
        "data.spans",
        "x.jsonl:2: the span 6 to 10 (LOC) lies beyond the text of 9 characters\n"
        f"  next: {_ENDS}; these seem to count UTF-16 units: an emoji is one character, not two",
    )


def test_a_span_of_another_type_than_the_models():
    _refused(
        _spans([[8, 12, "CITY"]]),
        "data.label-unknown",
        f"x.jsonl:2: unknown label 'CITY'; the model's labels are {_LIST}\n"
        "  next: the model finds 'LOC', 'PER': tag others O, or train a model on these tags",
    )


@pytest.mark.parametrize("text", ["", "  ", None])
def test_a_text_with_spans_that_is_empty(text):
    message = "x.jsonl:2: empty text in column 'text'\n  next: fill it in, or delete the row"
    _refused(_spans([], text), "data", message)


@pytest.mark.parametrize("places", [[[0, 2], [2, 1]], [[0, 5], [4, 7]], [[0, 99]], [[0, True]], [7]])
def test_places_of_words_that_are_none(places):
    right = {"text": "in Rome", "words": [[0, 2], [3, 7]], "ner_tags": ["O", "B-LOC"]}
    wrong = {"text": "in Rome", "words": places, "ner_tags": ["O"] * len(places)}
    data = _write("x.jsonl", json.dumps(right) + "\n" + json.dumps(wrong) + "\n")
    with pytest.raises(DataError, match=r"is no place of word \d in the text of 7 characters") as caught:
        load_heldout(DataSpec(data, eval_data=data), TASK)
    assert caught.value.where == "x.jsonl:2"
    assert caught.value.code == "data.words"


# --- models and rows that do not go together ------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "how", "message"),
    [
        (
            ("x.csv", "text,label\na,b\nc,d\n"),
            {},
            "x.csv: a label per word is needed; no words and tags, or texts and spans, among 'text', 'label'"
            f"\n  next: {_NAME}; {_LINES}",
        ),
        (
            ("x.csv", "n,words,labels\n0,in,O\n0,Rome,B-LOC\n"),
            {},
            f"x.csv: column 'words' holds no lists of words\n  next: {_WORDS}; {_LINES}",
        ),
        (
            ("x.jsonl", '{"tokens": ["a"], "pos": ["O"]}\n'),
            {},
            "x.jsonl: no column of tags found among 'tokens', 'pos'\n"
            "  next: name it: --label COLUMN, a list with a tag for each word; usual are 'ner_tags', 'tags', "
            "'ner', 'labels', 'ner_labels', 'bio_tags', 'slots', 'label'",
        ),
        (
            ("x.jsonl", '{"tokens": ["a"], "ner_tag": ["O"]}\n'),
            {"label": "ner_tags"},
            "x.jsonl: no column 'ner_tags'; the columns are 'tokens', 'ner_tag'\n"
            "  next: did you mean 'ner_tag'?",
        ),
        (
            ("x.jsonl", '{"tokens": ["a"], "n": 1}\n'),
            {"label": "n"},
            f"x.jsonl: column 'n' holds no lists of tags or spans beside 'tokens', 'n'\n  next: {_NAME}",
        ),
        (
            ("x.txt", "Rome B-LOC\n"),
            {},
            "x.txt: a .txt file has no tags\n"
            "  next: for columns of words and tags: --text '#1' --label '#2', or call it .conll",
        ),
    ],
)
def test_rows_without_words_for_a_model_of_words(data, how, message):
    _refused(_write(*data), "data" if "no column 'n" in message else "data.not-words", message, **how)


def test_columns_of_other_names_are_asked_for_as_words_and_tags():
    data = _write("x.csv", "token,tag\nin,O\nRome,B-LOC\n")
    with pytest.raises(DataError, match="a label per word is needed") as caught:
        load_splits(DataSpec(data), task=TASK)
    assert caught.value.code == "data.not-words"


def test_words_for_a_model_of_texts():
    _refused(
        _write("x.conll", "in O\nRome B-LOC\n"),
        "data.not-words",
        "x.conll: a tag for each word, but the model gives one label per text\n"
        "  next: take a model for token classification (RobertaForTokenClassification), or rows with labels",
        Task(Problem.SINGLE_LABEL, ("a", "b")),
    )


def test_pairs_of_texts():
    _refused(
        _words(["in"], ["O"]),
        "data.not-words",
        "--text-pair: words of a pair of texts cannot be labelled; a model with a label per word takes "
        "single texts\n  next: leave --text-pair out",
        text_pair="b",
    )


def test_a_model_whose_labels_have_no_names():
    _refused(
        _words(["in"], ["O"]),
        "data.tags",
        "x.jsonl: the model's labels have no names ('LABEL_0', 'LABEL_1'), so tags cannot be matched with "
        'them\n  next: set id2label in its config.json: {"0": "O", "1": "B-PER", …}',
        Task(Problem.TOKENS, ("LABEL_0", "LABEL_1")),
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ("B-LOC", "I-LOC"),
            "x.jsonl:1: unknown tag 'O'; the model's labels are 'B-LOC', 'I-LOC'\n"
            "  next: the model has no label O: take another one",
        ),
        (
            ("O", "I-LOC", "B-PER", "I-PER"),
            "x.jsonl:1: unknown tag 'B-LOC'; the model's labels are 'O', 'I-LOC', 'B-PER', 'I-PER'\n"
            "  next: of 'LOC' the model has 'I-LOC' alone",
        ),
    ],
)
def test_a_model_that_lacks_a_tag(labels, message):
    _refused(_words(["in"], ["O"]), "data.label-unknown", message, Task(Problem.TOKENS, labels))


@pytest.mark.parametrize("form", ["multi-hot", "values"])
def test_formats_of_labels_per_text(form):
    what = f"--label-format: {form} are asked for, but the rows have a tag per word"
    _refused(_words(["in"], ["O"]), "usage", f"{what}\n  next: one of names, ids, tags", label_format=form)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"tokens": ["in", "Rome"], "ner_tags": [0, 1]}],
            "x.jsonl:1: tags are ids, and nothing says which tags they stand for\n"
            "  next: write the tags by name; or give a Parquet file or Hub data set that has class names",
        ),
        (
            [{"tokens": ["in"], "ner_tags": ["O"]}],
            "x.jsonl: no entity: every word is outside of one\n"
            "  next: are these the columns of words and tags? --text COLUMN --label COLUMN",
        ),
        (
            [{"text": "in", "spans": []}],
            "x.jsonl: no entity: every word is outside of one\n"
            "  next: are these the columns of words and tags? --text COLUMN --label COLUMN",
        ),
        (
            [{"tokens": ["in", "Rome"], "ner_tags": ["B-LOC", "LOC"]}],
            "x.jsonl:1: the tag 'LOC' has no prefix of a scheme, but others have one, such as 'B-LOC'\n"
            f"  next: {_SCHEMES}",
        ),
    ],
)
def test_labels_that_cannot_be_inferred(rows, message):
    data = _write("x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError) as caught:
        infer_task(DataSpec(data))
    assert str(caught.value) == message
    assert caught.value.code == "data.tags"


def test_tags_asked_for_where_there_are_none():
    with pytest.raises(DataError, match="a label per word is needed"):
        infer_task(DataSpec(_write("x.jsonl", '{"text": "a", "label": "b"}\n'), label_format="tags"))


def test_too_few_sentences_to_split():
    with pytest.raises(DataError, match="too few to split"):
        load_splits(DataSpec(_words(["in", "Rome"], ["O", "B-LOC"])), task=TASK)


def test_an_unknown_format_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match="unknown format 'bio'") as caught:
        DataSpec("x.conll", label_format="bio")
    assert caught.value.hint == "one of names, ids, multi-hot, values, tags"
