from __future__ import annotations

import json
import shutil
import signal
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import exported_folders
import fake_bundles
import fake_cascades
import fake_tables
import numpy as np
import pytest
from fake_bundles import read_json
from fake_progress import Acting, Heard
from living import processes_with
from ssh_server import answering, host_of

from edgeroberta.benchmark import device_steps, hosts_table
from edgeroberta.benchmark.comparison import SCHEMA_VERSION
from edgeroberta.benchmark.hosts import HostResult, comparison_from, to_json
from edgeroberta.benchmark.lineup import NO_MODEL
from edgeroberta.benchmark.payload import rows_jsonl, spec_of
from edgeroberta.benchmark.row import mark_throttled
from edgeroberta.benchmark.run import BenchRequest
from edgeroberta.data import MaskReader, load_heldout
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import BundleError, EdgeRobertaError, UsageError
from edgeroberta.hardware import machine_facts
from edgeroberta.measure import environment
from edgeroberta.measure.clock import Breakdown
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.measure.validity import RunValidity, Validity
from edgeroberta.progress import Progress
from edgeroberta.remote import hostrun
from edgeroberta.remote.failures import UnreachableError
from edgeroberta.remote.ssh import SshConnection
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.tasks import Problem, Task

NO_ROOM = EdgeRobertaError("no room", where="kitchen")


def test_a_bundle_is_measured_there_and_nothing_is_sent_twice(on, device, bundle):
    precious = device.home / ".cache" / "precious"
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("not yours")
    shutil.rmtree(device.root / "blobs", ignore_errors=True)  # another test may have sent them before
    (first,) = on(BenchRequest(bundle, rounds=1), kitchen=device)
    assert first.error is None
    stored, measured = first.comparison.rows
    assert (stored.name, str(measured.status), measured.agreement) == ("reference", "ok", 0.99)
    assert first.shipped_bytes > 700_000
    assert not list((device.root / "jobs").iterdir())
    assert precious.read_text() == "not yours"
    with device.hooked(answering("bench", fake_tables.printed())):
        (second,) = on(BenchRequest(bundle, rounds=1), kitchen=device)
    assert (second.error, second.shipped_files, second.shipped_bytes) == (None, 0, 0)


def test_a_job_outlives_its_connection(on, device, bundle):
    lines = Acting("measure:", device.drop)
    (result,) = on(BenchRequest(bundle, rounds=3), lines, kitchen=device)
    assert lines.act is None, "it was dropped"
    assert any("connection lost" in line for line in lines.lines)
    assert result.error is None
    assert sum("bench: started" in line for line in lines.lines) == 1


def test_the_same_command_takes_a_lost_job_up(on, device, bundle):
    (lost,) = on(
        BenchRequest(bundle, rounds=4), Acting("bench: started", device.drop), delays=(), kitchen=device
    )
    assert isinstance(lost.error, UnreachableError)
    assert lost.error.hint == "the job continues there; run the same command again to resume"
    lines = Heard()
    (result,) = on(BenchRequest(bundle, rounds=4), lines, kitchen=device)
    assert result.error is None
    assert any("an earlier run of this command is" in line for line in lines.lines)
    assert sum("bench: started" in line for line in lines.lines) == 1
    assert not list((device.root / "jobs").iterdir())


def test_an_interrupt_stops_the_job_there(on, device, bundle):
    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    # A shell that starts the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            on(BenchRequest(bundle, rounds=50), Acting("bench: started", interrupt), kitchen=device)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list((device.root / "jobs").iterdir())
    assert not processes_with(str(device.root / "jobs"))


