from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.data import DataSpec, Rows, load_splits, readers, splitting, streams
from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError
from edgeroberta.tasks import Problem, Task

SENTIMENT = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
TEXTS = tuple(f'text {i}, with a "quote",\ta tab, an ü and 😀' for i in range(23))
PAIRED = tuple(f"second {i}" for i in range(23))
TRAIN = Rows(("one", "two"), None, np.array([0, 1]), "train.csv")


@pytest.fixture(autouse=True)
def _small_parts_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(readers.stream, "__kwdefaults__", {**readers.stream.__kwdefaults__, "rows": 5})


def _csv(path: Path) -> None:
    quoted = ['"' + text.replace('"', '""').replace(", with", ",\nwith") + '"' for text in TEXTS]
    path.write_text("n,text,text_pair\n" + "".join(f"{i},{q},{PAIRED[i]}\n" for i, q in enumerate(quoted)))


def _tsv(path: Path) -> None:
    path.write_text(
        "text\ttext_pair\n" + "".join(f"{t[:12]}\t{p}\r\n" for t, p in zip(TEXTS, PAIRED, strict=True))
    )


def _jsonl(path: Path) -> None:
    rows = [{"text": text, "text_pair": pair} for text, pair in zip(TEXTS, PAIRED, strict=True)]
    path.write_text("\n\n".join(map(json.dumps, rows)))


