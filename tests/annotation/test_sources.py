from __future__ import annotations

import io
import json

import pyarrow
import pyarrow.parquet
import pytest

from edgeroberta.annotation import pacing, sources
from edgeroberta.annotation.pacing import Pace
from edgeroberta.annotation.reading import Wanted
from edgeroberta.errors import DataError, EdgeRobertaError, UsageError
from edgeroberta.tasks import Problem, Task

SINGLE = Task(Problem.SINGLE_LABEL, ("no", "yes"))
PAIR = Task(Problem.SINGLE_LABEL, ("no", "yes"), pair=True)
ASKED = Task(Problem.SPANS, ("start", "end"), pair=True)
EMBEDDING = Task(Problem.EMBEDDING, (), dimensions=4)


def asked(file, task=SINGLE, **wanted):
    """What the rows of a file ask, errors as their texts."""
    with sources.opened(str(file), task, Wanted(**wanted)) as found:
        return [
            str(each).splitlines()[0] if isinstance(each, EdgeRobertaError) else each
            for block in found.blocks(Pace())
            for each in block.asked
        ]


@pytest.fixture
def wrote(tmp_path):
    def write(name: str, data: bytes | str):
        (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return tmp_path / name

    return write


def test_each_line_of_a_text_file_is_a_text(wrote):
    assert asked(wrote("x.txt", b"one\r\ntwo\n\nfour")) == ["one", "two", "", "four"]
    assert asked(wrote("x.txt", b"")) == []
    assert asked(wrote("x.log", "a\u2028b\u0085c\x0bd\n")) == ["a\u2028b\u0085c\x0bd"]
    assert asked(wrote("x.txt", b"\xef\xbb\xbfone\n")) == ["one"]


def test_a_tab_divides_a_pair_of_lines(wrote):
    assert asked(wrote("x.txt", "a\tb\tc\n"), PAIR) == [("a", "b\tc")]
    assert asked(wrote("x.txt", "a\tb\n"), EMBEDDING, pair=True) == [("a", "b")]


def test_json_lines_are_texts_lists_or_objects(wrote):
    assert asked(wrote("x.jsonl", '"a\\nb"\n\n{"text": "c", "id": 7}\n')) == ["a\nb", "c"]
    assert asked(wrote("x.ndjson", '["a", "b"]\n{"text": "c", "text_pair": "d"}\n'), PAIR) == [
        ("a", "b"),
        ("c", "d"),
    ]
    mixed = '{"text": "a"}\n{"text": "b", "text_pair": "c"}\n["d", "e"]\n"f"\n'
    assert asked(wrote("x.jsonl", mixed), EMBEDDING) == ["a", ("b", "c"), ("d", "e"), "f"]


@pytest.mark.parametrize(
    ("name", "data", "task", "what"),
    [
        ("x.txt", b"fine\nab\xff\n", SINGLE, "not UTF-8 (byte 2 of the line)"),
        ("x.txt", b"a\tb\nc d\n", PAIR, "a pair is two texts with a tab between them; there is no tab"),
        ("x.jsonl", b'"a"\n{"a\n', SINGLE, "not JSON (Unterminated string starting at: line 1 column 2"),
        ("x.jsonl", b'"a"\n3\n', SINGLE, 'each line is a text, or an object with the field "text"'),
        ("x.jsonl", b'"a"\n{"txt": "a"}\n', SINGLE, "no text in column 'text'"),
        ("x.jsonl", b'{"review": "a"}\n{"review": 5}\n', SINGLE, "column 'review' holds int, not text"),
        ("x.jsonl", b'["a", "b"]\n["a"]\n', PAIR, "each line is a list of two texts, or an object with the"),
        ("x.csv", b"text\n  \n", SINGLE, "empty text in column 'text'"),
        ("x.csv", b"text,id\na\n", SINGLE, "1 field where the header has 2"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_of_it_alone(wrote, name, data, task, what):
    file = wrote(name, data + data.splitlines()[0])
    found = asked(file, task)
    assert found[1 if "csv" not in name else 0].startswith(f"{file}:2: {what}")


def test_the_text_of_a_table_has_one_of_the_usual_names_or_is_named(wrote):
    file = wrote("x.csv", "id,review\n1,fine\n")
    assert asked(file) == ["fine"]
    assert asked(file, text="id") == ["1"]
    assert asked(wrote("x.csv", "id;review\n1;fine, too\n")) == ["fine, too"]
    assert asked(wrote("x.tsv", 'id\treview\n1\t"so"\n')) == ['"so"']
    assert asked(wrote("x.csv", "1,fine\n2,dull\n"), text="#2") == ["fine", "dull"]
    assert asked(wrote("x.csv", "question,context\nq,c\n"), ASKED) == [("q", "c")]


def test_parquet_is_read_in_blocks_that_grow(tmp_path, monkeypatch):
    monkeypatch.setattr(pacing, "FIRST", 2)
    monkeypatch.setattr(pacing, "MOST", 8)
    texts = [f"text {number}" for number in range(30)]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "x.parquet")
    with sources.opened(str(tmp_path / "x.parquet"), SINGLE, Wanted()) as found:
        blocks = list(found.blocks(Pace()))
    assert [len(block) for block in blocks] == [2, 4, 2, 8, 8, 6]
    assert [text for block in blocks for text in block.asked] == texts
    assert blocks[-1].places[-1] == f"{tmp_path}/x.parquet: row 30"
    assert (found.total, found.unit, blocks[-1].read) == (30, "rows", 30)


def test_long_texts_make_small_blocks(wrote, tmp_path, monkeypatch):
    monkeypatch.setattr(pacing, "CHARACTERS", 100)
    monkeypatch.setattr("edgeroberta.annotation.table_sources.CHARACTERS", 100)
    texts = ["x" * 40] * 6
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "x.parquet")
    for file in (wrote("x.txt", "\n".join(texts)), tmp_path / "x.parquet"):
        with sources.opened(str(file), SINGLE, Wanted()) as found:
            assert max(len(block) for block in found.blocks(Pace())) <= 3


@pytest.mark.parametrize(
    ("header", "task", "wanted", "code", "what"),
    [
        ("a,b", SINGLE, {}, "data", "no text column found among 'a', 'b'"),
        ("title,text", SINGLE, {}, "data.column-ambiguous", "any of the columns 'text', 'title'"),
        ("question,context", SINGLE, {}, "data.column-ambiguous", "there are two: 'question' and 'context'"),
        ("text,id", PAIR, {}, "data", "only the column 'text' was found among 'text', 'id'"),
        ("text,id", SINGLE, {"text": "txt"}, "data", "no column 'txt'; the columns are 'text', 'id'"),
        ("text,text", SINGLE, {}, "data", "the column 'text' is there 2 times"),
    ],
)
def test_columns_that_leave_a_choice_or_none_are_refused_with_their_names(
    wrote, header, task, wanted, code, what
):
    records = "".join(json.dumps(dict.fromkeys(header.split(","), "x")) + "\n")
    files = [wrote("x.csv", f"{header}\n")] + ([] if header == "text,text" else [wrote("x.jsonl", records)])
    for file in files:
        with pytest.raises(DataError) as caught:
            asked(file, task, **wanted)
        assert caught.value.code == code
        assert what in caught.value.what
        assert (caught.value.where or "").startswith(str(file))


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("x.json", "unknown file type '.json'", "write one object a line"),
        ("x.csv.gz", "unknown file type '.gz'", "unpack it"),
        ("reviews", "the file's name has no extension", "say in which format it is: --format FORMAT"),
        ("-", "nothing tells in which format it is", "add --format FORMAT: csv, tsv, jsonl, parquet or txt"),
    ],
)
def test_a_name_that_says_no_format_is_refused(name, what, hint):
    with pytest.raises(UsageError) as caught:
        asked(name)
    assert caught.value.what == what
    assert hint in str(caught.value.hint)


def test_what_cannot_be_opened_is_refused(tmp_path):
    for name, what in (("none.txt", "cannot be read (No such file or directory)"), ("y.csv", "is a folder")):
        (tmp_path / "y.csv").mkdir(exist_ok=True)
        with pytest.raises(DataError) as caught:
            asked(tmp_path / name)
        assert caught.value.what.startswith(what)
        assert caught.value.where == f"{tmp_path}/{name}"


def test_standard_input_is_read_as_the_format_says(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"text\none\ntwo\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    from edgeroberta.annotation.formats import Format

    assert asked("-", format=Format.CSV) == ["one", "two"]
    Stdin.buffer = io.BytesIO(b"PAR1")
    with pytest.raises(DataError, match="cannot be read from a pipe"):
        asked("-", format=Format.PARQUET)


def test_a_broken_parquet_file_is_refused(wrote):
    with pytest.raises(DataError, match="not a readable Parquet file"):
        asked(wrote("x.parquet", b"PAR1 and nothing"))