@pytest.mark.parametrize("configured", [False, True], ids=["option", "configuration"])
def test_a_host_that_is_not_what_the_target_describes_is_told_once_with_what_to_change(
    on, device, bundle, configured
):
    lines = Heard()
    kitchen = host_of(device, "kitchen", target="jetson" if configured else None)
    (result,) = on(BenchRequest(bundle, target=None if configured else "jetson"), lines, kitchen=kitchen)
    error = result.error
    assert (error.exit_code, error.where) == (4, "kitchen")
    assert error.code == "unavailable.other-machine"
    assert "looked for a machine of type aarch64 with 'Jetson' or " in error.what
    other = "target in the configuration of hosts" if configured else "--target"
    assert error.hint.startswith(f"name another --host, or another {other}; ")
    assert not [line for line in lines.lines if "jetson" in line]
    assert not list((device.root / "jobs").iterdir())


def test_two_hosts_make_one_table_and_one_of_them_may_fail(on, device, fresh, bundle):
    fresh.write_config(key="stranger")
    good, bad = on(BenchRequest(bundle, rounds=1), kitchen=device, garage=fresh)
    assert good.error is None
    assert bad.error.exit_code == 4
    lines = hosts_table.text((good, bad)).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["host", "kitchen", "kitchen", "garage"]
    status = lines[0].index("status")
    assert [line[status:].split()[0] for line in lines[1:4]] == ["stored", "ok", "failed"]
    assert "refused the login" not in "\n".join(lines), "the command tells it as an error"
    file = hosts_table.write((good, bad), bundle)
    found = read_json(file.with_suffix(".json"))
    assert [each["status"] for each in found["hosts"]] == ["ok", "failed"]
    assert found["hosts"][0]["bench"]["rows"][1]["status"] == "ok"
    kept = file.read_text(encoding="utf-8")
    assert kept.count("|\n") == 5
    assert "\n| garage | – | – | failed | – |" in kept
    assert kept.splitlines()[-1] == (
        "- garage: refused the login: none of the keys that ssh offered is accepted; "
        "next: ssh-copy-id device, or load the key into the agent: ssh-add"
    )


def test_a_failure_that_nobody_thought_of_does_not_take_the_other_hosts_along(
    on, device, bundle, monkeypatch
):
    def ship(connection: SshConnection, *others: Any, **more: Any) -> Any:
        raise KeyError(connection.host.name) if connection.host.name == "garage" else NO_ROOM

    monkeypatch.setattr(hostrun, "ship", ship)
    kitchen, garage = on(BenchRequest(bundle, rounds=1), kitchen=device, garage=host_of(device, "garage"))
    assert kitchen.error is NO_ROOM
    assert (garage.error.what, garage.error.where) == ("unexpected KeyError: 'garage'", "garage")


@pytest.mark.slow
def test_without_keeping_nothing_is_left(on, fresh, bundle):
    broken = host_of(fresh, pip_args=("--no-such-option",))
    (result,) = on(BenchRequest(bundle, rounds=1), keep=False, kitchen=broken)
    assert result.error.code == "device.environment"
    assert "no such option: --no-such-option" in result.error.what
    assert "--wheelhouse" in result.error.hint
    assert not fresh.root.exists()


@pytest.mark.slow
def test_a_measurement_without_keeping_leaves_nothing(on, fresh, bundle):
    before = {file.relative_to(fresh.home) for file in fresh.home.rglob("*")}
    (result,) = on(BenchRequest(bundle, rounds=1), keep=False, kitchen=fresh)
    assert result.error is None
    assert {file.relative_to(fresh.home) for file in fresh.home.rglob("*")} - before == {Path(".cache")}


def test_a_bundle_of_a_newer_version_is_not_sent(on, fresh, bundle, tmp_path):
    newer = tmp_path / "newer"
    newer.mkdir()
    manifest = {**read_json(bundle / "manifest.json"), "schema_version": 99}
    (newer / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match="written by a newer version"):
        on(BenchRequest(newer), kitchen=fresh)
    assert not fresh.commands


def test_the_full_size_model_is_not_sent(on, fresh, bundle):
    with pytest.raises(UsageError, match="not sent to a device"):
        on(BenchRequest(bundle, model="full/"), kitchen=fresh)