def _parquet(path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": TEXTS, "text_pair": PAIRED}), path, row_group_size=7)


def _txt(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + "\n\n".join(TEXTS).encode())


FORMATS: dict[str, Callable[[Path], None]] = {
    "x.csv": _csv,
    "x.tsv": _tsv,
    "x.jsonl": _jsonl,
    "x.parquet": _parquet,
    "x.txt": _txt,
}


def load(
    name: str, *, pair: bool = False, without: tuple[Rows, ...] = (), **fields: object
) -> streams.TextStream:
    return streams.load(DataSpec("-", unlabelled=name, **fields), pair=pair, without=without)  # type: ignore[arg-type]


def whole(name: str, *, pair: bool = False) -> Rows:
    table = readers.read(Path(name), source=name)
    return Rows(tuple(table.columns["text"]), tuple(table.columns["text_pair"]) if pair else None, None, name)


def inputs(stream: streams.TextStream) -> list[object]:
    return [text for part in stream.chunks() for text in part.inputs()]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("pair", [False, True])
def test_a_stream_is_what_the_whole_file_is(name, pair):
    FORMATS[name](Path(name))
    if pair and name == "x.txt":
        pytest.skip("a .txt file has no pairs")
    stream, rows = load(name, pair=pair), whole(name, pair=pair)
    assert len(stream) == len(rows) == 23
    assert [len(part) for part in stream.chunks()] != [23]
    assert inputs(stream) == rows.inputs()
    assert stream.digest == rows.digest


@pytest.mark.parametrize("name", FORMATS)
def test_every_row_of_a_stream_knows_its_place(name):
    FORMATS[name](Path(name))
    table = readers.read(Path(name), source=name)
    parts: list[DataTable] = list(readers.stream(Path(name), source=name))
    assert len(parts) > 1
    places = [part.where(row) for part in parts for row in range(len(part))]
    assert places == [table.where(row) for row in range(len(table))]


def test_the_digest_is_of_the_content_and_not_of_the_path_or_format():
    Path("elsewhere").mkdir()
    for name in ("a.txt", "elsewhere/b.txt"):
        Path(name).write_text("one\ntwo\n")
    Path("c.csv").write_text("text\none\ntwo\n")
    Path("d.txt").write_text("one\nTwo\n")
    digests = [load(name).digest for name in ("a.txt", "elsewhere/b.txt", "c.csv", "d.txt")]
    assert len(set(digests[:3])) == 1
    assert digests[3] != digests[0]


def test_a_folder_is_read_file_by_file_in_the_order_of_names():
    Path("d").mkdir()
    Path("d/b.txt").write_text("three\n")
    Path("d/a.csv").write_text("text,more\none,x\ntwo,y\n")
    Path("d/notes.md").write_text("no data\n")
    assert inputs(load("d/")) == ["one", "two", "three"]
    Path("d/b.txt").write_text(" \nthree")
    with pytest.raises(DataError, match=r"^d/b\.txt:1: empty text in column 'text'"):
        load("d/")


def test_a_folder_without_data_is_refused():
    Path("d").mkdir()
    with pytest.raises(DataError) as caught:
        load("d")
    assert str(caught.value) == (
        "d: no data file in this folder\n  next: known are .bio, .bioes, .conll, .csv, .in, .iob, .iob2, "
        ".jsonl, .ndjson, .parquet, .tsv, .txt, .words"
    )


def test_a_limit_draws_the_rows_it_drew_when_files_were_read_whole():
    _txt(Path("x.txt"))
    keys = [str(i) for i in range(23)]
    for limit, seed in ((1, 0), (9, 0), (22, 3)):
        mask = splitting.hold_out(keys, None, limit, purpose="sample", seed=seed)
        stream = load("x.txt", limit=limit, seed=seed)
        assert inputs(stream) == [TEXTS[i] for i in np.flatnonzero(mask)]
        assert len(stream) == limit
    assert len(load("x.txt", limit=23)) == 23


def test_texts_of_the_gate_and_of_validation_are_left_out_and_said(caplog):
    _txt(Path("x.txt"))
    gate = Rows(TEXTS[:2], None, None, "e.csv")
    validation = Rows((TEXTS[0], TEXTS[22].replace(" ", "  ")), None, None, "v.csv")
    with caplog.at_level(logging.WARNING, "edgeroberta"):
        stream = load("x.txt", without=(gate, validation))
    assert inputs(stream) == list(TEXTS[2:22])
    assert stream.digest == Rows(TEXTS[2:22], None, None, "").digest
    assert caplog.messages == [
        "x.txt: 2 rows left out, also in e.csv",
        "x.txt: 1 rows left out, also in v.csv",
    ]


def test_nothing_left_is_an_error():
    _txt(Path("x.txt"))
    with pytest.raises(DataError, match=r"^x\.txt: every text is also in e\.csv, which it must not share"):
        load("x.txt", without=(Rows(TEXTS, None, None, "e.csv"),))


@pytest.mark.parametrize(
    ("text", "message"),
    {
        "far": (
            "text\n" + "a\n" * 11 + " \nb\n \n",
            "x.csv:13: empty text in column 'text' (the first of 2 rows)",
        ),
        "fields": ("text\n" + "a\n" * 11 + "a,b\n", "x.csv:13: 2 fields where the header has 1"),
        "quote": ("text\n" + "a\n" * 11 + '"a\n', "x.csv:13: a quote is opened and never closed"),
        "bytes": ("text\n" + "a\n" * 11 + "\udcff\n", "x.csv:13: not UTF-8: byte 0xff at offset 27"),
        "header": ("text\n", "x.csv: a header and no rows"),
        "column": ("words,n\na,b\n", "x.csv: no text column found among 'words', 'n'"),
        "empty": ("", "x.csv: the file is empty"),
    }.values(),
)
def test_bad_rows_are_refused_with_their_place_wherever_they_are(text, message):
    Path("x.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as caught:
        load("x.csv")
    assert str(caught.value).split("\n")[0] == message


def test_a_file_that_changes_during_a_run_is_noticed():
    Path("x.txt").write_text("one\ntwo\n")
    stream = load("x.txt")
    Path("x.txt").write_text("one\nthree\n")
    with pytest.raises(DataError) as caught:
        inputs(stream)
    assert str(caught.value) == (
        "x.txt: has changed since this run began\n"
        "  next: run the command again, and leave the data as it is meanwhile"
    )


def test_splits_take_the_stream_and_digest_it():
    rows = "".join(f"review {i},{('negative', 'positive')[i % 2]}\n" for i in range(40))
    Path("x.csv").write_text("text,label\n" + rows)
    Path("more.txt").write_text("".join(f"more {i}\n" for i in range(30)))
    without = load_splits(DataSpec("x.csv"), task=SENTIMENT)
    splits = load_splits(DataSpec("x.csv", unlabelled="more.txt"), task=SENTIMENT)
    assert splits.unlabelled is not None
    assert len(splits.unlabelled) == 30
    assert splits.training_digest != without.training_digest


def test_a_stream_of_many_texts_takes_a_byte_or_two_of_memory_each():
    def peak(count: int) -> int:
        with Path("x.csv").open("w") as file:
            file.write("text\n")
            file.writelines(f"the text number {i} of very many of them\n" for i in range(count))
        tracemalloc.start()
        stream = load("x.csv")
        assert stream.digest
        assert sum(len(part) for part in stream.chunks()) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(24_000) - peak(4_000) < 4 * 20_000  # as strings, 20,000 of them take 2 MB
