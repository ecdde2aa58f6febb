from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeroberta.data import features
from edgeroberta.data.readers import read, stream
from edgeroberta.errors import DataError, UnavailableError


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _write(name: str, data: str | bytes) -> Path:
    path = Path(name)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_csv_columns_and_the_place_of_each_row():
    table = read(_write("x.csv", 'text,label\n"a\nb",1\nc,0\n'), source="x.csv")
    assert table.columns == {"text": ["a\nb", "c"], "label": ["1", "0"]}
    assert len(table) == 2
    assert [table.where(row) for row in range(2)] == ["x.csv:2", "x.csv:4"]


def test_a_byte_order_mark_is_not_part_of_the_first_column():
    assert list(read(_write("x.csv", b"\xef\xbb\xbftext,label\na,1\n"), source="x.csv").columns) == [
        "text",
        "label",
    ]


def test_an_extension_in_capitals_is_known():
    assert len(read(_write("X.TSV", "text\tlabel\na\t1\n"), source="X.TSV")) == 1


def test_a_csv_that_holds_tabs_is_read_as_such_and_says_so(caplog):
    with caplog.at_level(logging.INFO, "edgeroberta"):
        table = read(
            _write("sts.csv", 'x\t4.5\tA "b.\tOne, two.\ny\t1\tC.\tD.\tmore\n'),
            source="sts.csv",
            numbers=(3, 4, 2),
        )
    assert table.columns == {"#3": ['A "b.', "C."], "#4": ["One, two.", "D."], "#2": ["4.5", "1"]}
    assert caplog.messages == [
        "sts.csv: the first line has more tabs than commas, so it is read as tab-separated"
    ]


def test_jsonl_keeps_the_types_of_its_cells_and_the_union_of_its_keys():
    path = _write("x.jsonl", '{"text": "a\\u0000", "label": 1}\n\n{"text": "b\u2028", "tags": ["x"]}\n')
    table = read(path, source="x.jsonl")
    assert table.columns == {"text": ["a\0", "b\u2028"], "label": [1, None], "tags": [None, ["x"]]}
    assert table.where(1) == "x.jsonl:3"


def test_a_text_file_is_one_text_per_line():
    table = read(_write("x.txt", 'a, b\n\n"c\r\n'), source="x.txt")
    assert table.plain
    assert table.columns == {"text": ["a, b", '"c']}
    assert table.where(1) == "x.txt:3"


def test_parquet_rows_and_the_label_names_the_hub_stores():
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = {"_type": "ClassLabel", "names": ["neg", "pos"]}
    written = {"info": {"features": {"label": names, "text": {"_type": "Value", "dtype": "string"}}}}
    table = pyarrow.table({"text": ["a", None], "label": [1, 0]})
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(written)}), "x.parquet")
    found = read(Path("x.parquet"), source="x.parquet")
    assert found.columns == {"text": ["a", None], "label": [1, 0]}
    assert found.label_names == {"label": ("neg", "pos")}
    assert found.where(1) == "x.parquet: row 2"


LABEL = {"_type": "ClassLabel", "names": ["neg", "pos"]}


@pytest.mark.parametrize(
    "kind",
    [
        LABEL,
        {"feature": LABEL, "length": -1, "_type": "Sequence"},
        {"feature": LABEL, "_type": "List"},
        {"feature": {"feature": LABEL, "_type": "List"}, "_type": "LargeList"},
        [LABEL],
    ],
)
def test_names_are_found_in_the_features_of_lists_too(kind):
    metadata = {b"huggingface": json.dumps({"info": {"features": {"labels": kind, "x": None}}}).encode()}
    assert features.stored(metadata) == {"labels": ("neg", "pos")}


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"[" * 100_000,
        b"[]",
        b'{"info": {"features": []}}',
        b'{"info": {"features": {"x": {"names": 3}}}}',
    ],
)
def test_features_that_make_no_sense_are_none(written):
    assert features.stored({b"huggingface": written}) == {}
    deep: Any = LABEL
    for _ in range(10_000):
        deep = [deep]
    assert features.class_names(deep) is None


