from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeroberta.annotation.reading import Wanted
from edgeroberta.annotation.watching import Watched, watch
from edgeroberta.errors import UsageError
from edgeroberta.runtime import Runtime


class Steps:
    """Does one thing to the files each time the watcher would wait, and ends it when there are no more."""

    def __init__(self, monkeypatch, *steps):
        self._steps = iter(steps)
        monkeypatch.setattr("edgeroberta.annotation.watching.time.sleep", self._next)

    def _next(self, seconds: float) -> None:
        step = next(self._steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()


def watched(path: Path | str, **wanted) -> list[Watched]:
    runtime = Runtime.fake(answers={"great film": "positive"})
    found: list[Watched] = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(_until_interrupted(watch(runtime, str(path), Wanted(**wanted)), found))
    return found


def _until_interrupted(answers: Iterator[Watched], found: list[Watched]) -> Iterator[Watched]:
    for each in answers:
        found.append(each)
    return iter(())


def said(found: list[Watched]) -> list[tuple[str, object]]:
    return [(each.where.rpartition("/")[2], each.input) for each in found]


def append(file: Path, data: str | bytes) -> None:
    with file.open("ab") as handle:
        handle.write(data.encode() if isinstance(data, str) else data)


def test_lines_from_now_on_are_answered_once_they_are_ended(tmp_path, monkeypatch):
    file = tmp_path / "x.log"
    append(file, "old\nhalf of ")
    Steps(
        monkeypatch,
        lambda: append(file, "a line\ngreat film\r\nnot yet"),
        lambda: append(file, " ended\n"),
    )
    found = watched(file)
    assert said(found) == [
        ("x.log:2", "half of a line"),
        ("x.log:3", "great film"),
        ("x.log:4", "not yet ended"),
    ]
    assert [each.answer.label for each in found] == ["negative", "positive", "negative"]


def test_a_file_that_is_not_there_yet_is_waited_for_and_read_from_its_start(tmp_path, monkeypatch):
    file = tmp_path / "x.txt"
    Steps(monkeypatch, lambda: None, lambda: append(file, "one\n"))
    assert said(watched(file)) == [("x.txt:1", "one")]


def test_a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_start(tmp_path, monkeypatch):
    file = tmp_path / "x.log"
    append(file, "old\n")

    def rotate():
        append(file, "last\nwithout an end")
        file.rename(tmp_path / "x.log.1")
        append(file, "first\n")

    Steps(
        monkeypatch,
        lambda: append(file, "two\n"),
        rotate,
        lambda: append(file, "second\n"),
    )
    assert said(watched(file)) == [
        ("x.log:2", "two"),
        ("x.log:3", "last"),
        ("x.log:4", "without an end"),
        ("x.log:1", "first"),
        ("x.log:2", "second"),
    ]


def test_a_file_that_is_moved_away_is_read_until_another_has_its_name(tmp_path, monkeypatch):
    file, moved = tmp_path / "x.log", tmp_path / "moved"
    append(file, "old\n")
    Steps(
        monkeypatch,
        lambda: file.rename(moved),
        lambda: append(moved, "late\n"),
        lambda: append(file, "new\n"),
    )
    assert said(watched(file)) == [("x.log:2", "late"), ("x.log:1", "new")]


def test_a_file_that_is_cut_is_read_from_its_start(tmp_path, monkeypatch):
    file = tmp_path / "x.log"
    append(file, "old and longer\n")

    def cut():
        os.truncate(file, 0)
        append(file, "new\n")

    Steps(monkeypatch, cut)
    assert said(watched(file)) == [("x.log:1", "new")]


def test_each_file_of_a_folder_is_watched_and_new_ones_from_their_start(tmp_path, monkeypatch):
    append(tmp_path / "a.txt", "old\n")
    append(tmp_path / "b.csv", "old\n")
    Steps(
        monkeypatch,
        lambda: (append(tmp_path / "a.txt", "one\n"), append(tmp_path / "b.csv", "no line\n")),
        lambda: append(tmp_path / "c.jsonl", '{"text": "two"}\n'),
    )
    assert said(watched(tmp_path)) == [("a.txt:2", "one"), ("c.jsonl:1", "two")]


def test_files_that_leave_a_folder_are_read_to_their_end_and_let_go(tmp_path, monkeypatch):
    watched_folder = tmp_path / "in"
    watched_folder.mkdir()
    file = watched_folder / "a.txt"

    def finish():
        append(file, "two\n")
        file.rename(tmp_path / "done.txt")

    Steps(monkeypatch, lambda: append(file, "one\n"), finish, lambda: append(tmp_path / "done.txt", "no\n"))
    assert said(watched(watched_folder)) == [("a.txt:1", "one"), ("a.txt:2", "two")]


def test_a_line_that_cannot_be_answered_ends_nothing(tmp_path, monkeypatch):
    file = tmp_path / "x.jsonl"
    Steps(monkeypatch, lambda: append(file, b'{"text": "a"}\nno JSON\n\xff\n{"review": "b"}\n"c"\n'))
    found = watched(file)
    assert [each.input for each in found] == ["a", None, None, None, "c"]
    assert [each.error and each.error.where for each in found] == [
        None, *(f"{file}:{number}" for number in (2, 3, 4)), None,
    ]  # fmt: skip


def test_fields_of_json_lines_may_be_named(tmp_path, monkeypatch):
    file = tmp_path / "x.jsonl"
    Steps(monkeypatch, lambda: append(file, '{"message": "a", "text": "b"}\n'))
    assert said(watched(file, text="message")) == [("x.jsonl:1", "a")]


def test_standard_input_is_answered_line_by_line_and_ends(monkeypatch):
    read = []

    class Lines(io.BytesIO):
        def readline(self, *size: int) -> bytes:
            read.append(1)
            return super().readline()

    class Stdin:
        buffer = Lines(b"one\ntwo\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    answers = watch(Runtime.fake(), "-", Wanted())
    first = next(answers)
    assert (first.where, first.input, len(read)) == ("-:1", "one", 1)
    assert [each.input for each in answers] == ["two"]


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "reviews"])
def test_only_files_of_lines_are_watched(tmp_path, name):
    with pytest.raises(UsageError):
        next(watch(Runtime.fake(), str(tmp_path / name), Wanted()))


