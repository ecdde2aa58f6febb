from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np
import pytest

from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import CheckpointError, DataError, UnavailableError, UsageError
from edgeroberta.evaluation import baseline_store
from edgeroberta.evaluation.baseline import BaselineOptions, make, measure
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import digest_file
from edgeroberta.tasks import Task

HINT = "\n  next: measure it again on the same model and data: edgeroberta reference MODEL --data … -o ref/"


@pytest.fixture
def rows() -> Rows:
    texts = ("great film", "dull", "a plot that goes nowhere, slowly", "fine music and a fine cast")
    return Rows(texts, None, np.array([1, 0, 0, 1]), "rows.csv")


@pytest.fixture
def stored(rows, tmp_path) -> Path:
    logits = np.array([[0, 1], [1, 0], [1, 0], [1, 0]], np.float32)
    baseline_store.save(fake_bundles.fixed_reference(rows, logits), tmp_path / "ref")
    return tmp_path / "ref"


def message(call: Any, *arguments: Any, error: type[Exception] = UsageError, **options: Any) -> str:
    with pytest.raises(error) as raised:
        call(*arguments, **options)
    return str(raised.value)


def test_a_reference_is_read_back_as_it_was_saved(rows, stored):
    found = baseline_store.load(stored)
    made = fake_bundles.fixed_reference(rows, found.outputs.values)
    assert found.to_json() == made.to_json()
    assert (found.machine, found.latency, found.task) == (made.machine, made.latency, made.task)
    np.testing.assert_array_equal(found.outputs.values, [[0, 1], [1, 0], [1, 0], [1, 0]])
    assert found.metrics["accuracy"] == 0.75
    assert found.outputs.values.dtype == np.float32


def test_a_folder_without_a_reference_is_refused(tmp_path):
    assert message(baseline_store.load, tmp_path) == (
        f"{tmp_path}: no reference here (reference.json is missing)\n"
        f"  next: edgeroberta reference MODEL --data … -o {tmp_path}"
    )


@pytest.mark.parametrize("text", ["{", "[]", "3", "{}", '{"model": "x"}'])
def test_a_foreign_json_file_is_refused(tmp_path, text):
    (tmp_path / "reference.json").write_text(text, encoding="utf-8")
    assert message(baseline_store.load, tmp_path).startswith(
        f"{tmp_path}/reference.json: not a reference file"
    )


def test_a_reference_of_a_newer_version_is_refused(stored):
    fields = json.loads((stored / "reference.json").read_text(encoding="utf-8"))
    (stored / "reference.json").write_text(json.dumps({**fields, "schema_version": 3}), encoding="utf-8")
    assert message(baseline_store.load, stored).startswith(f"{stored}/reference.json: ")


