from __future__ import annotations

import csv
import datetime
import decimal
import io
import itertools
import json
import os
import tracemalloc
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from fake_progress import Heard, Kill, Killed

from edgeroberta.annotation import filtering, pacing
from edgeroberta.annotation.filtering import FilterOptions, OnError
from edgeroberta.annotation.formats import Format
from edgeroberta.annotation.reading import Wanted
from edgeroberta.errors import DataError, UnavailableError, UsageError
from edgeroberta.progress import Progress
from edgeroberta.runtime import Problem, Runtime
from edgeroberta.storage import jsontext
from edgeroberta.tasks import Task

ROWS = [("1", "great film"), ("2", "a waste, of time"), ("3", 'so "good"')]
SAID = {"great film": "positive", 'so "good"': "positive"}
READ = {
    "csv": lambda file: list(csv.DictReader(io.StringIO(file.read_text(), newline=""))),
    "tsv": lambda file: list(
        csv.DictReader(io.StringIO(file.read_text()), delimiter="\t", quoting=csv.QUOTE_NONE)
    ),
    "jsonl": lambda file: [json.loads(line) for line in file.read_text().splitlines()],
    "parquet": lambda file: pyarrow.parquet.read_table(file).to_pylist(),
}


def fake(**others) -> Runtime:
    return Runtime.fake(answers=SAID, **others)


def write_rows(folder: Path, rows=ROWS) -> dict[str, Path]:
    """The same rows in every format."""
    found = {name: folder / f"in.{name}" for name in ("csv", "tsv", "jsonl", "parquet")}
    with found["csv"].open("w", newline="") as handle:
        csv.writer(handle).writerows([("id", "review"), *rows])
    found["tsv"].write_text("".join("\t".join(row) + "\n" for row in [("id", "review"), *rows]))
    found["jsonl"].write_text("".join(json.dumps({"id": i, "review": text}) + "\n" for i, text in rows))
    table = pyarrow.table({"id": [i for i, _ in rows], "review": [text for _, text in rows]})
    pyarrow.parquet.write_table(table, found["parquet"])
    return found


def run(runtime, source, output, **options) -> filtering.Counts:
    wanted = options.pop("wanted", Wanted())
    return filtering.run(
        runtime, str(source), str(output), FilterOptions(wanted, **options), progress=Progress()
    )


@pytest.mark.parametrize("written", READ)
@pytest.mark.parametrize("read", READ)
def test_rows_keep_their_columns_and_order_and_get_their_answers_in_every_format(tmp_path, read, written):
    source = write_rows(tmp_path)[read]
    counts = run(fake(), source, tmp_path / f"out.{written}")
    found = READ[written](tmp_path / f"out.{written}")
    assert [(row["id"], row["review"]) for row in found] == ROWS
    assert [row["label"] for row in found] == ["positive", "negative", "positive"]
    assert all(0.5 < float(row["score"]) < 1 for row in found)
    assert list(found[0]) == ["id", "review", "label", "score", "truncated"]
    assert (counts.rows, counts.refused, counts.truncated) == (3, 0, 0)
    assert not list(tmp_path.glob(".*"))


def test_lines_become_a_column(tmp_path):
    (tmp_path / "in.txt").write_text("great film\n\n")
    run(fake(), tmp_path / "in.txt", tmp_path / "out.csv")
    found = READ["csv"](tmp_path / "out.csv")
    assert [(row["text"], row["label"]) for row in found] == [("great film", "positive"), ("", "negative")]


@pytest.mark.parametrize("name", ["csv", "tsv", "jsonl", "parquet"])
def test_the_order_is_kept_over_blocks_of_every_size(tmp_path, monkeypatch, name):
    monkeypatch.setattr(pacing, "FIRST", 3)
    monkeypatch.setattr(pacing, "MOST", 7)
    rows = [(str(number), f"text {number} {'word ' * (number * 7 % 11)}") for number in range(100)]
    wanted = {text: ("positive" if number % 3 else "negative") for number, (_, text) in enumerate(rows)}
    source = write_rows(tmp_path, rows)[name]
    run(Runtime.fake(answers=wanted), source, tmp_path / f"out.{name}")
    found = READ[name](tmp_path / f"out.{name}")
    assert [(row["id"], row["label"]) for row in found] == [(i, wanted[text]) for i, text in rows]


