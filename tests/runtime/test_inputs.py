from __future__ import annotations

import io
from pathlib import Path

import pytest

from edgeroberta.errors import DataError, UsageError
from edgeroberta.runtime.inputs import pair_up, read


def lines(tmp_path: Path, data: bytes, name: str = "texts.txt", *, pair: bool = False):
    (tmp_path / name).write_bytes(data)
    return list(read(tmp_path / name, pair=pair))


def test_each_line_is_a_text(tmp_path):
    assert lines(tmp_path, b"one\r\ntwo\n\nfour") == ["one", "two", "", "four"]
    assert lines(tmp_path, b"") == []


def test_unicode_line_separators_are_part_of_a_text(tmp_path):
    text = "a\u2028b\u0085c\x0bd"
    assert lines(tmp_path, f"{text}\n".encode()) == [text]


def test_a_byte_order_mark_is_no_text(tmp_path):
    assert lines(tmp_path, b"\xef\xbb\xbfone\n") == ["one"]


def test_a_tab_divides_a_pair(tmp_path):
    assert lines(tmp_path, b"a\tb\tc\n", pair=True) == [("a", "b\tc")]


def test_json_lines_are_texts_or_objects(tmp_path):
    assert lines(tmp_path, b'"a\\nb"\n{"text": "c", "id": 7}\n', "x.jsonl") == ["a\nb", "c"]
    data = b'["a", "b"]\n{"text": "c", "text_pair": "d"}\n'
    assert lines(tmp_path, data, "x.jsonl", pair=True) == [("a", "b"), ("c", "d")]


def test_a_hyphen_is_standard_input(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"one\ntwo\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    assert list(read(Path("-"), pair=False)) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "data", "pair", "what"),
    [
        ("x.txt", b"fine\nab\xff\n", False, "not UTF-8 (byte 2 of the line)"),
        ("x.txt", b"a\tb\nc d\n", True, "a pair is two texts with a tab between them; there is no tab"),
        (
            "x.jsonl",
            b'"a"\n{"a\n',
            False,
            "not JSON (Unterminated string starting at: line 1 column 2 (char 1))",
        ),
        ("x.jsonl", b'"a"\n3\n', False, 'each line is a text, or an object with the field "text"'),
        ("x.jsonl", b'"a"\n{"txt": "a"}\n', False, 'each line is a text, or an object with the field "text"'),
        (
            "x.jsonl",
            b'["a", "b"]\n["a"]\n',
            True,
            'each line is a list of two texts, or an object with the fields "text" and "text_pair"',
        ),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path, name, data, pair, what):
    with pytest.raises(DataError) as caught:
        lines(tmp_path, data, name, pair=pair)
    assert (caught.value.what, caught.value.where) == (what, f"{tmp_path}/{name}:2")
    assert caught.value.exit_code == 2


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        list(read(tmp_path / "none.txt", pair=False))
    assert str(caught.value) == f"{tmp_path}/none.txt: cannot be read (No such file or directory)"


def test_words_pair_up_two_by_two():
    assert pair_up(["a", "b", "c", "d"]) == [("a", "b"), ("c", "d")]
    with pytest.raises(UsageError) as caught:
        pair_up(["a", "b", "c"])
    assert str(caught.value) == "TEXT: --pair takes texts two by two, but there are 3"