@pytest.mark.parametrize(
    ("task", "labels", "pairs"),
    [
        (Task(Problem.SINGLE_LABEL, ("b", "a", "1")), np.array([0, 1, 2, 1]), False),
        (Task(Problem.SINGLE_LABEL, ("1", "0"), pair=True), np.array([0, 1, 0, 1]), True),
        (
            Task(Problem.MULTI_LABEL, ("x|y", "z")),
            np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
            False,
        ),
        (Task(Problem.REGRESSION, ("score",)), np.array([0.1, 1e-7, -3, 1 / 3], np.float32), False),
    ],
    ids=["single", "pairs", "multi", "regression"],
)
def test_rows_arrive_with_the_digest_they_had(tmp_path, task, labels, pairs):
    texts = ("plain", 'two\nlines, "quoted"', "ünï\u2028\x00", "  spaces ")
    rows = Rows(texts, texts[::-1] if pairs else None, labels, "here")
    file = tmp_path / "rows.jsonl"
    file.write_bytes(rows_jsonl(rows, task))
    spec = spec_of(rows, task, str(file))
    assert load_heldout(spec, task).digest == rows.digest


@pytest.mark.parametrize("scored", [True, False], ids=["scores", "passages"])
def test_pairs_that_are_read_one_by_one_arrive_with_the_digest_they_had(tmp_path, scored):
    task = Task(Problem.EMBEDDING, (), dimensions=4, pooling="mean")
    # Numbers as held-out rows have them: counting began in rows that are elsewhere.
    known = np.array([0.1, 1e-7, 5]) if scored else np.array([[7, 3], [2, 9], [7, 1]])
    labels = known.astype(np.float32) if scored else known
    rows = Rows(("a q", "b q", "A Q"), ("x", "y\u2028", "z"), labels, "here", apart=True)
    file = tmp_path / "rows.jsonl"
    file.write_bytes(rows_jsonl(rows, task))
    found = load_heldout(spec_of(rows, task, str(file)), task)
    assert found.digest == rows.digest
    assert found.inputs() == rows.inputs()
    other = labels[::-1].copy() if scored else labels[:, ::-1].copy()
    assert replace(rows, labels=other).digest != rows.digest


def test_masked_texts_arrive_with_the_tokens_that_they_ask_for(tmp_path, tiny_mask_checkpoint):
    found = Checkpoint(tiny_mask_checkpoint)
    reader = MaskReader.of(found.task, tiny_mask_checkpoint, found.max_length)
    plain = Rows(("the film was great", "an awful plot", "no\u2028😀 end"), None, None, "here")
    rows = reader.masked(plain, seed=0, tell=print)
    file = tmp_path / "rows.jsonl"
    file.write_bytes(rows_jsonl(rows, found.task))
    there = load_heldout(spec_of(rows, found.task, str(file)), found.task, masks=reader)
    assert (there.texts, there.digest) == (rows.texts, rows.digest)


def test_a_table_comes_home_as_it_was_made():
    found = comparison_from(fake_tables.printed(), where="kitchen")
    assert json.loads(json.dumps(found.to_json())) == fake_tables.printed()
    (row,) = found.rows
    assert (row.status, row.metric, row.noisy) == (RowStatus.OK, 0.9, True)
    assert row.offline.tried == ((1, 400.0), (8, 500.0))
    assert isinstance(row.latency.breakdown, Breakdown)
    assert isinstance(row.latency.p50_interval_ms, tuple)
    assert found.validity.verdict is RunValidity.NOISY
    assert found.machine == fake_bundles.DEVICE


def test_what_this_machine_says_of_itself_survives_the_way_home():
    around = environment.environment_after(environment.environment_before(machine_facts()))
    found = comparison_from(json.loads(json.dumps(changed(around=asdict(around)))), where="kitchen")
    assert json.dumps(asdict(found.around)) == json.dumps(asdict(around))


