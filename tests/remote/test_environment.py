from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from living import processes_with

from edgeroberta.errors import EdgeRobertaError, UnavailableError
from edgeroberta.remote import program
from edgeroberta.remote.device import jobs, virtualenv
from edgeroberta.remote.device.folder import is_locked, locked, open_root, remove, remove_all
from edgeroberta.remote.step import Step

SPEC: dict[str, Any] = {
    "wheel": "edgeroberta.whl",
    "extras": [],
    "pip_args": [],
    "content": {},
    "tensorrt": [],
}
ROOT = Path(__file__).parents[2]
MISSING = "ERROR: No matching distribution found for wall>=2"


@pytest.fixture
def root(tmp_path):
    """Our folder on a device."""
    return open_root(str(tmp_path / "root"))


@pytest.mark.parametrize("name", program.sent())
def test_what_is_sent_needs_the_standard_library_of_python_3_10_alone(name):
    tree = ast.parse(program.sent()[name].read_text(encoding="utf-8"), feature_version=(3, 10))
    sent = set(program.sent())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(alias.name.partition(".")[0] in sys.stdlib_module_names for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found = str(node.module)
            assert node.level == 1 or found in sent or found.partition(".")[0] in sys.stdlib_module_names


def test_a_python_without_ensurepip_is_told_what_to_install(root, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else find(name))
    with pytest.raises(UnavailableError) as caught:
        virtualenv.ensure(root, tmp_path, SPEC, io.BytesIO())
    assert caught.value.code == "device.no-venv"
    assert caught.value.hint == "on the device: sudo apt install python3-venv"
    assert not [each for each in (root / "venvs").iterdir() if each.is_dir()]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"WARNING: old\n\n{MISSING}\n", f": pip ended with exit code 7: WARNING: old | {MISSING}"),
        ("x" * 999 + "\n", f": pip ended with exit code 7: {'x' * 200}"),
        ("".join(f"{number}\n" for number in range(9)), ": pip ended with exit code 7: 5 | 6 | 7 | 8"),
        ("", ": pip ended with exit code 7: nothing"),
    ],
    ids=["a message", "a long line", "many lines", "nothing"],
)
def test_pip_s_last_lines_and_exit_code_are_told_and_all_of_it_is_in_the_log(said, why):
    words = [sys.executable, "-c", f"import sys; sys.stderr.write({said!r}); sys.exit(7)"]
    log = io.BytesIO()
    with pytest.raises(EdgeRobertaError) as caught:
        virtualenv._run(words, log, "pip")
    assert caught.value.what == f"the environment could not be made{why}"
    assert caught.value.code == "device.environment"
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [each["text"] for each in events] == [line for line in said.splitlines() if line]
    assert {each["event"] for each in events} <= {"log"}


def test_with_a_wheelhouse_the_hint_names_what_wheels_must_be_for_and_a_page_that_has_it(
    tmp_path, monkeypatch
):
    hints: list[str] = []
    monkeypatch.setattr(virtualenv, "_run", lambda *words, **others: hints.append(others.get("hint", "")))
    (tmp_path / "wheelhouse").mkdir()
    virtualenv._make(tmp_path / "venv", tmp_path, {**SPEC, "bindings": []}, io.BytesIO())
    assert hints[-1].endswith(f"this device needs wheels for {virtualenv.fits_here()}")
    assert "--wheelhouse" not in hints[-1]
    assert virtualenv.fits_here().startswith(sysconfig.get_platform())
    assert virtualenv.fits_here().endswith(f", Python {sys.version_info.major}.{sys.version_info.minor}")
    file, _, section = hints[-1].split(", has ")[0].partition(", ")
    assert f"\n## {section}\n" in (ROOT / file).read_text(encoding="utf-8")


