from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeroberta.data import documents, text_lines
from edgeroberta.data.documents import DocumentForm, DocumentList, DocumentStream
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import DataError


def written(folder: Path, content: str | bytes, name: str = "corpus.txt") -> str:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return str(folder / name)


def read(name: str, form: DocumentForm = DocumentForm.AUTO, **options: Any) -> list[str]:
    found = documents.reformed(load(name, **options), form)
    return [text for chunk in found.chunks() for text in chunk]


def load(name: str, *, text: str | None = None, limit: int | None = None, **options: Any) -> DocumentStream:
    return documents.load(DataSpec("-", unlabelled=name, text=text, limit=limit), **options)


def test_each_line_of_a_text_file_is_a_document(tmp_path):
    assert read(written(tmp_path, "a film\nand another\r\n")) == ["a film", "and another"]


def test_lines_between_blank_ones_are_a_document_where_the_file_is_written_so(tmp_path):
    name = written(tmp_path, "One line\nand the next.\n\nA second\n \t\n\nthird text\n")
    assert read(name) == ["One line and the next.", "A second", "third text"]
    assert read(name, DocumentForm.ROWS) == ["One line", "and the next.", "A second", "third text"]


def test_one_blank_line_in_a_file_of_rows_separates_nothing(tmp_path):
    name = written(tmp_path, "a\n" * 60 + "\n" + "b\n" * 60)
    assert len(read(name)) == 120
    assert len(read(name, DocumentForm.BLANK_LINES)) == 2


def test_blank_lines_before_the_first_one_separate_nothing(tmp_path):
    assert read(written(tmp_path, "\n \n" + "a\n" * 60)) == ["a"] * 60
    assert read(written(tmp_path, "\na b\nc\n\nd\n")) == ["a b c", "d"]


@pytest.mark.parametrize("block", [1 << 22, 16])
def test_a_carriage_return_alone_ends_a_line(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text_lines, "BLOCK", block)
    lines = [f"a line {number}" for number in range(9)]
    assert read(written(tmp_path, "\r".join(lines))) == lines
    assert read(written(tmp_path, "\r\r\n".join(lines)), DocumentForm.ROWS) == lines
    assert read(written(tmp_path, "\r\n".join(lines) + "\r\n")) == lines


def test_lines_of_a_chinese_document_are_joined_without_a_space(tmp_path):
    assert read(written(tmp_path, "这部电影\n很好看。\n\n不好\nfilm\n")) == ["这部电影很好看。", "不好 film"]


def test_the_digest_is_of_the_documents_and_not_of_their_files(tmp_path):
    (tmp_path / "folder").mkdir()
    one = written(tmp_path, "first\nsecond\n")
    written(tmp_path / "folder", "first\n", "1.txt")
    written(tmp_path / "folder", "second\n", "2.txt")
    table = written(tmp_path, '{"text": "first"}\n{"text": "second"}\n', "rows.jsonl")
    found = {load(name).digest for name in (one, str(tmp_path / "folder"), table)}
    assert found == {DocumentList(["first", "second"]).digest}
    assert DocumentList(["firstsecond"]).digest not in found


def test_texts_that_models_are_judged_by_are_left_out(tmp_path, caplog):
    rows = Rows(("A  Film",), None, np.array([1]), "heldout.csv")
    name = written(tmp_path, "a film\nanother\n")
    assert read(name, without=[rows]) == ["another"]
    assert "1 documents left out" in caplog.text
    with pytest.raises(DataError, match="every text is also among"):
        load(written(tmp_path, "a film\n"), without=[rows])


def test_an_endless_line_is_cut_into_documents_at_spaces(tmp_path, monkeypatch):
    monkeypatch.setattr(text_lines, "BLOCK", 64)
    monkeypatch.setattr(text_lines, "LONGEST", 40)
    text = " ".join(f"word{n}" for n in range(200))
    found = read(written(tmp_path, text))
    assert max(map(len, found)) <= 40
    assert "".join(found) == text
    text = "很" * 333
    found = read(written(tmp_path, text))
    assert max(map(len, found)) <= 40
    assert "".join(found) == text


def test_lines_are_the_same_whatever_is_read_at_a_time(tmp_path, monkeypatch):
    name = written(tmp_path, b"\xef\xbb\xbffirst\r\n\r\nsecond \xe5\xbe\x88\n" + b"third\n" * 40)
    wanted = read(name, DocumentForm.ROWS)
    for size in range(3, 30):
        monkeypatch.setattr(text_lines, "BLOCK", size)
        lines = [line for part in text_lines.blocks(Path(name), source="x") for line in part]
        assert lines[0] == "first" or size < 9
        assert "".join(lines) == "".join(wanted)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    name = written(tmp_path, "a film\nanother\n")
    found = load(name)
    written(tmp_path, "a film\nanother one\n")
    with pytest.raises(DataError, match="has changed since"):
        list(found.chunks())


def test_a_sample_is_drawn_of_so_many_documents_as_are_wanted(tmp_path):
    name = written(tmp_path, "".join(f"text {n}\n" for n in range(50)))
    found = load(name, limit=7)
    texts = [text for chunk in found.chunks() for text in chunk]
    assert len(texts) == found.documents == 7
    assert texts != [f"text {n}" for n in range(7)]
    assert found.digest == DocumentList(texts).digest
    assert load(name, limit=99).digest == load(name).digest


def test_blank_lines_that_separate_documents_are_told(tmp_path):
    lines: list[str] = []
    load(written(tmp_path, "one\nand more\n\ntwo\n"), tell=lines.append)
    assert [line.split(": ", 1)[1] for line in lines] == [
        "blank lines separate its documents; documents: rows makes each line one"
    ]


def test_documents_left_out_are_counted_where_others_are_cut(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(text_lines, "LONGEST", 20)
    name = written(tmp_path, "a judged one\n" + "a long document that is cut in pieces\nanother\n")
    rows = Rows(("a judged one",), None, None, "rows.csv")
    assert read(name, without=(rows,)) == ["a long document ", "that is cut in ", "pieces", "another"]
    assert "1 documents left out" in caplog.text