def test_advice_that_does_not_hold_for_another_machine_is_put_in_other_words(monkeypatch, bundle):
    table = replace(fake_tables.comparison(), notes=(NO_MODEL, "Something else."))
    asked: list[BenchRequest] = []
    monkeypatch.setattr(device_steps, "benchmark", lambda request, progress: asked.append(request) or table)
    request = BenchRequest(bundle, rounds=7)
    there, other = device_steps.bench(json.loads(json.dumps(asdict(request), default=str)), Progress())[
        "notes"
    ]
    assert asked == [request]
    assert (there, other) == (device_steps.NO_MODEL_THERE, "Something else.")


def test_how_good_the_numbers_of_each_host_are_is_part_of_the_table():
    noisy = comparison_from(fake_tables.printed(), where="kitchen")
    validity = Validity(RunValidity.INVALID, ("The device throttled: hot.",))
    invalid = replace(noisy, validity=validity, rows=tuple(mark_throttled(noisy.rows)))
    results = (HostResult("kitchen", noisy), HostResult("garage", invalid))
    for laid in (hosts_table.text(results), hosts_table.markdown(results)):
        assert "ok, noisy" in laid
        assert "invalid, noisy" in laid
        assert "kitchen: Noisy. Rounds differ." in laid
        assert "kitchen: Warning: Clocks float." in laid
        assert "garage: NOT VALID, no speed-up is told. The device throttled: hot." in laid
    assert [each["status"] for each in to_json(results)["hosts"]] == ["ok", "invalid"]


def changed(**changes: Any) -> dict[str, Any]:
    return {**fake_tables.printed(), **changes}


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ([], "not a table"),
        (changed(schema_version=SCHEMA_VERSION + 1), f"of schema {SCHEMA_VERSION + 1}, not"),
        (changed(kind="x"), "sent 'x' of schema"),
        (changed(extra=1), r"unknown field \.extra"),
        (changed(rows=[{"name": "x"}]), r"rows\[0\]\.engine is missing"),
        (changed(rows={}), r"rows is not a list"),
        (changed(metric=5), "metric is not str"),
        (json.loads(json.dumps(changed()).replace('"ok"', '"splendid"')), "'splendid'"),
    ],
)
def test_what_is_no_table_is_refused(sent, complaint):
    with pytest.raises(EdgeRobertaError, match=complaint) as caught:
        comparison_from(sent, where="kitchen")
    assert caught.value.where == "kitchen"


def test_control_characters_of_a_device_do_not_reach_the_terminal():
    sent = changed(notes=["a\x1b]0;title\x07b\x1b[2Jc\u202ed\re"])
    assert comparison_from(sent, where="kitchen").notes == ("abcde",)


def test_the_tiers_of_a_cascade_are_sent_and_measured_there(on, device, tmp_path):
    data = fake_bundles.write_data(tmp_path / "rows.csv", 60, fake_bundles.write(tmp_path / "toy"))
    fake_cascades.write(tmp_path / "cascade", data=data, thresholds=(0.8,))
    request = BenchRequest(tmp_path / "cascade", DataSpec(str(data), eval_data=str(data)), rounds=1)
    (result,) = on(request, kitchen=device)
    assert result.error is None
    (row,) = result.comparison.rows
    assert [tier.name for tier in row.cascade.tiers] == ["tiny", "int8"]
    assert 0 < row.cascade.escalated < 1
    assert row.cascade.worst.calls == 20


def test_an_exported_graph_goes_along_and_keeps_its_name(on, device, bundle, tmp_path):
    folder = exported_folders.of_toy(bundle, tmp_path / "export")
    (result,) = on(BenchRequest(bundle, rounds=1, beside=(folder / "model.onnx",)), kitchen=device)
    assert result.error is None
    row = result.comparison.rows[-1]
    assert (row.name, str(row.status), row.agreement) == ("export/model.onnx", "ok", 0.99)