def test_it_waits_between_two_looks(tmp_path, monkeypatch):
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("edgeroberta.annotation.watching.time.sleep", sleep)
    answers = watch(Runtime.fake(), str(tmp_path / "x.txt"), Wanted(), interval=0.5)
    with pytest.raises(KeyboardInterrupt):
        list(itertools.islice(answers, 1))
    assert waited == [0.5] * 3


def test_what_is_no_file_is_left_alone_in_a_folder(tmp_path, monkeypatch):
    Steps(
        monkeypatch,
        lambda: ((tmp_path / "a.txt").mkdir(), os.mkfifo(tmp_path / "b.txt")),
        lambda: (tmp_path / "c.txt").symlink_to("nowhere"),
        lambda: append(tmp_path / "d.txt", "one\n"),
    )
    assert said(watched(tmp_path)) == [("d.txt:1", "one")]


def test_a_folder_may_go_and_come_again(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    Steps(
        monkeypatch,
        lambda: folder.rmdir(),
        lambda: folder.mkdir(),
        lambda: append(folder / "a.txt", "one\n"),
    )
    assert said(watched(folder)) == [("a.txt:1", "one")]


def test_a_folder_in_place_of_a_file_is_no_file(tmp_path, monkeypatch):
    file = tmp_path / "x.txt"
    append(file, "old\n")
    Steps(
        monkeypatch,
        lambda: (file.unlink(), file.mkdir()),
        lambda: file.rmdir(),
        lambda: append(file, "one\n"),
    )
    assert said(watched(file)) == [("x.txt:1", "one")]


def test_a_new_file_that_may_not_be_read_yet_is_tried_again(tmp_path, monkeypatch, caplog):
    refused, opened = [tmp_path / "a.txt"] * 2, Path.open

    def may_be_read(path, *arguments):
        if path in refused:
            refused.remove(path)
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments)

    def come():
        append(tmp_path / "a.txt", "one\n")
        monkeypatch.setattr(Path, "open", may_be_read)

    Steps(monkeypatch, come, lambda: None, lambda: None)
    assert said(watched(tmp_path)) == [("a.txt:1", "one")]
    assert caplog.messages == [f"{tmp_path}/a.txt: cannot be read (Permission denied); tried again"]


def test_large_files_are_passed_over_and_read_piece_by_piece(tmp_path, monkeypatch):
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    append(old, "a line\n" * 400_000 + "half")
    answered = []
    monkeypatch.setattr(
        "edgeroberta.annotation.watching.answer",
        lambda runtime, asked, *others, **named: answered.append(asked) or [None] * len(asked),
    )
    Steps(
        monkeypatch,
        lambda: append(old, " a line\n"),
        lambda: append(new, "a line\n" * 400_000),
        lambda: new.unlink(),
    )
    watched(tmp_path)
    assert answered[0] == ["half a line"]
    assert sum(map(len, answered[1:])) == 400_000
    assert max(map(len, answered)) < 200_000
