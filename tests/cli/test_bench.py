from __future__ import annotations

import json
import shutil
from pathlib import Path

import exported_folders
import fake_bundles
import onnx
import pytest

from edgeroberta import cli
from edgeroberta.measure.validity import NoTelemetry


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    toy = fake_bundles.write(folder / "toy")
    data = fake_bundles.write_data(folder / "rows.csv", 100, toy)
    return fake_bundles.with_reports(folder / "bundle", data, wrong=1)


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main([str(word) for word in words])
    return leave.value.code if isinstance(leave.value.code, int) else 0


def test_the_table_is_printed_and_kept(bundle, capsys):
    assert run("bench", bundle, "--rounds", 1) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split()[:3] == ["model", "engine", "status"]
    assert [line.split()[0] for line in lines[1:3]] == ["reference", "bundle"]
    assert [line.split()[3].rstrip(",") for line in lines[1:3]] == ["stored", "ok"]
    assert said.err.splitlines()[-1] == f"written to {bundle}/reports/bench.md"
    assert (bundle / "reports" / "bench.md").read_text(encoding="utf-8").startswith("# Benchmark")


def test_nothing_is_written_into_the_cache_of_the_hub(bundle, tmp_path, capsys):
    copy = tmp_path / "models--someone--reviews" / "snapshots" / f"{7:040}"
    shutil.copytree(bundle, copy)
    for name in ("bench.json", "bench.md"):
        (copy / "reports" / name).unlink(missing_ok=True)
    before = sorted(copy.rglob("*"))
    assert run("bench", copy, "--rounds", 1, "--html", tmp_path / "bench.html") == 0
    assert sorted(copy.rglob("*")) == before
    assert "Benchmark of someone/reviews@0000000" in (tmp_path / "bench.html").read_text(encoding="utf-8")
    assert "written to" not in capsys.readouterr().err.splitlines()[-2]