def test_an_environment_that_cannot_be_made_leaves_nothing_half_made(root, tmp_path, monkeypatch):
    def make(folder: Path, *others: Any) -> None:
        folder.mkdir()
        raise EdgeRobertaError("no index")

    monkeypatch.setattr(virtualenv, "_make", make)
    with pytest.raises(EdgeRobertaError, match="no index"):
        virtualenv.ensure(root, tmp_path, SPEC, io.BytesIO())
    assert not [each for each in (root / "venvs").iterdir() if each.is_dir()]


def test_another_wheel_or_requirement_makes_another_environment():
    changes = ({}, {"extras": ["x"]}, {"content": {"a": "b"}})
    keys = {virtualenv._key({**SPEC, **change}, []) for change in changes}
    # A driver that was upgraded, too: the bindings must be those of the new one.
    keys |= {virtualenv._key(SPEC, [f"cuda-python>=12,<12.{minor}"]) for minor in (7, 10)}
    assert len(keys) == 5
    assert virtualenv._key({**SPEC, "tensorrt": ["tensorrt"]}, []) in keys


@pytest.mark.parametrize(
    ("package", "driver", "wanted"),
    [
        ("tensorrt/__init__.py", (12, 6), ["cuda-python>=12,<12.7"]),
        ("tensorrt_rtx.py", (13, 0), ["cuda-python>=13,<13.1"]),
        ("tensorrt/__init__.py", None, []),
        ("tensorrt/notes.txt", (12, 6), []),
        ("other.py", (12, 6), []),
    ],
    ids=["JetPack 6", "RTX", "no driver", "a folder of that name", "no TensorRT"],
)
def test_pip_brings_bindings_of_the_device_s_cuda_and_never_tensorrt(
    root, tmp_path, monkeypatch, package, driver, wanted
):
    file = tmp_path / "site" / package
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setattr(virtualenv, "driver_version", lambda: driver)
    ran: list[list[str]] = []

    def run(words: list[str], log: Any, what: str, **others: Any) -> None:
        ran.append(list(words))
        if what == "venv":
            Path(words[-1]).mkdir()

    monkeypatch.setattr(virtualenv, "_run", run)
    names = ["tensorrt", "tensorrt_rtx"]
    virtualenv.ensure(root, tmp_path, {**SPEC, "extras": ["onnxruntime"], "tensorrt": names}, io.BytesIO())
    asked = next(words for words in ran if words[-1 - len(wanted)].endswith("[onnxruntime]"))
    assert asked[asked.index("--no-user") + 1 :] == [
        f"{tmp_path}/wheel/edgeroberta.whl[onnxruntime]",
        *wanted,
    ]
    assert not any("tensorrt" in word for words in ran for word in words)


@pytest.mark.parametrize("index", [True, False], ids=["index", "no index"])
@pytest.mark.parametrize(
    ("tensorrt", "driver", "board", "wanted"),
    [
        (["tensorrt"], (12, 6), False, True),
        (["tensorrt"], (12, 6), True, False),
        (["tensorrt"], None, False, False),
        ([], (12, 6), False, False),
    ],
    ids=["a card", "Jetson", "no driver", "a processor's engines"],
)
def test_pip_brings_what_tells_of_a_graphics_card_where_it_can(
    tmp_path, monkeypatch, tensorrt, driver, board, wanted, index
):
    model = tmp_path / "model"
    if board:
        model.touch()
    monkeypatch.setattr(virtualenv, "_BOARD", model)
    monkeypatch.setattr(virtualenv, "driver_version", lambda: driver)
    ran: list[str] = []

    def run(words: list[str], *others: Any, **more: Any) -> None:
        ran.append(words[-1])
        if words[-1].startswith("nvidia-ml-py") and not index:
            raise EdgeRobertaError("no index")

    monkeypatch.setattr(virtualenv, "_run", run)
    virtualenv._make(
        tmp_path / "venv", tmp_path, {**SPEC, "tensorrt": tensorrt, "bindings": []}, io.BytesIO()
    )
    assert any(each.startswith("nvidia-ml-py") for each in ran) is wanted


