"""What becomes of a job by how its steps end; a hook in the device's Python decides that."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fake_bundles
import fake_tables
import onnxruntime
import pytest
import tensorrt_bundles
from fake_bundles import read_json
from fake_progress import Heard
from ssh_server import answering, failing, printing

from edgeroberta import cli
from edgeroberta.benchmark.hosts import HostResult
from edgeroberta.benchmark.payload import BENCH, BUILD, gather, work_for
from edgeroberta.benchmark.run import BenchRequest
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import UnavailableError, UsageError
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.remote import hosts as known_hosts
from edgeroberta.storage.strict import decode

TESTS = Path(__file__).parents[1]
BROKE = "bench ended with exit code {}: bench: started"
#: Every turn is watched by something that saw the device throttle.
THROTTLED = """
import sys
if "bench" in sys.orig_argv:
    from edgeroberta.measure import environment, validity
    class Hot(validity.NullMonitor):
        watched = validity.NoTelemetry(throttled=True, reasons=("91 degrees",))
    environment.watch_on = lambda facts: lambda runs_on: Hot()
"""
#: TensorRT 10.3 on an Orin, for every process there.
TENSORRT = f"""
import sys
if "edgeroberta" in sys.orig_argv or "-c" not in sys.orig_argv:
    sys.path.append({str(TESTS)!r})
    import pytest
    from fake_tensorrt import FakeTensorRt
    FAKE = FakeTensorRt()
    FAKE.install(pytest.MonkeyPatch())