def test_names_are_found_in_the_features_of_a_loaded_data_set():
    label = SimpleNamespace(names=["neg", "pos"])
    kinds = {
        "a": label,
        "b": SimpleNamespace(feature=label),
        "c": [label],
        "d": SimpleNamespace(dtype="int64"),
    }
    assert features.named(kinds) == dict.fromkeys("abc", ("neg", "pos"))


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_objects_in_one_array_are_rows(name):
    path = _write(name, '\n [{"text": "a", "label": 1},\n{"text": "b", "tags": ["x"]}]')
    table = read(path, source=name)
    assert table.columns == {"text": ["a", "b"], "label": [1, None], "tags": [None, ["x"]]}
    assert table.where(1) == f"{name}: row 2"
    assert [part.where(0) for part in stream(path, source=name, rows=1)] == [
        f"{name}: row 1",
        f"{name}: row 2",
    ]


def test_a_csv_with_semicolons_is_read_as_such_and_says_so(caplog):
    with caplog.at_level(logging.INFO, "edgeroberta"):
        table = read(_write("x.csv", 'text;label\r\none, two;1\r\n"a; b";0\r\n'), source="x.csv")
    assert table.columns == {"text": ["one, two", "a; b"], "label": ["1", "0"]}
    assert caplog.messages == [
        "x.csv: the first line has more semicolons than commas, so it is read as semicolon-separated"
    ]


def test_a_damaged_parquet_file_is_refused():
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=r"^x\.parquet: not a readable Parquet file \(.+\)$") as caught:
        read(_write("x.parquet", b"PAR1 not really"), source="x.parquet")
    assert caught.value.exit_code == 2


