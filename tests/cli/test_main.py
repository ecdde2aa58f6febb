"""The frame of the command line: exit codes, what goes where, and a bare install."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import edgeroberta
from edgeroberta import cli
from edgeroberta.cli import console
from edgeroberta.errors import CheckpointError, EdgeRobertaError, UnavailableError

ROOT = Path(edgeroberta.__file__).parents[1]

#: Runs the command line as if these packages were not installed.
BARE = """
import builtins, sys
ABSENT = {"torch", "transformers", "accelerate", "safetensors", "onnx", "yaml", "pyarrow", "datasets"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
# typer 0.29 brings pydantic for itself, earlier ones do not: it is absent for this package alone.
given = builtins.__import__
def refuse(name, globals=None, *rest):
    if name.split(".")[0] == "pydantic" and (globals or {}).get("__name__", "").startswith("edgeroberta"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return given(name, globals, *rest)
builtins.__import__ = refuse
from edgeroberta.cli import main
main(sys.argv[1:])
"""


#: Runs the command as if the extra cli were not installed.
DEVICE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("typer", "click", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from edgeroberta.__main__ import main
main()
"""


def run(*arguments: str, script: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    how = ["-c", script] if script else ["-m", "edgeroberta"]
    return subprocess.run(
        [sys.executable, *how, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(arguments))
    return int(stopped.value.code or 0)


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def targets() -> None:
        raise error

    monkeypatch.setattr("edgeroberta.cli.targets.targets", targets)


def test_the_version_is_printed(capsys):
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"edgeroberta {edgeroberta.__version__}\n"


def test_the_help_lists_every_command(capsys):
    assert exit_code("--help") == 0
    text = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert f"\n  {name}  " in text
    assert "..." not in text.partition("Commands:")[2], "a command's first sentence is too long for the list"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_without_types_of_python_and_takes_json(name, capsys):
    assert exit_code(name, "--help") == 0
    text = capsys.readouterr().out
    assert "--json" in text
    assert not re.search(r"<[a-z[]+>| range>", text)


def test_a_reader_that_has_enough_ends_a_command_quietly():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "edgeroberta", "targets"]
    buffered = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, env=buffered)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told_as_an_error():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "edgeroberta", "targets"]
        buffered = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=buffered)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the system refuses this: No space left on device")


def test_an_unknown_command_is_a_usage_error(capsys):
    assert exit_code("compres") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "No such command 'compres'" in captured.err


def test_an_unknown_option_is_a_usage_error(capsys):
    assert exit_code("targets", "--jsn") == 2
    assert "--jsn" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (EdgeRobertaError("it broke"), 1, "error: it broke\n"),
        (
            CheckpointError("no head", where="model/", hint="fine-tune it"),
            2,
            "error: model/: no head\n  next: fine-tune it\n",
        ),
        (UnavailableError("no GPU"), 4, "error: no GPU\n"),
    ],
)
def test_an_error_becomes_its_message_and_exit_code(monkeypatch, capsys, error, code, said):
    raising(monkeypatch, error)
    assert exit_code("targets") == code
    assert capsys.readouterr() == ("", said)


def test_an_unexpected_error_is_short_and_says_how_to_get_the_traceback(monkeypatch, capsys):
    raising(monkeypatch, RuntimeError("boom"))
    assert exit_code("targets") == 1
    captured = capsys.readouterr()
    assert captured == ("", "error: unexpected RuntimeError: boom\n  next: edgeroberta --debug targets\n")
    assert exit_code("--debug", "targets") == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_debug_shows_the_traceback_of_an_expected_error_as_well(monkeypatch, capsys):
    raising(monkeypatch, EdgeRobertaError("it broke"))
    assert exit_code("--debug", "targets") == 1
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert text.endswith("error: it broke\n")


def test_an_interrupt_ends_with_130(monkeypatch):
    raising(monkeypatch, KeyboardInterrupt())
    assert exit_code("targets") == 130