def test_a_single_changed_bit_in_the_outputs_is_noticed(stored):
    data = bytearray((stored / "outputs.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (stored / "outputs.npz").write_bytes(bytes(data))
    assert message(baseline_store.load, stored).startswith(f"{stored}: outputs.npz is damaged (wrong sha256)")


@pytest.mark.parametrize("field", ["task", "latency", "machine", "rows", "outputs_sha256"])
def test_a_reference_with_a_field_missing_is_refused(stored, field):
    fields = json.loads((stored / "reference.json").read_text(encoding="utf-8"))
    del fields[field]
    (stored / "reference.json").write_text(json.dumps(fields), encoding="utf-8")
    assert f"{stored}/reference.json: a damaged reference" in message(baseline_store.load, stored)


def test_a_reference_of_other_rows_is_refused(rows, stored):
    found = baseline_store.load(stored)
    other = rows.select([0, 1])
    assert message(baseline_store.check, found, rows=other, task=found.task) == (
        "--reference: the reference was measured on other rows (4 of rows.csv; here 2 of rows.csv)"
        + HINT
        + ", with the --eval-fraction, --seed and --limit that hold the same rows out here"
    )


def test_a_reference_with_other_labels_is_refused(rows, stored):
    found = baseline_store.load(stored)
    task = Task(found.task.problem, ("no", "yes"))
    assert message(baseline_store.check, found, rows=rows, task=task) == (
        "--reference: the reference has the labels negative, positive, this model no, yes" + HINT
    )


def test_a_reference_that_read_long_texts_in_another_way_is_refused(rows, stored):
    found = baseline_store.load(stored)
    assert message(baseline_store.check, found, rows=rows, task=found.task, overlap=32) == (
        "--reference: long texts are read in windows that overlap by 32 tokens here, and were cut for the "
        "reference\n  next: measure it again: edgeroberta reference MODEL --data … -o ref/ "
        "--long-text windows --stride 32"
    )
    windows = replace(found, overlap=32)
    baseline_store.check(windows, rows=rows, task=found.task, overlap=32)
    assert message(baseline_store.check, windows, rows=rows, task=found.task).startswith(
        "--reference: long texts are cut here, and were read in windows that overlap by 32 tokens"
    )


def test_a_reference_of_another_model_is_refused(rows, stored):
    found = baseline_store.load(stored)
    baseline_store.check(found, rows=rows, task=found.task, model_digest="1" * 64)
    assert message(baseline_store.check, found, rows=rows, task=found.task, model_digest="3" * 64) == (
        "--reference: the reference is of another model (full/)" + HINT
    )


def test_the_full_size_model_is_measured_as_transformers_runs_it(tiny_checkpoint, rows):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    threads = torch.get_num_threads()
    found = measure(
        Checkpoint(tiny_checkpoint), rows, fake_bundles.TASK, BaselineOptions(device="cpu", latency_rows=3)
    )
    tokenizer = AutoTokenizer.from_pretrained(str(tiny_checkpoint))
    model = AutoModelForSequenceClassification.from_pretrained(str(tiny_checkpoint)).eval()
    with torch.inference_mode():
        alone = [model(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in rows.texts]
    assert np.abs(found.outputs.values - np.concatenate(alone)).max() < 1e-5
    assert found.rows == 4
    assert found.data_digest == rows.digest
    assert found.max_length == 512
    assert (found.latency.calls, found.latency.batch, found.latency.threads) == (3, 1, 1)
    assert found.machine.versions["torch"]
    assert torch.get_num_threads() == threads


def test_long_texts_are_cut_at_the_model_s_limit(tiny_checkpoint):
    rows = Rows(("film " * 700, "dull"), None, np.array([0, 1]), "rows.csv")
    found = measure(
        Checkpoint(tiny_checkpoint), rows, fake_bundles.TASK, BaselineOptions(device="cpu", latency_rows=0)
    )
    assert np.isfinite(found.outputs.values).all()
    assert found.latency is None


def test_pairs_are_measured(tiny_checkpoint, rows):
    pairs = replace(rows, pairs=tuple(reversed(rows.texts)))
    single = measure(
        Checkpoint(tiny_checkpoint), rows, fake_bundles.TASK, BaselineOptions(device="cpu", latency_rows=0)
    )
    paired = measure(
        Checkpoint(tiny_checkpoint), pairs, fake_bundles.TASK, BaselineOptions(device="cpu", latency_rows=1)
    )
    assert not np.allclose(single.outputs.values, paired.outputs.values)


def test_rows_without_labels_are_refused(tiny_checkpoint, rows):
    bare = replace(rows, labels=None)
    said = message(measure, tiny_checkpoint, bare, fake_bundles.TASK, error=DataError)
    assert said == "rows.csv: a reference needs labels, these rows have none"


def test_a_model_with_another_number_of_labels_is_refused(tiny_checkpoint, rows):
    task = Task(fake_bundles.TASK.problem, ("a", "b", "c"))
    said = message(measure, tiny_checkpoint, rows, task, BaselineOptions(device="cpu"))
    assert said == f"{tiny_checkpoint}: the model gives 2 numbers at a time, the task has 3 labels"


def test_an_unknown_device_is_refused(tiny_checkpoint, rows):
    said = message(measure, tiny_checkpoint, rows, fake_bundles.TASK, BaselineOptions(device="tpu"))
    assert said == "--device: unknown device 'tpu' (auto, cpu, cuda)"


def test_a_gpu_that_is_not_there_is_refused(tiny_checkpoint, rows, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnavailableError) as error:
        measure(Checkpoint(tiny_checkpoint), rows, fake_bundles.TASK, BaselineOptions(device="cuda"))
    assert (
        str(error.value) == "--device: torch sees no CUDA device here\n  next: leave it out, or --device cpu"
    )
    assert error.value.exit_code == 4


def test_a_reference_is_not_written_over_other_files(tiny_checkpoint, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    said = message(
        make, str(tiny_checkpoint), DataSpec("rows.csv"), output=tmp_path, options=BaselineOptions()
    )
    assert said == (
        f"{tmp_path}: not empty, and not a reference; it is left untouched\n"
        "  next: choose another folder with -o"
    )
    (tmp_path / "reference.json").write_text('{"of": "somebody else"}', encoding="utf-8")
    assert said == message(
        make, str(tiny_checkpoint), DataSpec("rows.csv"), output=tmp_path, options=BaselineOptions()
    )


def test_a_reference_of_a_base_model_is_refused(tiny_headless_checkpoint, tmp_path):
    said = message(
        make,
        str(tiny_headless_checkpoint),
        DataSpec("rows.csv"),
        output=tmp_path / "ref",
        options=BaselineOptions(),
        error=CheckpointError,
    )
    assert str(tiny_headless_checkpoint) in said


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_reference_says_in_which_type_it_was_made_and_what_it_answers_in_a_second(
    tiny_checkpoint, rows, tmp_path, dtype
):
    found = measure(
        Checkpoint(tiny_checkpoint),
        rows,
        fake_bundles.TASK,
        BaselineOptions(device="cpu", dtype=dtype, latency_rows=2),
    )
    assert found.dtype == dtype
    assert [size for size, _ in found.offline.tried] == [1, 8, 32]
    assert found.latency.breakdown.device_ms is None
    assert (found.gpu, found.energy_mj, found.throttled) == (None, None, ())
    baseline_store.save(found, tmp_path)
    again = baseline_store.load(tmp_path)
    assert (again.latency, again.offline, again.dtype) == (found.latency, found.offline, dtype)
    assert f"{dtype}" in str(again)


def test_a_reference_without_batches_has_no_such_figure(tiny_checkpoint, rows):
    found = measure(
        Checkpoint(tiny_checkpoint),
        rows,
        fake_bundles.TASK,
        BaselineOptions(device="cpu", latency_rows=2, offline=False),
    )
    assert found.latency is not None
    assert found.offline is None


def test_a_reference_of_version_0_1_is_read(stored):
    """It has none of the fields that came later, and an array of logits for outputs."""
    fields = json.loads((stored / "reference.json").read_text(encoding="utf-8"))
    outputs = baseline_store.load(stored).outputs
    np.save(stored / "logits.npy", outputs.values, allow_pickle=False)
    (stored / "outputs.npz").unlink()
    del fields["outputs_sha256"]
    fields |= {"schema_version": 1, "logits_sha256": digest_file(stored / "logits.npy")}
    for name in ("offline", "energy_mj", "throttled", "gpu"):
        del fields[name]
    later = ("steady", "p50_interval_ms", "p90_interval_ms", "p99_interval_ms", "breakdown")
    for name in (*later, "mean_ms", "round_mean_ms", "mean_interval_ms"):
        del fields["latency"][name]
    (stored / "reference.json").write_text(json.dumps(fields), encoding="utf-8")
    found = baseline_store.load(stored)
    np.testing.assert_array_equal(found.outputs.values, outputs.values)
    assert len(found.outputs) == 4
    assert found.outputs.per_text
    assert (found.offline, found.energy_mj, found.throttled, found.gpu) == (None, None, (), None)
    assert found.latency.steady
    assert found.latency.mean_ms == pytest.approx(1000 / found.latency.texts_per_second)


def test_what_the_gpu_did_is_kept_and_told(stored, tmp_path):
    found = baseline_store.load(stored)
    gpu = {"name": "NVIDIA H200", "driver": "570.86.15", "max_sm_mhz": 1980.0}
    baseline_store.save(
        replace(found, energy_mj=450.0, throttled=("hw slowdown",), gpu=gpu), tmp_path / "gpu"
    )
    again = baseline_store.load(tmp_path / "gpu")
    assert again.gpu == gpu
    said = str(again)
    assert "450.0 mJ per text (the GPU's board, idle power included; from a few samples of its power)" in said
    assert "not valid: the GPU throttled (hw slowdown); let it cool" in said


def test_on_a_gpu_power_and_its_own_clock_are_asked(tiny_checkpoint, rows, monkeypatch):
    """A GPU stood in for by the CPU: what is asked of it, and where the answers go."""
    from edgeroberta.evaluation import baseline as measuring
    from edgeroberta.hardware import gpu
    from edgeroberta.measure import torch_baseline

    class OnCard(torch_baseline.TorchBaseline):
        def __init__(self, folder: Path, *, device: str, dtype: str, overlap: int | None) -> None:
            super().__init__(folder, dtype=dtype)
            self.device, self.device_clock = "NVIDIA H200", True

        def _run(self, batch: object) -> object:
            self.device_clock = False
            try:
                found = super()._run(batch)
            finally:
                self.device_clock = True
            if self.watch.ask_device:
                self.watch.device = 0.002
            return found

    class Watch:
        watched = gpu.GpuTelemetry(energy_j=2.0, throttled=False)

        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(torch_baseline, "TorchBaseline", OnCard)
    monkeypatch.setattr(torch_baseline, "pick_device", lambda device: "cuda")
    monkeypatch.setattr(measuring, "GpuMonitor", Watch)
    card = gpu.NvidiaGpu("NVIDIA H200", "570.86.15", 1980.0, 345.0, 700.0, 143771.0)
    monkeypatch.setattr(gpu, "look", lambda: card)
    found = measure(Checkpoint(tiny_checkpoint), rows, fake_bundles.TASK, BaselineOptions(latency_rows=4))
    assert found.device == "NVIDIA H200"
    assert found.gpu["driver"] == "570.86.15"
    assert found.energy_mj == pytest.approx(2000 / 4)
    assert found.latency.breakdown.device_ms == pytest.approx(2.0)
    assert [size for size, _ in found.offline.tried] == [1, 8, 32, 128]