@pytest.mark.parametrize("workers", [2, 3, 70])
def test_threads_that_share_the_rows_keep_their_order_and_their_errors(tiny_bundle, tmp_path, workers):
    texts = [f"text {number} {'word ' * (number * 7 % 11)}" for number in range(300)]
    texts[200] = "a <pad> b"
    source = write_rows(tmp_path, [(str(number), text) for number, text in enumerate(texts)])["csv"]
    with Runtime.open(tiny_bundle, engine="onnxruntime", threads=1) as runtime:
        for count in (1, workers):
            found = run(runtime, source, tmp_path / f"{count}.csv", on_error=OnError.NULL, workers=count)
            assert (found.rows, found.refused) == (300, 1)
            assert found.first is not None
            assert found.first.where == f"{source}:202"
    assert (tmp_path / f"{workers}.csv").read_text() == (tmp_path / "1.csv").read_text()


def test_types_of_parquet_stay_and_answers_have_theirs(tmp_path):
    types = {"id": pyarrow.int32(), "text": pyarrow.large_string(), "tags": pyarrow.list_(pyarrow.int8())}
    table = pyarrow.table({"id": [1, None], "text": ["a", "b"], "tags": [[1], None]}, pyarrow.schema(types))
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    run(fake(), tmp_path / "in.parquet", tmp_path / "out.parquet", scores=True)
    found = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert found.select(list(types)).equals(table)
    scores = pyarrow.struct([("negative", pyarrow.float64()), ("positive", pyarrow.float64())])
    assert {field.name: field.type for field in found.schema if field.name not in types} == {
        "label": pyarrow.string(), "score": pyarrow.float64(), "scores": scores, "truncated": pyarrow.bool_(),
    }  # fmt: skip