def test_two_workstations_wait_for_each_other(tmp_path):
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock", lambda: order.append("waits")):
            order.append("second")

    with locked(tmp_path / "lock", lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["waits", "first", "second"]


def test_nothing_outside_the_folder_is_deleted(root, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (root / "jobs" / "link").symlink_to(other)
    remove(root, root / "jobs" / "link")
    assert other.is_dir()
    (root / "jobs" / "link").symlink_to(other)
    (other / "file").write_text("x")
    for path in (other, root / "jobs" / "link" / "file", root / ".." / "other"):
        with pytest.raises(EdgeRobertaError, match="not below our own folder"):
            remove(root, path)
    assert (other / "file").is_file()


def test_what_dead_runs_left_is_collected(root):
    old = time.time() - 8 * 24 * 3600
    for name in ("a" * 16, "b" * 16, "c" * 16, "d" * 16):
        (root / "jobs" / name).mkdir()
        (root / "jobs" / name / "alive.lock").touch()
    (root / "jobs" / ("b" * 16) / "exit.json").write_text("{}")
    for name in ("a", "c", "d"):
        os.utime(root / "jobs" / (name * 16), (old, old))
    part = root / "blobs" / f"{'0' * 64}.part"
    part.touch()
    os.utime(part, (old, old))
    with locked(root / "jobs" / ("c" * 16) / "alive.lock", lambda: None):
        jobs.collect(root, mine="d" * 16)
    # a is dead; b is done and not called for yet; c is alive; d is the one at hand.
    assert sorted(each.name[0] for each in (root / "jobs").iterdir()) == ["b", "c", "d"]
    assert not list((root / "blobs").iterdir())


def test_files_of_a_job_stay_in_its_folder(root):
    for name in ("../x", "/tmp/x"):
        with pytest.raises(EdgeRobertaError, match="leads out of the job's folder"):
            jobs.start(root, "a" * 16, {}, {name: "0" * 64}, "")
    assert not list((root / "jobs").iterdir())


def test_the_newest_environments_are_kept_and_those_that_a_job_uses(root):
    for age, name in enumerate("abcdef"):
        (root / "venvs" / name).mkdir()
        if name in "bef":
            virtualenv._use(root / "venvs" / name)  # by this process
        (root / "venvs" / f"{name}.lock").touch()
        when = time.time() - age * 3600
        os.utime(root / "venvs" / name, (when, when))
    (root / "venvs" / "f.use").unlink()  # its job has ended
    with locked(root / "venvs" / "d.lock", lambda: None):  # another job is about to begin
        jobs.collect(root, mine="0" * 16)
        assert sorted(each.name for each in (root / "venvs").iterdir() if each.is_dir()) == list("abcde")
    jobs.collect(root, mine="0" * 16)
    assert sorted(each.name for each in (root / "venvs").iterdir() if each.is_dir()) == list("abce")


def test_an_environment_that_is_used_again_is_the_newest(root, tmp_path, monkeypatch):
    folder = root / "venvs" / virtualenv._key(SPEC, [])
    folder.mkdir()
    os.utime(folder, (0, 0))
    monkeypatch.setattr(virtualenv, "_works", lambda python: True)
    assert virtualenv.ensure(root, tmp_path, SPEC, io.BytesIO()) == folder / "bin" / "python"
    assert time.time() - folder.stat().st_mtime < 60
    assert is_locked(root / "venvs" / f"{folder.name}.use")


def test_one_workstation_that_keeps_nothing_leaves_what_another_has_just_sent(root):
    jobs.announce(root, "b" * 16)  # it has asked what is missing, and has not begun yet
    jobs.clean(root, "a" * 16, keep=False)
    assert (root / "blobs").is_dir()
    jobs.clean(root, "b" * 16, keep=False)
    assert not root.exists()
    jobs.announce(root, "c" * 16)
    assert (root / "blobs").is_dir()


@pytest.fixture
def stubborn(tmp_path) -> tuple[Path, str, Path]:
    """A root, the name of a job whose step ignores SIGTERM and runs, and the step's program."""
    root, name, step = open_root(str(tmp_path / "root")), "a" * 16, tmp_path / "stubborn"
    step.write_text(f"#!/bin/sh\ntrap '' TERM\ntouch {tmp_path}/runs\nwhile :; do sleep 0.1; done\n")
    step.chmod(0o755)
    repository = str(ROOT)
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from edgeroberta.remote.device import runner
runner.ensure = lambda *others: Path({str(step)!r})
runner.run(Path(sys.argv[3]))
"""
    spec = {"environment": {}, "steps": [asdict(Step("bench", "a:b"))]}
    start = f"""
import sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from edgeroberta.remote.device import jobs
jobs.start(Path({str(root)!r}), {name!r}, {spec!r}, {{}}, {program!r})
"""
    subprocess.run([sys.executable, "-c", start], check=True)
    end = time.monotonic() + 20
    while not (tmp_path / "runs").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    return root, name, step


def test_a_step_that_ignores_the_end_of_its_job_is_killed(stubborn, monkeypatch):
    root, name, step = stubborn
    monkeypatch.setattr(jobs, "GRACE_SECONDS", 0.3)
    jobs.stop(root, name)
    assert not processes_with(str(step))
    assert not (root / "jobs" / name).exists()


def test_a_step_that_outlives_its_runner_keeps_the_next_measurement_waiting(stubborn, monkeypatch):
    root, name, _ = stubborn
    os.kill(int((root / "jobs" / name / "pid").read_text()), signal.SIGKILL)
    time.sleep(0.2)
    assert is_locked(root / "measuring.lock")
    assert is_locked(root / "jobs" / name / "alive.lock")
    monkeypatch.setattr(jobs, "GRACE_SECONDS", 0.3)
    jobs.stop(root, name)
    assert not is_locked(root / "measuring.lock")


def test_a_line_that_is_not_whole_yet_in_a_log_waits_for_its_rest(tmp_path):
    log, said = tmp_path / "log", []
    text = "first\n50 °C\n".encode()
    log.write_bytes(text[:10])
    at = jobs._tell(log, 0, said.append, ended=False)
    assert (at, said) == (6, [{"at": 6, "lines": ["first"]}])
    assert jobs._tell(log, at, said.append, ended=False) == 6
    log.write_bytes(text + b"\xc2")
    at = jobs._tell(log, at, said.append, ended=False)
    assert said[1:] == [{"at": len(text), "lines": ["50 °C"]}]
    assert jobs._tell(log, at, said.append, ended=True) == len(text) + 1
    assert said[-1]["lines"] == ["\ufffd"], "the job has ended: no rest will come"


def test_a_line_without_end_in_a_log_is_told_in_parts(tmp_path):
    log, said = tmp_path / "log", []
    log.write_bytes(b"x" * 100_000)
    assert jobs._tell(log, 0, said.append, ended=False) == 1 << 16
    assert jobs._tell(log, 1 << 16, said.append, ended=True) == 100_000
    assert sum(len(line) for each in said for line in each["lines"]) == 100_000


def test_files_of_another_s_in_our_folder_on_the_device_stay(root):
    mine = [root / name for name in ("thesis.txt", "jobs/thesis", "blobs/thesis.txt", "announced/thesis.txt")]
    for file in mine:
        file.write_text("years of work")
        os.utime(file, (0, 0))
    jobs.collect(root, "a" * 16)
    assert all(file.read_text() == "years of work" for file in mine)
    remove_all(root)
    assert sorted(each.name for each in root.iterdir()) == [".edgeroberta-remote", "thesis.txt"]
    (root / "thesis.txt").unlink()
    remove_all(open_root(str(root)))
    assert not root.exists()
