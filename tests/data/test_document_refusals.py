"""What unlabelled text is refused for, before anything is trained: what, where, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeroberta.data import documents
from edgeroberta.data.documents import DocumentForm
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import DataError, EdgeRobertaError, UnavailableError


def load(name: str | Path, **options: Any) -> documents.DocumentStream:
    without = options.pop("without", ())
    return documents.load(DataSpec("-", unlabelled=str(name), **options), without=without)


def refused(name: str | Path, error: type[EdgeRobertaError] = DataError, **options: Any) -> EdgeRobertaError:
    with pytest.raises(error) as caught:
        load(name, **options)
    assert caught.value.hint or caught.value.where
    return caught.value


def test_a_file_that_is_not_there(tmp_path):
    found = refused(tmp_path / "none.txt")
    assert (found.what, found.code) == ("no such file or folder", "data.not-found")


def test_an_empty_file(tmp_path):
    (tmp_path / "a.txt").touch()
    found = refused(tmp_path / "a.txt")
    assert (found.what, found.where) == ("the file is empty", str(tmp_path / "a.txt"))


@pytest.mark.parametrize("content", ["\n\n \t\n", " ", "\r\n\r\n", "\u3000\n"])
def test_blank_lines_alone(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content.encode())
    assert refused(tmp_path / "a.txt").what == "no text in it, only blank rows"


@pytest.mark.parametrize(
    ("data", "place", "hint"),
    [
        ("fine\nna\u00efve\n".encode("latin-1"), ":2", "iconv -f ISO-8859-1"),
        ("fine\n\u5f88\u597d\u7684\n".encode("gb18030"), ":2", "iconv -f GB18030"),
        ("fine\n".encode("utf-16"), ":1", "iconv -f UTF-16"),
    ],
)
def test_another_encoding_than_utf_8_with_its_line(tmp_path, data, place, hint):
    (tmp_path / "a.txt").write_bytes(data)
    found = refused(tmp_path / "a.txt")
    assert found.what.startswith("not UTF-8: byte 0x")
    assert str(found.where).endswith(f"a.txt{place}")
    assert hint in str(found.hint)


def test_another_encoding_far_behind_the_start(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a fine line\n" * 500_000 + b"na\xefve\n")
    assert str(refused(tmp_path / "a.txt").where).endswith(":500001")


@pytest.mark.parametrize(
    ("name", "hint"), [("a.txt.gz", "unpack it first"), ("a.docx", "known are"), ("a", "known are")]
)
def test_files_of_other_kinds(tmp_path, name, hint):
    (tmp_path / name).write_text("text")
    found = refused(tmp_path / name)
    assert hint in str(found.hint)


def test_a_folder_without_data_files(tmp_path):
    (tmp_path / "notes.md").write_text("text")
    found = refused(tmp_path)
    assert found.what == "no data file in this folder"
    assert "known are .bio" in str(found.hint)


def test_a_folder_of_folders(tmp_path):
    (tmp_path / "shard").mkdir()
    (tmp_path / "shard" / "a.txt").write_text("text")
    assert "folders in it are not read; name one of them" in str(refused(tmp_path).hint)


def test_a_folder_of_several_formats(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.csv").write_text("text\nfine\n")
    found = refused(tmp_path)
    assert found.what == "files of several formats: .csv, .txt"
    assert "a folder of their own" in str(found.hint)


def test_files_of_other_kinds_in_a_folder_are_named(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("text\nmore\n")
    (tmp_path / "LICENSE").write_text("text")
    assert load(tmp_path).documents == 2
    assert "files of other kinds are not read: 'LICENSE'" in caplog.text


def parquet(path: Path, **columns: list[Any]) -> Path:
    pyarrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    writer.write_table(pyarrow.table(columns), path)
    return path


def test_parquet_is_read_by_its_text_column_and_blank_cells_count_for_nothing(tmp_path):
    path = parquet(tmp_path / "a.parquet", id=[1, 2, 3], text=["one", None, " two"])
    assert [list(part) for part in load(path).chunks()] == [["one", " two"]]
    path = parquet(tmp_path / "b.parquet", body=["one"], id=[1])
    assert load(path, text="body").documents == 1


def test_parquet_without_a_text_column(tmp_path):
    found = refused(parquet(tmp_path / "a.parquet", id=[1], words=["a"]))
    assert found.what == "no text column found among 'id', 'words'"
    assert "--text COLUMN" in str(found.hint)


def test_a_column_that_is_not_there_and_no_usual_one_either(tmp_path):
    found = refused(parquet(tmp_path / "a.parquet", words=["a"]), text="word")
    assert found.what == "no column 'word'; the columns are 'words'"
    assert found.hint == "did you mean 'words'?"


def test_a_usual_column_is_taken_where_the_one_of_the_labelled_rows_is_not_there(tmp_path):
    assert load(parquet(tmp_path / "a.parquet", text=["a"]), text="phrase").documents == 1


def test_parquet_whose_text_is_numbers(tmp_path):
    found = refused(parquet(tmp_path / "a.parquet", text=[1, 2]))
    assert found.what == "column 'text' holds int, not text"
    assert str(found.where).endswith("a.parquet: row 1")


def test_parquet_whose_text_is_bytes(tmp_path):
    assert "make it a column of strings" in str(refused(parquet(tmp_path / "a.parquet", text=[b"a"])).hint)


def test_parquet_of_blank_cells_alone(tmp_path):
    assert refused(parquet(tmp_path / "a.parquet", text=[" ", None])).what == "no text in it, only blank rows"


def test_a_damaged_parquet_file(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 damaged")
    assert refused(tmp_path / "a.parquet").what.startswith("not a readable Parquet file")


def test_json_that_is_not_valid_with_its_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    found = refused(tmp_path / "a.jsonl")
    assert found.what.startswith("not valid JSON")
    assert str(found.where).endswith("a.jsonl:2")


def test_half_a_character_in_json(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n{"text": "\\ud83d"}\n')
    found = refused(tmp_path / "a.jsonl")
    assert found.what == "half of a surrogate pair in column 'text', at character 0"
    assert str(found.where).endswith("a.jsonl:2")


def test_a_table_whose_rows_have_too_many_fields(tmp_path):
    (tmp_path / "a.csv").write_text("text,id\nfine,1\na, b,2\n")
    assert str(refused(tmp_path / "a.csv").where).endswith("a.csv:3")


def test_text_that_is_all_among_the_rows_of_the_gate(tmp_path):
    (tmp_path / "a.txt").write_text("A film\n")
    rows = Rows(("a film",), None, np.array([1]), "heldout.csv")
    assert refused(tmp_path / "a.txt", without=[rows]).what.startswith("every text is also among")


def test_a_file_that_changes_between_two_readings(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    found = documents.reformed(load(tmp_path / "a.txt"), DocumentForm.ROWS)
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    with pytest.raises(DataError, match="has changed since this run began"):
        list(found.chunks())


def test_a_file_that_goes_away_between_two_readings(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    found = load(tmp_path / "a.txt")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(DataError, match="no such file"):
        list(found.chunks())


class Streamed:
    """What is used of ``datasets.IterableDataset``."""

    def __init__(self, **columns: list[Any]) -> None:
        self._columns = columns

    def iter(self, batch_size: int) -> Any:
        count = len(next(iter(self._columns.values()), []))
        for start in range(0, count, batch_size):
            yield {name: cells[start : start + batch_size] for name, cells in self._columns.items()}


@pytest.fixture
def hub(monkeypatch) -> Any:
    """A stand-in for the package datasets; ``splits`` is what it loads."""
    fake = SimpleNamespace(splits={}, asked=[])

    def load_dataset(name: str, configuration: str | None, *, streaming: bool) -> Any:
        fake.asked.append((name, configuration, streaming))
        if isinstance(fake.splits, Exception):
            raise fake.splits
        return fake.splits

    fake.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return fake


def test_a_data_set_on_the_hub_is_streamed_and_its_training_rows_are_read(hub):
    hub.splits = {"test": Streamed(text=["no"]), "train": Streamed(id=list(range(600)), text=["a", ""] * 300)}
    found = load("owner/corpus:english")
    assert found.documents == 300
    assert [len(part) for part in found.chunks()] == [128, 128, 44]
    assert hub.asked == [("owner/corpus", "english", True)] * 2


def test_a_data_set_that_is_not_on_the_hub(hub):
    hub.splits = FileNotFoundError("Dataset 'owner/none' doesn't exist on the Hub")
    found = refused("owner/none")
    assert found.what.startswith("no such file or folder, and not loaded from the Hub (FileNotFoundError")


def test_a_data_set_without_rows(hub):
    hub.splits = {"train": Streamed()}
    assert refused("owner/empty").what == "no rows"


def test_a_data_set_without_a_text_column(hub):
    hub.splits = {"train": Streamed(words=["a"])}
    found = refused("owner/words")
    assert found.what == "no text column found among 'words'"
    assert found.where == "owner/words[train]"


def test_a_data_set_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    found = refused("owner/corpus", UnavailableError)
    assert "edgeroberta[hub]" in str(found.hint)