def test_json_is_json_and_nothing_else(bundle, capsys):
    assert run("bench", bundle, "--rounds", 2, "--batch", 4, "--length", 32, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    latency = found["rows"][1]["latency"]
    assert (latency["batch"], latency["length"], latency["rounds"]) == (4, 32, 2)
    assert found["rows"][1]["agreement"] == 0.99


def test_a_reference_made_elsewhere_is_a_row(bundle, capsys):
    folder = bundle / "reports" / "reference"
    assert run("bench", bundle, "--rounds", 1, "--reference", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["name"] == "reference"
    assert run("bench", bundle, "--reference", bundle) == 2
    assert "no reference here (reference.json is missing)" in capsys.readouterr().err


def test_a_jetson_elsewhere_ends_with_exit_4_and_what_to_do(bundle, capsys):
    assert run("bench", bundle, "--target", "jetson") == 4
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith("error: --target: the target 'jetson' is another machine than this one: looked")
    assert second == (
        "  next: edgeroberta bench BUNDLE --target jetson --host user@jetson, "
        "or without a device: edgeroberta check BUNDLE --target jetson"
    )


@pytest.mark.parametrize("option", [("--no-keep",), ("--wheelhouse", "wheels")])
def test_options_of_another_machine_need_one(bundle, capsys, option):
    assert run("bench", bundle, *option) == 2
    assert f"{option[0]} is for another machine" in capsys.readouterr().err


def test_a_host_that_fails_ends_the_command_with_its_exit_code(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EDGEROBERTA_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text('[hosts.kitchen]\nssh = "me@kitchen"\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("bench", bundle, "--host", "kitchen", "--json") == 4
    said = capsys.readouterr()
    (host,) = json.loads(said.out)["hosts"]
    assert (host["host"], host["status"], host["error"]["exit_code"]) == ("kitchen", "failed", 4)
    assert "there is no OpenSSH client on this machine" in said.err


def test_an_engine_the_bundle_lacks_is_refused(bundle, capsys):
    assert run("bench", bundle, "--engines", "onnxruntim") == 2
    assert capsys.readouterr().err == (
        "error: --engines: the bundle was not built for 'onnxruntim', only for onnxruntime\n"
        "  next: did you mean 'onnxruntime'?\n"
    )


def test_an_engine_that_refuses_its_files_is_a_row(bundle, tmp_path, capsys):
    """One row fails, the other is measured, and the command still ends well."""
    data = bundle.parent / "rows.csv"
    (tmp_path / "bundle").mkdir()
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (tmp_path / "bundle" / name).write_text("no graph")
    both = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0, engines=("onnxruntime", "openvino"))
    assert run("bench", both, "--rounds", 1, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["status"] for row in rows[1:]] == ["ok", "failed"]
    assert "refuses the graph" in rows[2]["detail"]
    assert rows[2]["latency"] is None


def test_a_bundle_that_cannot_be_written_still_gets_its_table(bundle, capsys, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeroberta.storage.artifact.write_json", full)
    assert run("bench", bundle, "--rounds", 1) == 0
    said = capsys.readouterr()
    assert "onnxruntime" in said.out
    assert "warning: " in said.err
    assert "No space left on device" in said.err


def test_a_folder_that_is_no_bundle_is_refused(tmp_path, capsys):
    assert run("bench", tmp_path) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: not a bundle")


def test_a_run_that_throttled_is_shown_and_kept_and_ends_with_exit_1(bundle, capsys, monkeypatch):
    class Hot:
        watched = NoTelemetry(throttled=True, reasons=("heat",))

        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr("edgeroberta.measure.environment.watch_on", lambda device: lambda runs_on: Hot())
    assert run("bench", bundle, "--rounds", 1, "--json") == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["validity"]["verdict"] == "invalid"
    assert found["rows"][1]["status"] == "invalid"
    assert "error: the run is not valid: The device throttled: heat." in said.err
    kept = json.loads((bundle / "reports" / "bench.json").read_text(encoding="utf-8"))
    assert kept["validity"] == found["validity"]


def test_where_no_engine_can_run_the_table_is_shown_and_the_exit_code_is_4(
    bundle, tmp_path, capsys, monkeypatch
):
    import shutil

    device = tmp_path / "bundle"
    shutil.copytree(bundle, device)
    shutil.copyfile(device / "model.onnx", device / "tensorrt.onnx")
    fake_bundles.seal(device, data=bundle.parent / "rows.csv", engines=("tensorrt", "onnxruntime"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert run("bench", device, "--rounds", 1, "--engines", "tensorrt") == 4
    said = capsys.readouterr()
    assert "not installed" in said.out
    assert said.err.endswith(
        "error: --engines: none of the engines can run here: tensorrt\n"
        "  next: edgeroberta doctor tells what each needs\n"
    )


def test_exported_graphs_are_rows_and_one_that_fails_is_not_the_end(bundle, tmp_path, capsys):
    wrong = exported_folders.of_toy(bundle, tmp_path / "wrong")
    exported_folders.permute(wrong, (1, 0))  # labels and graph
    exported_folders.edit_config(wrong, id2label={"0": "negative", "1": "positive"}, label2id=None)
    broken = exported_folders.of_toy(bundle, tmp_path / "broken")
    no_node = onnx.helper.make_node("Nothing", ["input_ids"], ["logits"])
    exported_folders.write_graph(broken / "model.onnx", node=lambda: no_node)
    good = exported_folders.of_toy(bundle, tmp_path / "good")
    places = [word for folder in (good, wrong / "model.onnx", broken) for word in ("--beside", folder)]
    assert run("bench", bundle, "--rounds", 1, *places, "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert list(rows)[2:] == ["good/model.onnx", "wrong/model.onnx", "broken/model.onnx"]
    assert [row["status"] for row in rows.values()] == ["stored", "ok", "ok", "wrong", "failed"]
    ours, found = rows["bundle"], rows["good/model.onnx"]
    assert (found["agreement"], found["metric"]) == (ours["agreement"], ours["metric"])
    assert found["bytes"] == ours["bytes"]
    assert min(found["latency"]["p50_ms"], found["latency"]["p90_ms"], found["peak_bytes"]) > 0
    assert found["offline"]["texts_per_second"] > 0
    assert "refuses the graph" in rows["broken/model.onnx"]["detail"]


def test_an_export_that_cannot_be_compared_is_refused_before_anything_runs(bundle, tmp_path, capsys):
    folder = exported_folders.of_toy(bundle, tmp_path / "export")
    exported_folders.edit_config(folder, id2label={"0": "no", "1": "yes"})
    assert run("bench", bundle, "--beside", folder) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: --beside {folder}: its labels are 'no', 'yes', the bundle's")
    assert len(said.err.splitlines()) == 2


def test_an_exported_graph_may_be_the_baseline(bundle, tmp_path, capsys):
    folder = exported_folders.of_toy(bundle, tmp_path / "export")
    assert run("bench", bundle, "--rounds", 1, "--model", folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    rows = found["rows"]
    assert [(row["name"], row["engine"].split()[0]) for row in rows[1:]] == [
        ("baseline", "onnxruntime"),
        ("bundle", "onnxruntime"),
    ]
    assert rows[1]["speed_up"] == pytest.approx(1)
    assert rows[2]["speed_up"] > 0
    assert any(note.startswith("The baseline is the graph export/model.onnx") for note in found["notes"])


def test_a_baseline_that_is_another_model_is_found_by_its_answers(bundle, tmp_path, capsys):
    folder = exported_folders.of_toy(bundle, tmp_path / "export")
    exported_folders.permute(folder, (1, 0))
    exported_folders.edit_config(folder, id2label={"0": "negative", "1": "positive"}, label2id=None)
    assert run("bench", bundle, "--rounds", 1, "--model", folder, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["status"] for row in rows] == ["stored", "wrong", "ok"]


def test_the_table_is_written_as_a_page_as_well(bundle, tmp_path, capsys):
    file = tmp_path / "bench.html"
    assert run("bench", bundle, "--rounds", 1, "--html", file) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"written to {file}"
    shown = file.read_text(encoding="utf-8")
    assert '<h1 class="">Benchmark of bundle</h1>' in shown
    assert shown.count("<svg") >= 4
    assert run("bench", bundle, "--html", tmp_path / "bench.csv") == 2
    assert "'bench.csv' is no name of a page" in capsys.readouterr().err
