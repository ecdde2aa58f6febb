from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from edgeroberta import cli

ROOT = Path(__file__).parents[2]


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main(["run", *(str(word) for word in words)])
    return leave.value.code if isinstance(leave.value.code, int) else 0


def process(*words: object, **options) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-m", "edgeroberta", "run", *map(str, words)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    try:
        return subprocess.Popen(command, env=environment, **{**pipes, **options})
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def reviews(tmp_path):
    file = tmp_path / "reviews.csv"
    file.write_text("id,review\n1,great film\n2,dull\n")
    return file


def test_a_file_and_an_output_make_a_filter(tiny_bundle, reviews, tmp_path, capsys):
    assert run(tiny_bundle, reviews, "-o", tmp_path / "answers.parquet") == 0
    said = capsys.readouterr()
    assert (said.out, said.err.split(" in ")[0]) == ("", "2 rows answered")
    table = pyarrow.parquet.read_table(tmp_path / "answers.parquet")
    assert table.column_names == ["id", "review", "label", "score", "truncated"]
    assert run(tiny_bundle, "--input", reviews, "-o", tmp_path / "answers.csv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert (tmp_path / "answers.csv").read_text().startswith("id,review,label,score,truncated\n1,great film,")


def test_options_of_the_filter_reach_it(tiny_bundle, tmp_path, capsys):
    (tmp_path / "x.txt").write_text('{"label": 1, "body": "a"}\n{"label": 2}\n')
    words = ("--format", "jsonl", "--text", "body", "--prefix", "p_", "--scores", "--on-error", "null")
    assert run(tiny_bundle, tmp_path / "x.txt", "-o", tmp_path / "y", "--output-format", "jsonl", *words) == 0
    first, second = [json.loads(line) for line in (tmp_path / "y").read_text().splitlines()]
    assert sorted(first) == ["body", "label", "p_error", "p_label", "p_score", "p_scores", "p_truncated"]
    assert second["p_error"].startswith("data.row: ")
    assert "2 rows" not in capsys.readouterr().err


def test_no_row_answered_ends_with_2(tiny_bundle, tmp_path, capsys):
    (tmp_path / "x.csv").write_text("text\n \n")
    assert run(tiny_bundle, tmp_path / "x.csv", "-o", tmp_path / "y.csv", "--on-error", "skip") == 2
    assert "no row could be answered" in capsys.readouterr().err


def test_answers_to_a_table_are_shown_without_an_output(tiny_bundle, reviews, capsys):
    assert run(tiny_bundle, "--input", reviews) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["great film", "dull"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("a.csv", "b.csv", "-o", "c.csv"), "--output: more than one file"),
        (("-o", "c.csv"), "--output: no file whose rows are answered"),
        (("text", "--watch", "x.log"), "--watch: texts and --watch together"),
        (("--watch", "x.log", "-o", "y.jsonl"), "--watch: --output and --watch together"),
        (("a text", "--text", "review"), "--text: is of a file that is read"),
        (("--input", "x.csv", "--scores"), "--scores: is of what --output writes"),
        (("--watch", "x.log", "--on-error", "skip"), "--on-error: is of what --output writes"),
    ],
)
def test_what_contradicts_itself_is_refused_before_the_bundle_is_opened(tmp_path, capsys, words, what):
    assert run(tmp_path / "none", *words) == 2
    assert capsys.readouterr().err.startswith(f"error: {what}")


