"""What int8 brings over floats: how it is timed, what is usual where, and what is said when it is less."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_bundles import FakeWorker

from edgeroberta.latency import int8
from edgeroberta.measure import paired
from edgeroberta.measure.paired import PairedTimes, time_paired
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun
from edgeroberta.measure.subjects import SUBJECTS, open_bundle
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.manifest import MANIFEST_FILE, canonical, content_digest, read, seal_of

TEXTS = [10, 20, 30]
EVEN = PairedTimes([24] * 4, [0.001] * 4, [0.001] * 4, 0.01)


@pytest.fixture
def machine(tmp_path) -> Callable[[str], Path]:
    """A function that makes a root whose ``/proc/cpuinfo`` has one line."""

    def make(line: str) -> Path:
        (tmp_path / "proc").mkdir(exist_ok=True)
        (tmp_path / "proc" / "cpuinfo").write_text(line + "\n")
        return tmp_path

    return make


@pytest.fixture
def with_precision(tiny_bundle, tmp_path) -> Callable[[str], Path]:
    """A function that copies the tiny bundle and says what it computes in."""

    def make(precision: str) -> Path:
        folder = Path(shutil.copytree(tiny_bundle, tmp_path / precision))
        fields = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        fields.update(precision=precision, saturation={"safe": False, "linear_ops": ["a"]})
        fields["digest"] = content_digest(fields)
        fields["seal"] = seal_of(fields)
        (folder / MANIFEST_FILE).write_bytes(canonical(fields))
        return folder

    return make


@pytest.fixture
def int8_bundle(with_precision) -> Path:
    return with_precision("int8")


@pytest.fixture
def large(monkeypatch) -> None:
    """Let the tiny model of the tests count as one whose products decide."""
    monkeypatch.setattr(int8, "LARGE", 0.0)
    monkeypatch.setattr(int8, "SMALL", 0.0)


def entry(bundle: Path, engine: str, **options: Any) -> RepetitionRun:
    spec = SubjectSpec(SUBJECTS["bundle"], str(bundle), ["a"] * 3, engine=engine)
    return RepetitionRun(engine, FakeWorker(spec, np.zeros((3, 2), np.float32), **options))


@pytest.mark.parametrize(
    ("line", "name", "least"),
    [
        ("flags : fma avx2 avx512bw avx512_vnni avx_vnni amx_int8", "AMX", 1.6),
        ("flags : avx2 avx512bw avx512_vnni", "AVX-512 VNNI", 1.6),
        ("flags : avx2 avx_vnni", "AVX-VNNI", 1.6),
        ("flags : avx2 avx512f avx512bw", "AVX-512 without VNNI", 1.3),
        ("flags : fma avx2", "AVX2 without VNNI", 1.0),
        ("Features : fp asimd asimddp i8mm", "ARM i8mm", 1.3),
        ("Features : fp asimd asimddp", "ARM dot products", 1.3),
        ("Features : fp asimd", "ARM without dot products", 1.0),
        ("processor : 0", "unknown instructions", 1.0),
    ],
)
def test_what_is_usual_hangs_on_the_best_instructions_for_int8(
    machine, int8_bundle, large, line, name, least
):
    found = int8.judge(
        EVEN, Checkpoint(int8_bundle).config, "openvino", read(int8_bundle), root=machine(line)
    )
    assert (found.instructions, found.least, found.ratio) == (name, least, 1.0)
    assert found.low == (least > 1)


def test_less_is_expected_where_calls_cost_more_than_products(machine, int8_bundle):
    found = int8.judge(
        EVEN,
        Checkpoint(int8_bundle).config,
        "openvino",
        read(int8_bundle),
        root=machine("flags : avx512_vnni"),
    )
    assert found.least == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("line", "engine", "timed", "cause"),
    [
        ("processor : 0", "onnxruntime", EVEN, "nothing tells what this processor is"),
        ("flags : avx2 avx512bw", "onnxruntime", EVEN, "--target cpu-avx2 makes weights that cannot"),
        ("flags : avx2 avx512bw", "openvino", EVEN, "int8 saves size and not time"),
        (
            "flags : avx512_vnni",
            "openvino",
            PairedTimes([24], [1.0], [1.0], 0.4),
            "a busy machine (the median",
        ),
        ("flags : avx512_vnni", "openvino", PairedTimes([8], [1.0], [1.0], 0.0), "short texts"),
        ("flags : avx512_vnni", "onnxruntime", EVEN, "edgeroberta check BUNDLE --target cpu tells"),
    ],
)
def test_the_likely_cause_is_named(machine, int8_bundle, large, monkeypatch, line, engine, timed, cause):
    monkeypatch.setattr(int8, "UNKNOWN", int8.Instructions("unknown instructions", (), 1.1))
    found = int8.judge(timed, Checkpoint(int8_bundle).config, engine, read(int8_bundle), root=machine(line))
    said = str(found.sentence(engine))
    assert said.startswith(f"WARNING: {engine}: int8 is only 1.00 times as fast as floats here")
    assert cause in said


def test_instructions_that_the_environment_takes_away_are_named(machine, int8_bundle, large, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    config = Checkpoint(int8_bundle).config
    root = machine("flags : avx512_vnni")
    found = int8.judge(EVEN, config, "openvino", read(int8_bundle), root=root)
    assert "ONEDNN_MAX_CPU_ISA=AVX2" in str(found.cause)


def test_every_engine_of_an_int8_bundle_is_held_beside_floats(int8_bundle, large):
    entries = [entry(int8_bundle, "onnxruntime"), entry(int8_bundle, "openvino")]
    broken = {"beside": WorkerError(RowStatus.CRASHED, "out of memory")}
    entries[1].worker.fails = broken
    found = int8.measure(entries, int8_bundle, RepetitionPlan(), TEXTS, Progress())
    assert found["onnxruntime"].ratio == pytest.approx(1.1)
    assert found["openvino"].sentence("openvino") == (
        "openvino: int8 was not compared with floats: out of memory."
    )
    assert entries[1].error is None  # what is said of the bundle stays


def test_floats_small_models_and_gpus_are_not_held_beside_floats(int8_bundle, with_precision):
    found = int8.measure(
        [entry(int8_bundle, "onnxruntime")], int8_bundle, RepetitionPlan(), TEXTS, Progress()
    )
    assert "too little work to tell" in str(found["onnxruntime"].missing)
    assert (
        int8.measure([entry(int8_bundle, "tensorrt")], int8_bundle, RepetitionPlan(), TEXTS, Progress()) == {}
    )
    floats = with_precision("fp32")
    assert int8.measure([entry(floats, "onnxruntime")], floats, RepetitionPlan(), TEXTS, Progress()) == {}


def test_a_full_disk_for_the_float_graph_costs_the_comparison_and_not_the_run(
    int8_bundle, large, monkeypatch
):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(int8, "write_floats", full)
    found = int8.measure(
        [entry(int8_bundle, "onnxruntime")], int8_bundle, RepetitionPlan(), TEXTS, Progress()
    )
    assert found["onnxruntime"].missing == "a float graph cannot be written (No space left on device)"


def test_a_bundle_is_timed_beside_the_float_graph_that_is_written_for_it(int8_bundle, tmp_path):
    config = Checkpoint(int8_bundle).config
    vocab_size = int8.write_floats(config, read(int8_bundle), tmp_path)
    spec = SubjectSpec(SUBJECTS["bundle"], str(int8_bundle), ["a b c", "d"], engine="onnxruntime")
    request = {"folder": str(tmp_path), "lengths": None, "vocab_size": vocab_size, "limit_s": 0.0}
    found = open_bundle(spec).beside(spec.inputs, request)
    assert len(found.tokens) == len(found.own) == len(found.other) == 2
    assert found.tokens[0] > found.tokens[1]
    assert min(found.own + found.other) > 0


def test_calls_of_both_graphs_alternate_and_the_least_counts(monkeypatch):
    ran: list[str] = []
    clock = iter(np.cumsum([0, 5, 0, 9, 0, 3, 0, 9, 0, 4, 0, 6]).tolist())

    class Fake:
        version = "1"

        def __init__(self, name: str) -> None:
            self.name = name

        def padded_length(self, length: int) -> int:
            return 16

        def run(self, ids: np.ndarray, mask: np.ndarray) -> None:
            assert ids.shape == mask.shape == (1, 16)
            ran.append(self.name)

        def close(self) -> None:
            ran.append("closed")

    monkeypatch.setattr(paired, "open_session", lambda *_, **__: Fake("floats"))
    monkeypatch.setattr(paired, "_clock", lambda threads: lambda: next(clock))
    found = time_paired(Fake("int8"), Path(), [7], threads=1, vocab_size=50, limit_s=0.0)
    assert ran == ["int8", "floats"] * 3 + ["closed"]
    assert (found.tokens, found.own, found.other) == ([16], [3.0], [6.0])
    assert found.noise == pytest.approx(1 / 3)  # of 5, 3 and 4 the median is a third above the least