def test_embeddings_are_lists_of_one_size(tmp_path):
    runtime = Runtime.fake(problem=Problem.EMBEDDING, answers={"a": [0.6, 0.8], "b": [0.8, 0.6]})
    (tmp_path / "in.txt").write_text("a\nb\n")
    run(runtime, tmp_path / "in.txt", tmp_path / "out.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert found.schema.field("embedding").type == pyarrow.list_(pyarrow.float32(), 2)
    assert found["embedding"].to_pylist()[0] == pytest.approx([0.6, 0.8])
    (tmp_path / "pairs.jsonl").write_text('{"text": "a", "text_pair": "b"}\n{"text": "a"}\n')
    run(runtime, tmp_path / "pairs.jsonl", tmp_path / "out.csv", on_error=OnError.NULL)
    first, second = READ["csv"](tmp_path / "out.csv")
    assert float(first["similarity"]) == pytest.approx(0.96)
    assert second["error"] == "data: a single text, and the first row is a pair"


def test_entities_answers_and_labels_are_nested_or_json(tmp_path):
    tagger = Runtime.fake(("EMAIL",), {"Mail bob@x.org!": [("EMAIL", 5, 14)]}, problem=Problem.TOKENS)
    (tmp_path / "in.txt").write_text("Mail bob@x.org!\nnobody\n")
    wanted = [{"label": "EMAIL", "start": 5, "end": 14, "text": "bob@x.org"}]
    for name in ("csv", "jsonl", "parquet"):
        run(tagger, tmp_path / "in.txt", tmp_path / f"out.{name}")
        cells = [row["entities"] for row in READ[name](tmp_path / f"out.{name}")]
        first, second = [json.loads(cell) if name == "csv" else cell for cell in cells]
        assert [{k: v for k, v in each.items() if k != "score"} for each in first] == wanted
        assert second == []
    asked = ("When?", "It opens at nine.")
    reader = Runtime.fake(("start", "end"), {asked: "nine"}, problem=Problem.SPANS)
    (tmp_path / "in.jsonl").write_text(json.dumps({"question": asked[0], "context": asked[1]}))
    run(reader, tmp_path / "in.jsonl", tmp_path / "out.parquet")
    (row,) = READ["parquet"](tmp_path / "out.parquet")
    assert (row["answer"], row["start"], row["end"]) == ("nine", 12, 16)
    labels = Runtime.fake(("a", "b"), {"both": ("a", "b")}, problem=Problem.MULTI_LABEL)
    (tmp_path / "in.txt").write_text("both\nnone\n")
    run(labels, tmp_path / "in.txt", tmp_path / "out.parquet")
    assert [row["labels"] for row in READ["parquet"](tmp_path / "out.parquet")] == [["a", "b"], []]
    masks = Runtime.fake(problem=Problem.MASKED, answers={"a <mask>.": "b"})
    (tmp_path / "in.txt").write_text("a <mask>.\n")
    run(masks, tmp_path / "in.txt", tmp_path / "out.parquet")
    (row,) = READ["parquet"](tmp_path / "out.parquet")
    assert row["masks"][0][0]["text"].strip() == "b"


def test_the_tier_that_answered_is_a_column(tmp_path):
    (tmp_path / "in.txt").write_text("great film\nelse\n")
    run(fake(tiers={"tiny": ["great film"], "int8": []}), tmp_path / "in.txt", tmp_path / "out.jsonl")
    assert [row["tier"] for row in READ["jsonl"](tmp_path / "out.jsonl")] == ["tiny", "int8"]


def test_a_row_that_cannot_be_answered_ends_it_and_no_file_is_there(tmp_path):
    (tmp_path / "in.csv").write_text("id,review\n1,great film\n2,\n3,fine\n")
    (tmp_path / "out.csv").write_text("of before")
    with pytest.raises(DataError) as caught:
        run(fake(), tmp_path / "in.csv", tmp_path / "out.csv")
    assert caught.value.code == "data.row"
    assert caught.value.where == f"{tmp_path}/in.csv:3"
    assert (tmp_path / "out.csv").read_text() == "of before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_rows_that_cannot_be_answered_are_left_out_or_empty(tmp_path, name):
    lines = ['{"id": 1, "text": "great film"}', '{"id": 2}', "no JSON", '{"id": 4, "text": "dull"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    counts = run(fake(), tmp_path / "in.jsonl", tmp_path / f"out.{name}", on_error=OnError.SKIP)
    assert [int(row["id"]) for row in READ[name](tmp_path / f"out.{name}")] == [1, 4]
    assert (counts.rows, counts.refused) == (4, 2)
    assert counts.first is not None
    assert counts.first.where == f"{tmp_path}/in.jsonl:2"
    run(fake(), tmp_path / "in.jsonl", tmp_path / f"out.{name}", on_error=OnError.NULL)
    rows = READ[name](tmp_path / f"out.{name}")
    assert [row["label"] or None for row in rows] == ["positive", None, None, "negative"]
    errors = [row["error"] or "" for row in rows]
    assert errors[1] == "data.row: no text in column 'text'"
    assert errors[2].startswith("data: not JSON")
    assert (errors[0], errors[3]) == ("", "")


def test_a_row_that_the_model_refuses_is_named_by_its_place(tiny_bundle, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngreat\na <pad> b\nfine\n")
    with Runtime.open(tiny_bundle) as runtime:
        with pytest.raises(UsageError) as caught:
            run(runtime, tmp_path / "in.csv", tmp_path / "out.csv")
        assert caught.value.where == f"{tmp_path}/in.csv:3"
        counts = run(runtime, tmp_path / "in.csv", tmp_path / "out.csv", on_error=OnError.SKIP)
        rows = READ["csv"](tmp_path / "out.csv")
        assert [row["text"] for row in rows] == ["great", "fine"]
        assert [row["label"] for row in rows] == [runtime("great").label, runtime("fine").label]
    assert counts.refused == 1


def test_a_column_of_the_name_of_an_answer_is_refused_or_avoided(tmp_path):
    (tmp_path / "in.csv").write_text("label,text\nx,great film\n")
    with pytest.raises(UsageError) as caught:
        run(fake(), tmp_path / "in.csv", tmp_path / "out.csv")
    assert (caught.value.code, caught.value.where) == ("usage.column-taken", f"{tmp_path}/in.csv")
    run(fake(), tmp_path / "in.csv", tmp_path / "out.csv", prefix="predicted_")
    (row,) = READ["csv"](tmp_path / "out.csv")
    assert (row["label"], row["predicted_label"]) == ("x", "positive")
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": "b", "label": "x"}\n')
    for written in ("csv", "jsonl", "parquet"):
        with pytest.raises(UsageError, match="have a column 'label'") as caught:
            run(fake(), tmp_path / "in.jsonl", tmp_path / f"o.{written}")
        assert caught.value.where == f"{tmp_path}/in.jsonl:2"


def test_no_rows_give_no_rows(tmp_path):
    for name, data in (("in.csv", "text\n"), ("in.jsonl", ""), ("in.txt", "")):
        (tmp_path / name).write_text(data)
        for written in READ:
            assert run(fake(), tmp_path / name, tmp_path / f"out.{written}").rows == 0
            assert READ[written](tmp_path / f"out.{written}") == []


def test_a_killed_run_leaves_nothing_under_the_final_name(tmp_path, monkeypatch):
    monkeypatch.setattr(pacing, "FIRST", 1)
    monkeypatch.setattr(pacing, "MOST", 1)
    source = write_rows(tmp_path)["csv"]
    with pytest.raises(Killed):
        filtering.run(fake(), str(source), str(tmp_path / "out.csv"), FilterOptions(), progress=Kill(0))
    assert not (tmp_path / "out.csv").exists()


def test_progress_counts_rows_of_parquet_and_kilobytes_of_text(tmp_path):
    sources = write_rows(tmp_path, [(str(number), "word " * 100) for number in range(500)])
    for name, total in (("parquet", 500), ("csv", sources["csv"].stat().st_size // 1000)):
        heard = Heard()
        filtering.run(fake(), str(sources[name]), str(tmp_path / "o.jsonl"), FilterOptions(), progress=heard)
        assert heard.begun == [("run", 0)]
        assert heard.steps[-1] == total
        assert heard.steps == sorted(heard.steps)


@pytest.mark.parametrize(
    ("output", "options", "what"),
    [
        ("in.csv", {}, "the output is the input itself"),
        (".", {}, "is a folder; a file is written"),
        ("/dev/stdout", {"output_format": Format.CSV}, "is a pipe or a device, which a file would replace"),
        ("none/out.csv", {}, "there is no such folder to write into"),
        ("out.txt", {}, "txt is only read; written are jsonl, csv, tsv, parquet"),
        ("out", {}, "the file's name has no extension"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_work_begins(tmp_path, output, options, what):
    (tmp_path / "in.csv").write_text("text\na\n")
    with pytest.raises(UsageError) as caught:
        run(fake(), tmp_path / "in.csv", tmp_path / output, **options)
    assert caught.value.what == what


def test_tsv_refuses_what_would_end_a_cell_and_names_the_row(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": "b\\tc"}\n')
    with pytest.raises(DataError) as caught:
        run(fake(), tmp_path / "in.jsonl", tmp_path / "out.tsv")
    assert caught.value.where == f"{tmp_path}/in.jsonl:2"


def test_rows_of_json_that_change_are_refused_where_columns_must_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(pacing, "FIRST", 1)
    monkeypatch.setattr(pacing, "MOST", 1)
    (tmp_path / "in.jsonl").write_text('{"text": "a", "n": 1}\n{"text": "b", "n": "x"}\n')
    with pytest.raises(DataError, match="do not have the types of the first ones") as caught:
        run(fake(), tmp_path / "in.jsonl", tmp_path / "out.parquet")
    assert caught.value.where == f"{tmp_path}/in.jsonl:2"
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": "b", "m": "x"}\n')
    with pytest.raises(DataError, match="which the first rows do not have"):
        run(fake(), tmp_path / "in.jsonl", tmp_path / "out.csv")
    run(fake(), tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert READ["jsonl"](tmp_path / "out.jsonl")[1]["m"] == "x"


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    sources = write_rows(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    for source, output in (("parquet", "out.csv"), ("csv", "out.parquet")):
        with pytest.raises(UnavailableError) as caught:
            run(fake(), sources[source], tmp_path / output)
        assert "edgeroberta[parquet]" in str(caught.value.hint)


def test_memory_does_not_grow_with_the_rows(tiny_bundle, tmp_path, monkeypatch):
    """20,000 rows hold no more than 4,000 do; a list of all of them would take five times as much."""
    monkeypatch.setattr(pacing, "MOST", 512)
    peaks = []
    with Runtime.open(tiny_bundle, engine="onnxruntime", threads=1) as runtime:
        for count in (4_000, 20_000):
            source = write_rows(tmp_path, [(str(number), "good word") for number in range(count)])["jsonl"]
            tracemalloc.start()
            run(runtime, source, tmp_path / "out.jsonl")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_every_problem_has_columns():
    from edgeroberta.annotation import answer_columns

    for problem in Problem:
        task = Task(problem, ("a", "b"), dimensions=None)
        assert answer_columns.columns(task)[-1].name == "truncated"


def test_formats_may_be_said_where_names_do_not(tmp_path):
    (tmp_path / "in").write_text('"great film"\n')
    run(
        fake(), tmp_path / "in", tmp_path / "out", wanted=Wanted(Format.JSONL), output_format=Format.CSV
    )  # fmt: skip
    assert (tmp_path / "out").read_text().splitlines()[0] == "text,label,score,truncated"


def test_a_carriage_return_in_a_cell_is_read_back_from_csv(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a\\rb", "note": "c\\r\\nd"}\n')
    run(fake(), tmp_path / "in.jsonl", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as handle:
        (found,) = csv.DictReader(handle)
    assert (found["text"], found["note"]) == ("a\rb", "c\r\nd")
    assert (tmp_path / "out.csv").read_bytes().splitlines(keepends=True)[0].endswith(b"truncated\n")


def test_dates_and_decimals_of_parquet_are_plain_text_elsewhere(tmp_path):
    day, price = datetime.date(2024, 2, 29), decimal.Decimal("1.10")
    table = pyarrow.table({"text": ["a"], "day": [day], "price": [price], "raw": [b"\xff"]})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    run(fake(), tmp_path / "in.parquet", tmp_path / "out.csv")
    row = READ["csv"](tmp_path / "out.csv")[0]
    assert (row["day"], row["price"], row["raw"]) == ("2024-02-29", "1.10", "\\xff")


def test_times_that_python_has_no_room_for_are_written_all_the_same(tmp_path):
    columns = {
        "far": pyarrow.array([4 * 10**17], pyarrow.timestamp("us")),
        "time": pyarrow.array([1_577_840_523_123], pyarrow.time64("ns")),
    }
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], **columns}), tmp_path / "in.parquet")
    run(fake(), tmp_path / "in.parquet", tmp_path / "out.jsonl")
    (row,) = READ["jsonl"](tmp_path / "out.jsonl")
    assert row["far"].startswith("14645-")
    assert row["time"] == "00:26:17.840523123"


def test_what_json_has_no_number_for_is_null_in_it(tmp_path):
    numbers = {"a": [float("nan"), float("inf"), 1.5], "b": [[float("nan")], [1.0], None]}
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b", "c"], **numbers}), tmp_path / "in.parquet")
    run(fake(), tmp_path / "in.parquet", tmp_path / "out.jsonl")
    found = [jsontext.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["a"], row["b"]) for row in found] == [(None, [None]), (None, [1.0]), (1.5, None)]
    run(fake(), tmp_path / "in.parquet", tmp_path / "out.csv")
    assert [row["b"] for row in READ["csv"](tmp_path / "out.csv")] == ["[null]", "[1.0]", ""]


@pytest.mark.parametrize(
    "rows",
    [
        '{"text": "a", "n": 1}\n{"text": "b", "n": "x"}\n',
        '{"text": "a", "n": 12345678901234567890}\n',
        '{"text": "a", "n": "\\ud800"}\n',
        '{"text": "a", "n": {}}\n',
    ],
)
def test_values_that_parquet_has_not_are_refused_with_their_place(tmp_path, rows):
    (tmp_path / "in.jsonl").write_text(rows)
    with pytest.raises(DataError, match="have values that Parquet has not") as caught:
        run(fake(), tmp_path / "in.jsonl", tmp_path / "out.parquet")
    assert caught.value.where == f"{tmp_path}/in.jsonl:1"
    assert [each.name for each in tmp_path.iterdir()] == ["in.jsonl"]


def test_row_groups_with_dictionaries_of_their_own_are_read_back(tmp_path):
    narrow = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())
    schema = pyarrow.schema([("text", pyarrow.string()), ("kind", narrow)])
    kinds = [[f"{group}-{number}" for number in range(100)] for group in range(3)]
    with pyarrow.parquet.ParquetWriter(tmp_path / "in.parquet", schema) as writer:
        for each in kinds:
            writer.write_table(pyarrow.table({"text": ["a"] * 100, "kind": pyarrow.array(each, narrow)}))
    run(fake(), tmp_path / "in.parquet", tmp_path / "out.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert found.schema.field("kind").type == narrow
    assert found.column("kind").to_pylist() == [*itertools.chain(*kinds)]


@pytest.mark.parametrize("first", ["no JSON", "{}", "null", "\n\n3"])
def test_a_first_line_that_says_nothing_does_not_choose_the_columns(tmp_path, first):
    (tmp_path / "in.jsonl").write_text(first + '\n{"id": 1, "review": "great film"}\n')
    counts = run(fake(), tmp_path / "in.jsonl", tmp_path / "out.csv", on_error=OnError.SKIP)
    assert (counts.rows, counts.refused) == (2, 1)
    assert [row["label"] for row in READ["csv"](tmp_path / "out.csv")] == ["positive"]


def test_a_pipe_is_not_replaced_by_a_file_and_a_link_leads_to_it(tmp_path):
    (tmp_path / "in.csv").write_text("text\na\n")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="is a pipe or a device"):
        run(fake(), tmp_path / "in.csv", tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to("there.csv")
    run(fake(), tmp_path / "in.csv", tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert len(READ["csv"](tmp_path / "there.csv")) == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_is_not_steered_by_what_rows_hold(tmp_path, monkeypatch, terminal):
    source = tmp_path / "x.csv"
    source.write_text("text\n\x1b[2Jgreat film\n")
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(out, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("sys.stdout", out)
    run(fake(), source, "-")
    written = out.buffer.getvalue()
    assert b"great film" in written
    assert (b"\x1b" in written) != terminal


def test_texts_that_were_cut_are_counted_over_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(pacing, "FIRST", 1)
    monkeypatch.setattr(pacing, "MOST", 1)
    source = tmp_path / "x.txt"
    source.write_text(f"{'word ' * 600}\nshort\n{'word ' * 600}\nshort\n")
    assert run(fake(), source, tmp_path / "y.csv").truncated == 2