"""


@pytest.fixture
def command(device, tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """A function that runs the command line with a configuration that knows the device as ``kitchen``."""
    monkeypatch.setenv(known_hosts.VARIABLE, str(device.write_hosts(tmp_path / "config.toml")))

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        return int(caught.value.code or 0), *capsys.readouterr()

    return run


def test_the_command_prints_the_table_of_the_device(command, bundle):
    code, out, err = command("bench", str(bundle), "--host", "kitchen", "--rounds", "1")
    assert code == 0, err
    header, stored, measured = out.splitlines()[:3]
    assert header.split()[:3] == ["model", "engine", "status"]
    assert (stored.split()[0], measured.split()[0]) == ("reference", "bundle")
    assert "rows of rows.csv." in out
    assert f"written to {bundle / 'reports' / 'bench-hosts.md'}" in err
    assert "kitchen: written to" not in err


def test_the_command_prints_one_json(command, device, bundle):
    table = fake_tables.printed()
    with device.hooked(answering("bench", table)):
        code, out, err = command("bench", str(bundle), "--host", "kitchen", "--json")
    assert code == 0, err
    (host,) = json.loads(out)["hosts"]
    assert (host["host"], host["status"]) == ("kitchen", "ok")
    assert host["bench"] == {**table, "data": {"source": "rows.csv", "rows": 3}}


def test_a_run_that_is_not_valid_brings_its_table_home_and_ends_with_1(command, device, bundle):
    with device.hooked(THROTTLED):
        code, out, err = command("bench", str(bundle), "--host", "kitchen", "--rounds", "1")
    assert code == 1
    assert "NOT VALID, no speed-up is told. The device throttled: 91 degrees." in out
    assert "error: kitchen: the run is not valid: The device throttled: 91 degrees." in err
    assert read_json(bundle / "reports" / "bench-hosts.json")["hosts"][0]["status"] == "invalid"
    assert not list((device.root / "jobs").iterdir())


@pytest.mark.parametrize(
    ("hook", "what", "hint", "exit_code"),
    [
        (failing("bench", UsageError("no rows", hint="give some")), "no rows", "give some", 2),
        (printing("bench", "not an outcome", "it broke", 4), BROKE.format(4) + " | it broke", None, 1),
        (printing("bench", "{}", "", 139), BROKE.format(139), None, 1),
    ],
    ids=["its error", "garbage", "killed"],
)
def test_a_measurement_that_fails_is_told_in_its_own_words(
    there, device, bundle, hook, what, hint, exit_code
):
    with device.hooked(hook):
        result = there(BenchRequest(bundle))
    assert (result.comparison, result.status) == (None, "failed")
    assert (result.error.what, result.error.hint, result.error.exit_code) == (what, hint, exit_code)


def test_a_table_without_a_measured_engine_is_an_error(there, device, bundle):
    table = fake_tables.printed()
    rows = [{**row, "name": "bundle", "status": "not installed"} for row in table["rows"]]
    with device.hooked(answering("bench", {**table, "rows": rows})):
        result = there(BenchRequest(bundle))
    assert result.comparison is None
    assert (result.error.exit_code, result.error.where) == (4, "kitchen: --engines")


def test_every_option_reaches_the_device(bundle):
    request = BenchRequest(
        bundle, engines=("onnxruntime",), rows=7, batch=2, length=16, threads=3, rounds=4,
        dtypes=("float16", "bfloat16"),
    )  # fmt: skip
    (step,) = work_for(gather(request), "arm").steps
    there = decode(BenchRequest, dict(step.arguments), where="test")
    data = DataSpec("rows.jsonl", eval_data="rows.jsonl", text="text", label="label", label_format="names")
    assert there == replace(request, bundle=Path("bundle"), data=data, target="arm")


@pytest.fixture(scope="module")
def for_tensorrt(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tensorrt")
    data = fake_bundles.write_data(folder / "rows.csv", 30, fake_bundles.write(folder / "toy"))
    return tensorrt_bundles.write(folder / "bundle", data=data)


@pytest.mark.slow
def test_engines_are_built_on_the_device_before_they_are_measured(there, device, for_tensorrt):
    said = Heard()
    with device.hooked(TENSORRT):
        result = there(BenchRequest(for_tensorrt, rounds=1), said)
    assert result.error is None, said.lines
    started = [line for line in said.lines if line.endswith(": started")]
    assert started == [f"kitchen: {BUILD}: started", f"kitchen: {BENCH}: started"]
    rows = {row.engine: row for row in result.comparison.rows}
    assert list(rows) == ["tensorrt 10.3.0", "tensorrt-fp16 10.3.0", f"onnxruntime {onnxruntime.__version__}"]
    assert {row.status for row in rows.values()} == {RowStatus.UNCHECKED}
    assert all(row.latency.p50_ms > 0 for row in rows.values())
    # Built once: the bench found both.
    assert len(list((device.root / "cache" / "engines").glob("*/engine.plan"))) == 2


@pytest.mark.slow
def test_engines_that_cannot_be_built_end_it_before_anything_is_measured(there, device, for_tensorrt):
    broken = "    FAKE.fails_to_build = True\n    FAKE.gpu.facts.name = b'Another'\n"
    with device.hooked(TENSORRT + broken):
        result = there(BenchRequest(for_tensorrt, rounds=1))
    assert result.comparison is None
    assert result.error.exit_code == 1
    assert "no engine can be kept (tensorrt: " in result.error.what


#: What the step says on a machine without TensorRT or a GPU.
CANNOT = failing("build", UnavailableError("engines are built on the device, and this machine cannot"))


def test_a_device_without_tensorrt_ends_it_where_nothing_else_is_to_be_measured(there, device, for_tensorrt):
    with device.hooked(CANNOT):
        result = there(BenchRequest(for_tensorrt, engines=("tensorrt",)))
    assert (result.error.exit_code, result.error.where) == (4, "kitchen")
    assert "engines are built on the device, and this machine cannot" in result.error.what


def test_a_device_without_tensorrt_is_measured_with_what_it_has(there, device, for_tensorrt):
    said = Heard()
    with device.hooked(CANNOT + answering("bench", fake_tables.printed())):
        result = there(BenchRequest(for_tensorrt), said)
    assert result.error is None, said.lines
    why = "engines are built on the device, and this machine cannot"
    assert f"kitchen: {BUILD}: this device cannot; the rest continues without it: {why}" in said.lines


def test_what_an_optional_step_lacked_is_not_why_a_later_one_failed(there, device, for_tensorrt):
    with device.hooked(CANNOT + printing("bench", "", "", 9)):
        result = there(BenchRequest(for_tensorrt))
    assert result.error.what == BROKE.format(9)


@pytest.mark.slow
def test_the_rows_of_a_device_without_tensorrt_say_so(there, device, for_tensorrt):
    absent = "import sys\nsys.modules.update(tensorrt=None, tensorrt_rtx=None)\n"
    find = "import importlib.util as u\nfind = u.find_spec\n"
    hide = "u.find_spec = lambda name, *more: None if name.startswith('tensorrt') else find(name, *more)\n"
    with device.hooked(absent + find + hide):
        result = there(BenchRequest(for_tensorrt, rounds=1))
    assert result.error is None
    rows = {row.engine.split()[0]: row for row in result.comparison.rows}
    assert (rows["tensorrt"].status, rows["tensorrt-fp16"].status) == (RowStatus.MISSING, RowStatus.MISSING)
    assert rows["onnxruntime"].latency.p50_ms > 0


def test_the_same_command_twice_at_once_gives_one_table_and_tells_the_other(there, device, bundle):
    results: list[HostResult] = []
    request = BenchRequest(bundle, rounds=2)
    threads = [threading.Thread(target=lambda: results.append(there(request))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 2
    assert any(each.comparison is not None for each in results)
    for error in (each.error for each in results if each.error is not None):
        assert error.code == "device.job-gone"
    assert not list((device.root / "jobs").iterdir())
