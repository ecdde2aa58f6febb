"""The completion scripts, in the shells that they are for; no program is run while they answer."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main

from edgeroberta import cli, recipe, targets
from edgeroberta.cli import completion
from edgeroberta.runtime.session import ENGINES

ZSH = """
compdef() { }
compadd() { [[ $1 == -- ]] && shift; print -rl -- "$@" }
_files() { print -r -- FILES }
_describe() { print -rl -- "${(@)${(@P)@[-1]}%%:*}" }
source $1; shift
words=("$@"); CURRENT=$#words
_edgeroberta
"""
BASH = """
source "$1"; shift
complete -p edgeroberta > /dev/null || exit 1
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_edgeroberta
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scripts")
    found = {shell: folder / f"completion.{shell}" for shell in completion.SHELLS}
    for shell, file in found.items():
        file.write_text(completion.script(shell))
    return found


def completed(shell: str, script: Path, *words: str) -> list[str]:
    """What a shell offers for the last of the words."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    if shell == "fish":
        line = " ".join(words)
        how = ["-N", "-c", f"source {script}; complete -C '{line}'"]
    else:
        how = ["-f"] if shell == "zsh" else ["--norc", "--noprofile"]
        how += ["-c", {"zsh": ZSH, "bash": BASH}[shell], shell, str(script), *words]
    # Nothing can be run: what is offered comes from the script.
    environment = {"PATH": "/nowhere", "HOME": str(script.parent)}
    done = subprocess.run([program, *how], capture_output=True, text=True, env=environment, cwd=script.parent)
    assert done.stderr == ""
    last = words[-1].removeprefix("=")
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    return sorted({each for each in offered if each and each.startswith(last)})


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_commands_options_and_names_of_values_are_completed(scripts, shell):
    def offered(*words: str) -> list[str]:
        return completed(shell, scripts[shell], "edgeroberta", *words)

    assert offered("") == sorted(cli.COMMANDS)
    assert offered("re") == ["recipes", "reference"]
    assert offered("run", "--out") == ["--output", "--output-format"]
    assert offered("run", "out/", "--threads", "2", "--on-") == ["--on-error"]
    assert offered("compress", "--recipe", "tin") == [n for n in recipe.names() if n.startswith("tin")]
    assert offered("compress", "my-model", "-t", "jet") == [n for n in targets.names() if n.startswith("jet")]
    assert offered("bench", "--engines", "open") == ["openvino"]
    assert offered("run", "--engine", "o") == sorted(n for n in ENGINES if n.startswith("o"))
    assert {"null", "skip", "stop"} == {*offered("run", "--on-error", "")} - {"FILES"}
    assert offered("-v", "run", "--wat") == ["--watch"]
    assert "--quiet" in offered("doctor", "--")
    assert offered("recipes", "int8-d")[0].startswith("int8-d")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_bash_knows_every_option_of_every_command(scripts, name):
    command = typer.main.get_command(cli.application()).commands[name]
    wanted = {option for each in command.params for option in each.opts if option.startswith("--")}
    assert {*completed("bash", scripts["bash"], "edgeroberta", name, "--")} == {*wanted, "--help"}


def test_a_value_after_an_equals_sign_is_completed(scripts):
    words = ("edgeroberta", "run", "--engine", "=", "openv")
    assert completed("bash", scripts["bash"], *words) == ["openvino"]
    assert completed("bash", scripts["bash"], *words[:-1]) == sorted(ENGINES)


def test_bash_answers_within_150_ms_of_processor_time(scripts):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        completed("bash", scripts["bash"], "edgeroberta", "compress", "--re")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent / 5 < 0.15


def test_a_shell_that_is_not_known_is_refused(capsys):
    with pytest.raises(SystemExit) as leave:
        cli.main(["--show-completion", "bsh"])
    assert leave.value.code == 2
    assert "did you mean 'bash'?" in capsys.readouterr().err
