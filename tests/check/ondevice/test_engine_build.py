"""``edgeroberta build`` on fake devices: what is built, refused, kept, remembered and told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import fake_bundles
import numpy as np
import pytest
import tensorrt_bundles
from fake_tensorrt import VERSIONS, FakeTensorRt

from edgeroberta import bundle_writer as sealing
from edgeroberta.check.ondevice import engine_build as ondevice
from edgeroberta.check.ondevice.engines import BuiltEngine, choose
from edgeroberta.check.ondevice.timing import TimingPlan, random_ids
from edgeroberta.cli import main
from edgeroberta.errors import EngineError, UnavailableError, UsageError
from edgeroberta.progress import Progress
from edgeroberta.runtime import Runtime, manifest, preferences
from edgeroberta.runtime.session import ENGINES
from edgeroberta.runtime.tensorrt import tensorrt_session as sessions

QUICK = TimingPlan(rounds=2, calls=4, warmup=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return tensorrt_bundles.write(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def fake(monkeypatch):
    return FakeTensorRt().install(monkeypatch)


@pytest.fixture
def paced(monkeypatch):
    """Milliseconds that the device seems to take, by engine name; end to end as well."""
    pace: dict[str, float] = {}
    run = sessions.TensorRtSession._run

    def slowed(self, ids, mask, *, timed):
        import time

        milliseconds = pace.get(self.name, 0)
        time.sleep(milliseconds / 1000)
        logits, seconds = run(self, ids, mask, timed=timed)
        return logits, seconds + milliseconds / 1000

    monkeypatch.setattr(sessions.TensorRtSession, "_run", slowed)
    return pace


def build(folder: Path, **changes):
    request = ondevice.BuildRequest(folder, **{"plan": QUICK, **changes})
    return ondevice.build(request, progress=Progress())


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    told = capsys.readouterr()
    return int(caught.value.code or 0), told.out, told.err


@pytest.mark.parametrize("version", VERSIONS)
def test_both_engines_are_built_checked_and_timed(made, version):
    with FakeTensorRt(version).installed() as fake:
        outcome = build(made)
        assert len(fake.builds) == 2
        assert fake.gpu.alive == 0
    assert [each.engine for each in outcome.candidates] == ["tensorrt", "tensorrt-fp16"]
    for each in outcome.candidates:
        assert each.error is None
        assert each.deviation <= each.allowed
        assert each.engine_only.calls == each.call.calls == 8
        assert 0 < each.engine_only.p50_ms <= each.call.p50_ms * 2
    assert outcome.candidates[0].int8 == outcome.candidates[0].matmuls > 0
    assert outcome.candidates[1].int8 == 0


@pytest.mark.parametrize(("slow", "best"), [("tensorrt", "tensorrt-fp16"), ("tensorrt-fp16", "tensorrt")])
def test_the_faster_one_is_kept_and_is_what_the_runtime_opens(made, fake, paced, slow, best):
    paced[slow] = 5
    outcome = build(made)
    assert (outcome.kept, outcome.remembered) == (best, True)
    assert outcome.why.startswith(f"{ENGINES[best].precision} is faster here: ")
    with Runtime.open(made) as runtime:
        assert runtime.engine == best
        assert runtime("great film").label in fake_bundles.TASK.labels
    with Runtime.open(made, engine=slow) as runtime:
        assert runtime.engine == slow
    assert len(fake.builds) == 2  # opening reuses what was built


def test_a_choice_without_a_comparison_does_not_replace_the_one_that_is_remembered(made, fake, paced, capsys):
    paced["tensorrt"] = 5
    assert build(made).kept == "tensorrt-fp16"
    status, out, _ = run(capsys, "build", str(made), "--rounds", "1", "--engines", "tensorrt")
    assert status == 0
    assert "not remembered: tensorrt-fp16 was not compared" in out
    alone = build(made, engines=("tensorrt",))
    assert (alone.kept, alone.remembered, alone.left_out) == ("tensorrt", False, ("tensorrt-fp16",))
    with Runtime.open(made) as runtime:
        assert runtime.engine == "tensorrt-fp16"


def test_onnxruntime_s_cuda_provider_has_no_engine_that_is_built(tmp_path, fake):
    engines = ("tensorrt", "tensorrt-fp16", "onnxruntime-cuda", "onnxruntime")  # as the target nvidia-gpu
    outcome = build(tensorrt_bundles.write(tmp_path / "bundle", engines=engines))
    assert [each.engine for each in outcome.candidates] == ["tensorrt", "tensorrt-fp16"]
    assert outcome.kept in ("tensorrt", "tensorrt-fp16")


def test_a_second_build_reuses_the_engines(made, fake):
    build(made)
    assert [each.facts["reused"] for each in build(made).candidates] == [True, True]


def test_the_preference_is_ignored_when_its_engine_is_gone(made):
    with FakeTensorRt().installed():
        assert build(made).kept in ("tensorrt", "tensorrt-fp16")
    with Runtime.open(made, threads=1) as runtime:
        # Here there is TensorRT-RTX at most, and no GPU.
        assert runtime.engine == "onnxruntime"


def test_an_int8_engine_that_fell_back_to_float_is_not_kept(made, fake):
    fake.falls_back = True
    outcome = build(made)
    int8 = outcome.candidates[0]
    assert int8.error.startswith("it fell back to float: none of its ")
    assert outcome.kept == "tensorrt-fp16"
    assert outcome.why.startswith("the only one that passes (tensorrt: it fell back to float")


def count_matmuls(folder: Path, count: int) -> Path:
    """Let a bundle say how many matmuls and attentions are int8."""
    fields = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    fields["int8_matmuls"] = count
    sealing.seal(folder, {name: value for name, value in fields.items() if name not in ("files", "digest")})
    return folder


def test_an_int8_engine_that_fell_back_in_part_is_warned_of_and_not_kept_silently(
    made, fake, paced, tmp_path, capsys
):
    bundle = count_matmuls(tensorrt_bundles.write(tmp_path / "bundle"), 72)
    paced["tensorrt-fp16"] = 5
    outcome = build(bundle)
    int8 = outcome.candidates[0]
    assert (int8.error, int8.planned) == (None, 72)
    said = f"fell back to float in part: {int8.int8} of 72 matmuls and attentions compute in int8"
    assert said in str(int8.warning)
    assert outcome.kept == "tensorrt"
    assert said in outcome.why
    _, out, _ = run(capsys, "build", str(bundle), "--rounds", "1")
    assert f"tensorrt: it {said}" in out
    assert f"{int8.int8} of 72" in out.splitlines()[1]


def test_an_int8_engine_with_all_that_was_planned_is_not_warned_of(made, fake, tmp_path):
    bundle = tensorrt_bundles.write(tmp_path / "bundle")
    count = build(bundle).candidates[0].int8
    assert build(count_matmuls(bundle, count)).candidates[0].warning is None
    assert "in part" in str(build(count_matmuls(bundle, count + 1)).candidates[0].warning)


def test_where_layers_do_not_tell_size_does(made, fake, monkeypatch):
    fake.silent = True
    sizes = {"tensorrt.onnx": 50, "model_fp16.onnx": 100}
    read = manifest.read

    def resized(folder):
        facts = read(folder)
        files = {
            name: manifest.FileEntry(entry.sha256, sizes.get(name, entry.bytes))
            for name, entry in facts.files.items()
        }
        return SimpleNamespace(**{**vars(facts), "files": files})

    # Graphs half as large as the other's, while the toy's engines are equally large.
    monkeypatch.setattr(ondevice.manifest, "read", resized)
    monkeypatch.setattr(ondevice.manifest, "check_files", lambda facts: None)
    assert "it fell back to float, by its size: " in build(made).candidates[0].error
    sizes["tensorrt.onnx"] = 130
    again = build(made).candidates[0]
    assert (again.error, again.warning) == (None, "int8 by its size; its layers do not tell")
    alone = build(made, engines=("tensorrt",)).candidates[0]
    assert alone.warning == "its layers do not tell whether it computes in int8"


def test_wrong_goldens_exclude_an_engine_and_both_are_still_reported(made, fake, tmp_path, capsys):
    bundle = tensorrt_bundles.write(tmp_path / "bundle")
    goldens = json.loads((bundle / "goldens.json").read_text(encoding="utf-8"))
    goldens["logits"] = (np.array(goldens["logits"]) + 3).tolist()
    (bundle / "goldens.json").write_bytes(manifest.canonical(goldens))
    fake_bundles.seal(bundle, engines=tensorrt_bundles.ENGINES)
    outcome = build(bundle)
    assert outcome.kept is None
    for each in outcome.candidates:
        assert "logits differ by 3" in each.error
    status, out, told = run(capsys, "build", str(bundle), "--rounds", "1")
    assert status == 1
    assert out.splitlines()[1].split()[-2:] == ["wrong", "–"]
    assert "no engine can be kept (tensorrt: " in told


def test_the_fp16_engine_is_held_to_the_float_graph_s_answers(fake, tmp_path):
    bundle = tensorrt_bundles.write(tmp_path / "bundle")
    goldens = json.loads((bundle / "goldens.json").read_text(encoding="utf-8"))
    goldens["float_logits"] = (np.array(goldens["logits"]) + 3).tolist()
    goldens["float_atol"] = 0.5
    (bundle / "goldens.json").write_bytes(manifest.canonical(goldens))
    fake_bundles.seal(bundle, engines=tensorrt_bundles.ENGINES)
    int8, fp16 = build(bundle).candidates
    assert int8.error is None
    assert fp16.allowed == 0.5
    assert "logits differ by 3" in fp16.error
    with pytest.raises(EngineError, match="tensorrt-fp16"):
        Runtime.open(bundle, engine="tensorrt-fp16")
    assert fake.gpu.alive == 0  # what is refused holds no memory of the GPU
    Runtime.open(bundle, engine="tensorrt").close()


def test_an_engine_that_is_built_anew_is_checked_anew(made, fake, monkeypatch):
    from edgeroberta.runtime import goldens
    from edgeroberta.storage.cache import cache_dir

    checked = []
    check = goldens.check_answers
    monkeypatch.setattr(
        goldens, "check_answers", lambda *given, **named: checked.append(1) or check(*given, **named)
    )
    for count in (1, 1):
        Runtime.open(made, engine="tensorrt").close()
        assert len(checked) == count
    shutil.rmtree(cache_dir() / "engines")
    fake.capturable = False
    fake.falls_back = True  # another engine of the same graph
    Runtime.open(made, engine="tensorrt").close()
    assert len(checked) == 2


def test_nan_is_not_within_any_tolerance(made, fake):
    fake.nan = True
    assert all("logits differ by inf" in each.error for each in build(made).candidates)


def test_an_engine_that_cannot_be_built_is_a_row_and_not_the_end(made, fake):
    fake.fails_to_build = True
    outcome = build(made)
    assert outcome.kept is None
    assert "cannot build an engine: Error Code 10" in outcome.candidates[0].error


def report(**verdicts: str) -> SimpleNamespace:
    return SimpleNamespace(
        verdict="FAIL" if "FAIL" in verdicts.values() else "PASS",
        engines=[
            SimpleNamespace(
                engine=name.replace("_", "-"),
                judgement=SimpleNamespace(verdict=verdict, reason=f"accuracy, {verdict}"),
            )
            for name, verdict in verdicts.items()
        ],
    )


def test_the_gate_is_asked_on_rows_and_excludes_what_it_fails(made, fake, paced, tmp_path):
    paced["tensorrt-fp16"] = 5
    asked = []

    def gate(request, engines, progress):
        asked.append(engines)
        return report(tensorrt="FAIL", tensorrt_fp16="PASS")

    request = ondevice.BuildRequest(made, reference=tmp_path, plan=QUICK)
    outcome = ondevice.build(request, progress=Progress(), gate=gate)
    assert asked == [("tensorrt", "tensorrt-fp16")]
    assert [each.gate for each in outcome.candidates] == ["FAIL", "PASS"]
    assert outcome.kept == "tensorrt-fp16"
    assert outcome.candidates[0].error == "the gate: accuracy, FAIL"


def test_a_gate_that_nothing_passes_ends_with_3(made, fake, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        ondevice, "evaluate_gate", lambda *arguments: report(tensorrt="FAIL", tensorrt_fp16="FAIL")
    )
    status, _, told = run(capsys, "build", str(made), "--rounds", "1", "--reference", str(tmp_path))
    assert status == 3
    assert "no engine can be kept (" in told


def test_the_gate_is_the_one_that_verify_asks(made, fake, monkeypatch, tmp_path):
    from edgeroberta.evaluation import recheck

    asked = []
    monkeypatch.setattr(
        recheck, "recheck", lambda request, *, progress: asked.append(request) or report(tensorrt="PASS")
    )
    build(made, engines=("tensorrt",), reference=tmp_path)
    assert asked[0].engines == ("tensorrt",)
    assert (asked[0].bundle, asked[0].reference) == (made, tmp_path)


def test_without_a_gpu_it_exits_4_with_what_can_be_done(made, capsys):
    status, out, err = run(capsys, "build", str(made))
    assert (status, out) == (4, "")
    assert "engines are built on the device, and this machine cannot: " in err
    assert f"edgeroberta check {made} --target jetson" in err
    assert f"edgeroberta bench {made} --target jetson --host USER@DEVICE" in err


def test_without_tensorrt_it_is_missing_as_well(made, fake, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UnavailableError, match="tensorrt_rtx"):
        build(made)


def test_a_bundle_without_such_engines_is_refused(tmp_path, fake):
    bundle = fake_bundles.write(tmp_path / "bundle")
    with pytest.raises(UsageError) as caught:
        build(bundle)
    assert caught.value.what == "the bundle has no engine that is built on a device, only onnxruntime"
    assert caught.value.exit_code == 2


def test_an_engine_that_is_not_built_on_a_device_is_refused(made, fake):
    with pytest.raises(UsageError, match="'onnxruntime' is not built on a device"):
        build(made, engines=("onnxruntime",))


def test_a_target_caps_the_memory(made, fake, monkeypatch):
    from edgeroberta import targets

    monkeypatch.setattr(targets, "load", lambda name: SimpleNamespace(workspace_mb=96))
    build(made, target="jetson-orin-nano")
    assert [each["workspace"] for each in fake.builds] == [96 << 20, 96 << 20]


def test_the_table_and_the_json_tell_the_same(made, fake, paced, capsys):
    paced["tensorrt"] = 2
    status, out, _ = run(capsys, "build", str(made), "--rounds", "1")
    assert status == 0
    header, int8, fp16, _, kept = out.splitlines()[:5]
    assert header.split()[:3] == ["engine", "build", "MB"]
    assert int8.startswith("tensorrt ")
    assert fp16.startswith("tensorrt-fp16")
    assert "ok, " in int8
    assert kept.startswith("kept: tensorrt-fp16; fp16 is faster here: ")
    status, out, _ = run(capsys, "build", str(made), "--rounds", "1", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["schema_version"] == 1
    assert told["kept"] == "tensorrt-fp16"
    assert [each["facts"]["reused"] for each in told["candidates"]] == [True, True]
    assert told["candidates"][0]["call"]["p50_ms"] > 2


def test_choosing_needs_a_measured_time():
    assert choose([BuiltEngine("tensorrt", "int8")])[0] is None
    assert choose([])[0] is None


def test_lengths_are_drawn_as_the_histogram_has_them():
    lengths = [len(ids) for ids in random_ids((0, 3, 0, 1), 100, 400, 0)]
    assert {(length - 1) // 16 for length in lengths} == {1, 3}
    assert 250 < sum(length <= 32 for length in lengths) < 350
    assert {(len(ids) - 1) // 16 for ids in random_ids((), 100, 10, 0)} == {1}
    assert all(ids.min() >= 3 and ids.max() < 100 for ids in random_ids((1,), 100, 10, 0))


def test_what_is_remembered_can_be_read_without_us(made, fake):
    outcome = build(made)
    from edgeroberta.storage.cache import cache_dir

    (file,) = (cache_dir() / preferences.FOLDER).glob("*.json")
    fields = json.loads(file.read_text(encoding="utf-8"))
    assert fields["engine"] == outcome.kept
    assert fields["why"] == outcome.why
    assert set(fields["figures"]["p50_ms"]) == {"tensorrt", "tensorrt-fp16"}