def test_warnings_of_the_library_go_to_stderr_once(capsys):
    import logging

    console.set_voice()
    console.set_voice()
    logging.getLogger("edgeroberta.anything").warning("12 rows left out")
    assert capsys.readouterr() == ("", "warning: 12 rows left out\n")


def test_json_is_sorted_and_keeps_every_alphabet(capsys):
    console.out_json({"b": "é", "a": 1})
    assert capsys.readouterr().out == '{\n  "a": 1,\n  "b": "é"\n}\n'


def test_the_module_runs_as_the_command_does():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"edgeroberta {edgeroberta.__version__}\n")


def test_starting_imports_nothing_heavy():
    heavy = "torch transformers onnx onnxruntime openvino pyarrow yaml tokenizers"
    script = (
        "import sys, edgeroberta.cli; edgeroberta.cli.application();"
        f"print([name for name in {heavy!r}.split() if name in sys.modules])"
    )
    done = run(script=script)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["targets"],
        ["targets", "--json"],
        ["doctor"],
        ["compress", "--help"],
        ["--show-completion", "bash"],
    ],
    ids=" ".join,
)
def test_a_bare_install_can(arguments):
    done = run(*arguments, script=BARE)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_doctor_of_a_bare_install_says_what_is_missing():
    done = run("doctor", "--json", script=BARE)
    found: dict[str, Any] = json.loads(done.stdout)
    assert set(found["extras"]["compress"]) >= {"yaml", "torch", "transformers", "onnx"}
    assert {check["engine"]: check["status"] for check in found["engines"]}["onnxruntime"] == "ok"


@pytest.mark.parametrize("arguments", [["compress"], ["compress", "--dry-run"], ["recipes"]], ids=" ".join)
def test_a_bare_install_says_what_compress_needs(arguments):
    done = run(*arguments, script=BARE)
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr == (
        f"error: edgeroberta {arguments[0]} needs the package 'yaml', which is not installed\n"
        "  next: pip install 'edgeroberta[compress]'\n"
    )


def test_a_bare_install_says_what_latency_needs_to_write_probes(tiny_checkpoint):
    done = run("latency", str(tiny_checkpoint), script=BARE)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "error: writing probes needs the package 'onnx', which is not installed\n"
        "  next: pip install 'edgeroberta[compress]'\n"
    )


def test_a_bare_install_runs_a_bundle(tiny_bundle):
    done = run("run", str(tiny_bundle), "great film", "--json", script=BARE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize(
    ("called", "on_path", "said"),
    [
        ("/usr/bin/edgeroberta", "/usr/bin/edgeroberta", "edgeroberta"),
        ("HERE/.venv/bin/edgeroberta", None, ".venv/bin/edgeroberta"),
        ("HERE/.venv/bin/edgeroberta", "/usr/bin/edgeroberta", ".venv/bin/edgeroberta"),
        ("/opt/my tools/edgeroberta", None, "'/opt/my tools/edgeroberta'"),
        ("/lib/edgeroberta/__main__.py", None, "/usr/bin/python3 -m edgeroberta"),
        ("/usr/bin/pytest", None, "edgeroberta"),
    ],
)
def test_next_commands_name_the_program_as_it_can_be_called_here(
    called, on_path, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [called.replace("HERE", str(tmp_path))])
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(console.shutil, "which", lambda name: on_path)
    assert console.program() == said


def test_without_its_extra_the_command_says_what_to_install():
    done = run("run", "out/", "great film", script=DEVICE)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "error: the command line needs the package 'typer', which is not installed\n"
        "  next: pip install 'edgeroberta[cli]'\n"
    )


def test_the_help_of_a_command_names_its_call_in_python(capsys):
    for name, call in cli.COMMANDS.items():
        assert exit_code(name, "--help") == 0
        assert f"In Python: {call}" in " ".join(capsys.readouterr().out.split())
        assert call.partition("edgeroberta.")[2].partition("(")[0] in edgeroberta.__all__