def test_parquet_without_pyarrow_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnavailableError) as caught:
        read(_write("x.parquet", b"PAR1"), source="x.parquet")
    assert str(caught.value) == (
        "reading x.parquet needs the package 'pyarrow', which is not installed\n"
        "  next: pip install 'edgeroberta[parquet]'"
    )
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.csv", b"", "x.csv: the file is empty"),
        ("x.csv", b"\n\n", "x.csv: no rows"),
        ("x.csv", b"text,label\n", "x.csv: a header and no rows"),
        ("x.jsonl", b"\n \n", "x.jsonl: no rows"),
        ("x.txt", b"\r\n", "x.txt: no rows"),
        (
            "x.csv",
            b"text,label\nfine,1\ncaf\xe9,0\n",
            "x.csv:3: not UTF-8: byte 0xe9 at offset 21\n"
            "  next: convert it, e.g. iconv -f ISO-8859-1 -t UTF-8 x.csv > utf8.csv",
        ),
        (
            "x.csv",
            b"\xef\xbb\xbftext,label\n\xff,0\n",
            "x.csv:2: not UTF-8: byte 0xff at offset 14\n"
            "  next: convert it, e.g. iconv -f ISO-8859-1 -t UTF-8 x.csv > utf8.csv",
        ),
        (
            "x.csv",
            "text,label\nfine,1\n股市大涨，回升,0\n".encode("gbk"),
            "x.csv:3: not UTF-8: byte 0xb9 at offset 18\n"
            "  next: convert it, e.g. iconv -f GB18030 -t UTF-8 x.csv > utf8.csv",
        ),
        (
            "x.tsv",
            "text\tlabel\n".encode("utf-16"),
            "x.tsv:1: not UTF-8: byte 0xff at offset 0\n"
            "  next: convert it, e.g. iconv -f UTF-16 -t UTF-8 x.tsv > utf8.tsv",
        ),
        (
            "x.csv",
            b"text,label\nfine,1\nwell, not bad,0\n",
            "x.csv:3: 3 fields where the header has 2\n  next: put a field with a comma in quotes",
        ),
        (
            "x.tsv",
            b"text\tlabel\nfine\n",
            "x.tsv:2: 1 field where the header has 2\n"
            "  next: a tab always separates two fields, and a line break two rows",
        ),
        ("x.csv", b"text,label,text\na,1,b\n", "x.csv:1: the column 'text' is there 2 times"),
        (
            "x.jsonl",
            b'{"text": "a"}\n{"text": }\n',
            "x.jsonl:2: not valid JSON: Expecting value at column 10\n"
            "  next: write one JSON object per line, or all of them in one array",
        ),
        (
            "x.jsonl",
            b'\n["a", 1]\n',
            "x.jsonl: row 1: a JSON object is needed for every row\n"
            '  next: write one JSON object per line, e.g. {"text": "fine", "label": "positive"}',
        ),
        (
            "x.jsonl",
            b'{"text": "a"}\n[1]\n',
            "x.jsonl:2: a JSON object is needed for every row\n"
            '  next: write one JSON object per line, e.g. {"text": "fine", "label": "positive"}',
        ),
        (
            "x.json",
            b'[{"text": "a"},\n {"text": }]\n',
            "x.json: not valid JSON: Expecting value at line 2, column 11\n"
            "  next: write one JSON object per line, or all of them in one array",
        ),
        ("x.json", b"[]", "x.json: no rows"),
        ("x.csv.gz", b"..", "x.csv.gz: unknown file type '.gz'\n  next: unpack it first"),
        (
            "x.tsv",
            b"text\tlabel\rfine\t1\r",
            "x.tsv: its lines end in carriage returns alone\n"
            "  next: save it with line feeds: tr '\\r' '\\n' < old > new",
        ),
        (
            "x.jsonl",
            b'{"text": "a", "text": "b"}\n',
            "x.jsonl:1: not valid JSON: the key 'text' is there twice",
        ),
        ("x.cvs", b"a,b\n", "x.cvs: unknown file type '.cvs'\n  next: did you mean '.csv'?"),
        ("x.xlsx", b"PK", "x.xlsx: unknown file type '.xlsx'\n  next: save it as CSV"),
        (
            "reviews",
            b"a,b\n",
            "reviews: the file has no extension\n"
            "  next: known are .bio, .bioes, .conll, .csv, .in, .iob, .iob2, .json, .jsonl, .ndjson, "
            ".parquet, .tsv, .txt, .words",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name, data, message):
    with pytest.raises(DataError) as caught:
        read(_write(name, data), source=name)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_a_missing_file_and_a_folder_are_refused():
    with pytest.raises(DataError) as caught:
        read(Path("no.csv"), source="no.csv")
    assert str(caught.value) == "no.csv: no such file or folder\n  next: check the path"
    with pytest.raises(DataError, match=r"^\.: is a folder, a file is needed here$"):
        read(Path(), source=".")


def test_a_row_too_short_for_a_numbered_column_is_refused():
    with pytest.raises(DataError) as caught:
        read(_write("x.tsv", "a\t1\nb\n"), source="x.tsv", numbers=(1, 2))
    assert str(caught.value) == (
        "x.tsv:2: 1 field, so there is no column #2\n  next: a tab always separates two fields, and a line "
        "break two rows"
    )


def test_columns_by_number_are_for_delimited_files():
    with pytest.raises(DataError) as caught:
        read(_write("x.jsonl", "{}"), source="x.jsonl", numbers=(1,))
    assert str(caught.value) == (
        "x.jsonl: columns by number (#1) are for CSV and TSV files, and files of words and tags\n"
        "  next: name the columns: --text NAME --label NAME"
    )


def test_deeply_nested_json_is_refused_and_does_not_crash():
    with pytest.raises(DataError, match=r"^x\.jsonl: not valid JSON: "):
        read(_write("x.jsonl", "[" * 200_000), source="x.jsonl")
