from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage.cache import cache_dir, folder


def test_the_projects_own_variable_comes_first(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/someone")
    monkeypatch.setenv("EDGEROBERTA_CACHE", "~/kept")
    assert cache_dir() == Path("/home/someone/kept")
    monkeypatch.setenv("EDGEROBERTA_CACHE", "")
    assert cache_dir() == Path("/var/cache/someone/edgeroberta")


@pytest.mark.parametrize("shared", [None, "", "relative/cache"])
def test_without_a_valid_shared_cache_it_is_below_home(monkeypatch, shared):
    monkeypatch.delenv("EDGEROBERTA_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    if shared is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", shared)
    assert cache_dir() == Path("/home/someone/.cache/edgeroberta")


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_without_a_home_folder_it_says_how_to_name_one(monkeypatch):
    monkeypatch.delenv("EDGEROBERTA_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(EdgeRobertaError) as error:
        cache_dir()
    assert str(error.value) == (
        "there is no home folder to keep a cache in\n"
        "  next: set EDGEROBERTA_CACHE to a folder with room that you may write to"
    )


def test_a_folder_is_written_once_and_leaves_nothing_else(tmp_path):
    calls = []

    def write(path: Path) -> None:
        calls.append(path)
        (path / "a").write_text("1")

    for _ in range(2):
        assert folder(tmp_path / "c" / "x", write) == tmp_path / "c" / "x"
    assert len(calls) == 1
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["x"]
    assert (tmp_path / "c" / "x" / "a").read_text() == "1"


def test_a_folder_that_fails_half_way_is_not_there_afterwards(tmp_path):
    def write(path: Path) -> None:
        (path / "a").write_text("1")
        raise EdgeRobertaError("stopped")

    with pytest.raises(EdgeRobertaError, match="stopped"):
        folder(tmp_path / "x", write)
    assert list(tmp_path.iterdir()) == []


def test_of_two_writers_at_once_one_wins_and_both_get_the_folder(tmp_path):
    both_inside = threading.Barrier(2)
    found: list[Path] = []

    def write(path: Path) -> None:
        both_inside.wait(timeout=10)
        (path / "a").write_text("whole")

    threads = [threading.Thread(target=lambda: found.append(folder(tmp_path / "x", write))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "x"] * 2
    assert (tmp_path / "x" / "a").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(EdgeRobertaError) as caught:
        folder(blocked / "x", lambda path: None)
    assert str(caught.value) == (
        f"{blocked}: cannot write to the cache ({os.strerror(17)})\n"
        "  next: set EDGEROBERTA_CACHE to a folder with room that you may write to"
    )
    assert caught.value.exit_code == 1
