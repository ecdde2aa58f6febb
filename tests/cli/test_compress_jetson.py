"""``edgeroberta compress --target jetson`` on a machine without a GPU, and what its bundle is good for there.

Tests of one bundle, which is made once by the real command.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgeroberta
from edgeroberta.quantization import ort
from edgeroberta.runtime import Runtime, driver, goldens

ROOT = Path(edgeroberta.__file__).parents[1]
WORDS = ("good", "bad", "film", "story", "dull", "bright", "long")

pytestmark = pytest.mark.skipif(driver.driver_version() is not None, reason="this machine has a GPU")


def run(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "edgeroberta", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the command runs: a file of reviews, and nothing else."""
    folder = tmp_path_factory.mktemp("jetson")
    with (folder / "reviews.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for index in range(60):
            text = " ".join(WORDS[index * step % len(WORDS)] for step in range(1, 5 + index % 7))
            writer.writerow([f"{text} {index}", ("negative", "positive")[index % 2]])
    return folder


@pytest.fixture(scope="module")
def made(folder, make_checkpoint) -> str:
    """What the command tells people; the bundle is ``folder / "out"``."""
    model = make_checkpoint(hidden_size=128, intermediate_size=256, num_attention_heads=4)
    options = ["-r", "int8", "--target", "jetson", "--set", "verify.latency_rows=3"]
    done = run("compress", model, "--data", "reviews.csv", "-o", "out", *options, folder=folder)
    assert done.returncode in (0, 3), done.stderr
    return done.stderr


def test_the_bundle_has_a_graph_for_each_engine(made, folder):
    manifest = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["engines"] == ["tensorrt", "tensorrt-fp16", "onnxruntime"]
    assert {"tensorrt.onnx", "model_fp16.onnx", "model.onnx"} <= set(manifest["files"])
    assert manifest["precision"] == "int8"


def test_the_device_is_told_how_much_is_to_be_int8(made, folder):
    manifest = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))
    report = json.loads((folder / "out" / "reports" / "report.json").read_text(encoding="utf-8"))
    int8 = [linear_op["linear_op"] for linear_op in report["linear_ops"] if linear_op["choice"] != "float"]
    assert manifest["int8_matmuls"] == len(int8) > 0


def test_the_verdict_is_that_of_what_could_be_measured_and_names_what_could_not(made, folder):
    report = json.loads((folder / "out" / "reports" / "report.json").read_text(encoding="utf-8"))
    engines = {each["engine"]: each for each in report["engines"]}
    assert report["judgement"]["verdict"] == engines["onnxruntime"]["judgement"]["verdict"]
    waiting = "; still to be measured on the device: tensorrt, tensorrt-fp16"
    assert report["judgement"]["reason"].endswith(waiting)
    assert f"{waiting}\n" in made
    program = f"{shlex.quote(sys.executable)} -m edgeroberta"  # as it was run here
    assert made.endswith(
        f"before it is there: {program} check out\n"
        f"on the device: edgeroberta build out, or from here: {program} bench out --host user@device\n"
    )
    stored = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))["gate"]["engines"]
    for name in ("tensorrt", "tensorrt-fp16"):
        assert stored[name]["verdict"] == "INCONCLUSIVE"
        assert engines[name]["metrics"] is None
    card = (folder / "out" / "README.md").read_text(encoding="utf-8")
    assert "$ edgeroberta build path/to/this/folder --target jetson --data reviews.csv" in card
    assert "to be measured on the device" in (folder / "out" / "reports" / "report.md").read_text()


def test_it_answers_here_in_onnx_runtime(made, folder):
    with Runtime.open(folder / "out") as runtime:
        assert runtime.engine == "onnxruntime"
        assert runtime("good film").label in ("negative", "positive")


def test_a_half_precision_body_answers_as_the_goldens_allow(made, folder):
    """Its rounding crosses the edges of int8 steps: an engine that is right must not be refused for that."""
    found = goldens.load(folder / "out")
    texts = [np.array(ids, np.int64) for ids in found.ids]
    for name, precision in (("tensorrt.onnx", "int8"), ("model_fp16.onnx", "fp16")):
        outputs = ort.run_graph(ort.open_session(folder / "out" / name), texts)
        assert goldens.max_abs_difference(found, outputs, precision=precision) <= 0.501 * found.allowed(
            precision
        )


def test_building_without_a_device_exits_4_and_offers_check(made, folder):
    done = run("build", "out", folder=folder)
    assert done.returncode == 4, done.stderr
    assert "engines are built on the device, and this machine cannot" in done.stderr
    assert "edgeroberta check out --target jetson" in done.stderr


@pytest.mark.slow
def test_a_bench_shows_the_engines_that_cannot_run_here_and_measures_the_other(made, folder):
    options = ["--rounds", 1, "--rows", 4, "--json"]
    done = run("bench", "out", *options, folder=folder)
    assert done.returncode == 0, done.stderr
    rows = {
        row["engine"].split()[0]: row for row in json.loads(done.stdout)["rows"] if row["name"] == "bundle"
    }
    assert rows["onnxruntime"]["latency"] is not None
    for name in ("tensorrt", "tensorrt-fp16"):
        assert rows[name]["status"] == "not installed"
        assert rows[name]["latency"] is None


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed (extra trt-check)"
)
def test_its_graphs_are_ready_for_tensorrt(made, folder):
    # The untrained model's quantizer may put matmuls back to float, as its budget lets it.
    done = run("check", "out", "--json", "--allow-float", folder=folder)
    assert done.returncode == 0, done.stderr
    found = {each["engine"]: each for each in json.loads(done.stdout)["engines"]}
    assert found["tensorrt"]["problems"] == []
    assert len(found["tensorrt"]["int8_attentions"]) == 2
    assert found["tensorrt"]["fused_attentions"] == 2 * found["tensorrt"]["profiles"]
    assert found["tensorrt-fp16"]["fused_attentions"] == 2 * found["tensorrt"]["profiles"]
