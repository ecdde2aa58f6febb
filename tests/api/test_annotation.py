from __future__ import annotations

import json

import pytest

import edgeroberta
from edgeroberta.errors import UsageError
from edgeroberta.runtime import Runtime


def test_a_bundle_or_an_open_runtime_answers_a_file(tiny_bundle, tmp_path):
    (tmp_path / "in.txt").write_text("great film\nit is dull\n")
    result = edgeroberta.annotate(tiny_bundle, tmp_path / "in.txt", output=tmp_path / "a.jsonl")
    assert str(result).startswith("2 rows answered in ")
    assert result.passed
    with edgeroberta.load(tiny_bundle, max_batch=1) as runtime:
        edgeroberta.annotate(runtime, tmp_path / "in.txt", output=tmp_path / "b.jsonl")
        found = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
        assert [each["label"] for each in found] == [runtime(each["text"]).label for each in found]
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "b.jsonl").read_text()


def test_the_result_counts_what_was_refused_and_cut(tiny_bundle, tmp_path):
    (tmp_path / "in.csv").write_text(f"text\nfine\n \n{'word ' * 600}\n")
    result = edgeroberta.annotate(
        tiny_bundle, tmp_path / "in.csv", output=tmp_path / "out.csv", on_error="skip"
    )
    assert str(result).endswith(
        f"; 1 not, the first one {tmp_path}/in.csv:3: empty text in column 'text'; "
        "1 of longer texts than the model reads, which were cut"
    )
    fields = result.to_json()
    assert (fields["rows"], fields["refused"], fields["truncated"]) == (3, 1, 1)
    assert fields["first_refused"]["code"] == "data.row"


def test_no_row_that_could_be_answered_is_an_error(tmp_path):
    (tmp_path / "in.csv").write_text("text\n \n")
    runtime = Runtime.fake()
    result = edgeroberta.annotate(runtime, tmp_path / "in.csv", output=tmp_path / "out.csv", on_error="null")
    assert [error.code for error in result.errors] == ["data.row"]
    assert (tmp_path / "out.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "where"),
    [({"on_error": "ignore"}, "--on-error"), ({"format": "xlsx"}, "--format"),
     ({"output_format": "arow"}, "--output-format")],
)  # fmt: skip
def test_choices_that_there_are_not_are_refused_before_the_bundle_is_opened(tmp_path, arguments, where):
    (tmp_path / "in.txt").write_text("a\n")
    with pytest.raises(UsageError) as caught:
        edgeroberta.annotate(tmp_path / "none", tmp_path / "in.txt", output=tmp_path / "o.csv", **arguments)
    assert caught.value.where == where


def test_lines_are_watched(tmp_path, monkeypatch):
    file = tmp_path / "x.log"
    monkeypatch.setattr("time.sleep", lambda seconds: file.write_text("great film\n"))
    answers = edgeroberta.watch(Runtime.fake(), file)
    found = next(answers)
    answers.close()
    assert (found.where, found.input, found.answer.label) == (f"{file}:1", "great film", "negative")
