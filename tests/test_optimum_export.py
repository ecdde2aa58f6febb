"""What ``optimum-cli export edgeroberta`` makes of its words, with Optimum's base class alone; the command
itself is run in ``tests/interchange``.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgeroberta import cli, extras

REGISTER = Path(__file__).parents[1] / "edgeroberta/optimum_registration.py"


@dataclass
class CommandInfo:
    name: str
    help: str


class Base:
    def __init__(self, args: Any) -> None:
        self.args = args


@pytest.fixture
def command(monkeypatch) -> Any:
    """The class that is registered."""
    base, export = ModuleType("optimum.commands.base"), ModuleType("optimum.commands.export.base")
    base.BaseOptimumCLICommand, base.CommandInfo, export.ExportCommand = Base, CommandInfo, "export"
    for name in ("optimum", "optimum.commands", "optimum.commands.export"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, base.__name__, base)
    monkeypatch.setitem(sys.modules, export.__name__, export)
    monkeypatch.delitem(sys.modules, "edgeroberta.optimum_export", raising=False)
    spec = importlib.util.spec_from_file_location("register_edgeroberta", REGISTER)
    register = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(register)
    ((found, parent),) = register.REGISTER_COMMANDS
    assert (parent, found.COMMAND.name) == ("export", "edgeroberta")
    yield found
    sys.modules.pop("edgeroberta.optimum_export", None)


@pytest.fixture
def run(command, monkeypatch) -> Any:
    """A function that runs the command, and gives the words that ours got."""

    def call(*words: str) -> list[str]:
        parser, got = argparse.ArgumentParser(), []
        command.parse_args(parser)
        monkeypatch.setattr(cli, "main", got.extend)
        command(parser.parse_args(words)).run()
        return got

    return call


def test_words_are_those_of_compress(run):
    assert run(
        *("-m", "model", "--data", "rows.csv", "-t", "arm", "--set", "a.b=1", "--set", "c.d=-2"),
        *("--limit", "9", "--dry-run", "out"),
    ) == [
        *("compress", "--output=out", "--data=rows.csv", "--limit=9", "--target=arm", "--set=a.b=1"),
        *("--set=c.d=-2", "--dry-run", "--", "model"),
    ]


def test_every_option_of_compress_is_an_option(command):
    import typer

    from edgeroberta.cli.compress import compress

    app = typer.Typer(add_completion=False)
    app.command()(compress)
    theirs = {option for each in typer.main.get_command(app).params for option in each.opts}
    parser = argparse.ArgumentParser()
    command.parse_args(parser)
    ours = {option for action in parser._actions for option in action.option_strings}
    assert ours - theirs == {"-h", "--help", "-m", "--model"}
    assert theirs - ours - {"model"} == {"-o", "--output"}
    assert parser.format_help()


@pytest.mark.parametrize("absent", [("typer",), ("torch", "yaml")])
def test_without_the_packages_it_ends_with_exit_4_and_what_to_install(run, monkeypatch, capsys, absent):
    monkeypatch.setattr(extras, "_installed", lambda module: module not in absent)
    for words in (("-m", "model", "--data", "rows.csv", "out"), ("-m", "model", "out")):
        with pytest.raises(SystemExit) as left:
            run(*words)
        assert left.value.code == 4
        said = capsys.readouterr().err
        assert said.splitlines()[1] == "  next: pip install 'edgeroberta[compress]'"


def test_other_names_of_tasks_are_read_as_ours(tiny_checkpoint, tmp_path, capsys):
    from edgeroberta import compress
    from edgeroberta.errors import UsageError
    from edgeroberta.tasks import SYNONYMS, TASKS

    assert set(SYNONYMS.values()) <= set(TASKS)
    rows = [{"text": f"film {n}", "label": ("negative", "positive")[n % 2]} for n in range(20)]
    for name in ("masked-lm", "fill-mask"):
        with pytest.raises(UsageError) as caught:
            compress(tiny_checkpoint, rows, task=name, output=tmp_path / "out", text="text", label="label")
        assert caught.value.where == "--task"
        assert "not for fill-mask" in caught.value.what
