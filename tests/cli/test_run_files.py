from __future__ import annotations

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
    return subprocess.Popen(command, env=environment, **{**pipes, **options})


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
        (("a text", "--text", "review"), "--text: reads a file"),
        (("--input", "x.csv", "--scores"), "--scores: is of what --output writes"),
        (("--watch", "x.log", "--on-error", "skip"), "--on-error: is of what --output writes"),
    ],
)
def test_what_contradicts_itself_is_refused_before_the_bundle_is_opened(tmp_path, capsys, words, what):
    assert run(tmp_path / "none", *words) == 2
    assert capsys.readouterr().err.startswith(f"error: {what}")


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