def piped(monkeypatch, said: bytes, *, terminal: bool = False) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(said))
    monkeypatch.setattr(stdin, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdin", stdin)


@pytest.mark.parametrize("words", [("-",), ("--input", "-"), ()], ids=str)
def test_lines_of_a_pipe_are_texts(tiny_bundle, monkeypatch, capsys, words):
    piped(monkeypatch, b"great film\nreviews.csv\n")
    assert run(tiny_bundle, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["great film", "reviews.csv"]


def test_a_pipe_is_filtered_in_the_format_that_is_named(tiny_bundle, tmp_path, monkeypatch):
    piped(monkeypatch, b"id,text\n7,great film\n")
    assert run(tiny_bundle, "--format", "csv", "-o", tmp_path / "answers.csv") == 0
    assert (tmp_path / "answers.csv").read_text().splitlines()[1].startswith("7,great film,")


@pytest.mark.parametrize(
    ("said", "terminal"), [(b"", False), (b"never read\n", True)], ids=["empty", "terminal"]
)
def test_where_nothing_is_piped_a_text_is_asked_for(tiny_bundle, monkeypatch, capsys, said, terminal):
    piped(monkeypatch, said, terminal=terminal)
    assert run(tiny_bundle) == 2
    assert capsys.readouterr().err == (
        "error: no text to answer\n  next: edgeroberta run BUNDLE 'some text', or BUNDLE FILE\n"
    )
    if said:
        assert sys.stdin.read() == said.decode()


def test_a_text_that_names_a_file_of_rows_is_that_file(tiny_bundle, reviews, monkeypatch, capsys):
    monkeypatch.chdir(reviews.parent)
    (reviews.parent / "notes.txt").write_text("fine\n")
    (reviews.parent / "notes.md").write_text("not looked at\n")
    for text, answered in (
        ("reviews.csv", ["great film", "dull"]),
        ("notes.txt", ["fine"]),
        ("notes.md", ["notes.md"]),
        ("I read reviews.csv", ["I read reviews.csv"]),
    ):
        assert run(tiny_bundle, text) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("  ")[-1] for line in lines] == answered
    assert run(tiny_bundle, "reviews.csv", "--text", "id") == 0
    assert [line.split("  ")[-1] for line in capsys.readouterr().out.splitlines()] == ["1", "2"]


@pytest.mark.parametrize("name", ["x.json", "x.csv.gz", "x.xlsx"])
def test_a_file_of_rows_that_cannot_be_read_as_it_is_is_no_text(tiny_bundle, tmp_path, capsys, name):
    (tmp_path / name).write_text("[]")
    assert run(tiny_bundle, tmp_path / name) == 2
    assert "unknown file type" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("reviews.csv", "reviews.csv"), ("a text", "-")], ids=str)
def test_several_files_are_refused_before_the_bundle_is_opened(reviews, monkeypatch, capsys, words):
    monkeypatch.chdir(reviews.parent)
    assert run("none", *words) == 2
    assert f"error: {words[1]}: files are read one at a time" in capsys.readouterr().err


def test_a_pipe_is_read_and_written_and_may_be_closed(tiny_bundle, tmp_path):
    lines = b"".join(b'{"text": "number %d"}\n' % number for number in range(20_000))
    (tmp_path / "in.jsonl").write_bytes(lines)
    with (tmp_path / "in.jsonl").open("rb") as source:
        child = process(tiny_bundle, "-", "--format", "jsonl", "-o", "-", "--threads", 1, stdin=source)
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["text"] == "number 0"
        child.stdout.close()
        assert child.stderr is not None
        said = child.stderr.read()
        child.stderr.close()
        assert child.wait(timeout=60) == 1
    assert said == b""


def test_a_run_that_is_interrupted_leaves_nothing_and_says_nothing(tiny_bundle, tmp_path):
    with process(tiny_bundle, "-", "--format", "txt", "-o", tmp_path / "out.jsonl") as child:
        assert child.stdin is not None
        child.stdin.write(b"text\n" * 5_000)
        child.stdin.flush()
        while not list(tmp_path.glob(".out.jsonl.*")):
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said == b""
    assert list(tmp_path.iterdir()) == []


def test_typed_lines_are_answered_at_once(tiny_bundle):
    with process(tiny_bundle, "--watch", "-", "--json", "--threads", 1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for text in ("great film", "a <pad> b", "dull"):
            child.stdin.write(f"{text}\n".encode())
            child.stdin.flush()
            if "<pad>" not in text:
                assert json.loads(child.stdout.readline())["input"] == text
        _, said = child.communicate(timeout=60)
    assert child.returncode == 0
    assert said.startswith(b"error: -:2: ")
