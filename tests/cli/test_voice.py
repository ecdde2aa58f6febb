"""What --quiet and --verbose leave of standard error, before and after the name of the command."""

from __future__ import annotations

import logging
import re

import pytest

from edgeroberta import cli
from edgeroberta.cli import console
from edgeroberta.progress import PlainProgress, Progress


@pytest.fixture(autouse=True)
def _usual_voice():
    yield
    console.set_voice()


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main([str(word) for word in words])
    return leave.value.code if isinstance(leave.value.code, int) else 0


@pytest.fixture
def files(tiny_bundle, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngreat film\n")
    return tiny_bundle, tmp_path / "in.csv", "-o", tmp_path / "out.csv"


@pytest.mark.parametrize("quiet", ["-q", "--quiet"])
def test_quiet_leaves_nothing_but_results_and_errors(files, tmp_path, capsys, quiet):
    for words in ((quiet, "run", *files), ("run", quiet, *files), ("run", *files, quiet)):
        assert run(*words) == 0
        assert capsys.readouterr() == ("", "")
    assert run("run", *files, "--json", quiet) == 0
    said = capsys.readouterr()
    assert said.out.startswith("{")
    assert said.err == ""
    (tmp_path / "in.csv").write_text("text\n \n")
    assert run(quiet, "run", *files) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_without_either_people_are_told_what_became_of_the_rows(files, capsys):
    assert run("run", *files) == 0
    assert re.fullmatch(r"1 row answered in \d+\.\d s\n", capsys.readouterr().err)


@pytest.mark.parametrize("verbose", ["-v", "--verbose"])
def test_verbose_says_what_is_done_with_times(files, capsys, verbose):
    for words in ((verbose, "run", *files), ("run", *files, verbose)):
        assert run(*words) == 0
        first, second, _ = capsys.readouterr().err.splitlines()
        assert re.match(r"\d\d:\d\d:\d\d annotation\.filtering info: ", first)
        assert "csv, text 'text'; on onnxruntime" in first
        assert second.endswith("csv with label, score, truncated")


def test_debug_makes_verbose_more_detailed(capsys):
    logger = logging.getLogger("edgeroberta.anything")
    for words, shown in (((), ""), (("-v",), "info"), (("-v", "--debug"), "debug info")):
        console.set_voice(verbose="-v" in words, debug="--debug" in words)
        logger.debug("one")
        logger.info("two")
        assert re.findall("debug|info", capsys.readouterr().err) == shown.split()


def test_warnings_are_silent_when_quiet_and_errors_are_not(capsys):
    logger = logging.getLogger("edgeroberta.anything")
    console.set_voice(quiet=True)
    logger.warning("twelve rows")
    logger.error("it broke")
    assert capsys.readouterr().err == "error: it broke\n"


def test_progress_is_silent_when_quiet():
    assert isinstance(console.progress(), PlainProgress)
    console.set_voice(quiet=True)
    assert type(console.progress()) is Progress
    assert type(console.bar()) is Progress


def test_a_filter_reports_on_a_terminal_alone(monkeypatch):
    assert type(console.bar()) is Progress
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert type(console.bar()) is not Progress


def test_both_together_are_refused(capsys):
    assert run("targets", "-q", "-v") == 2
    assert capsys.readouterr().err.startswith("error: --quiet: --quiet and --verbose together\n")


def test_words_after_two_hyphens_are_texts(tiny_bundle, capsys):
    assert run("run", tiny_bundle, "--", "-q") == 0
    assert capsys.readouterr().out.endswith("  -q\n")
    assert console.progress().__class__ is PlainProgress
