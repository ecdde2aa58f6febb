from __future__ import annotations

import json
import shutil
from typing import ClassVar

import numpy as np
import pytest

from edgeroberta.errors import UsageError
from edgeroberta.measure import torch_baseline
from edgeroberta.measure.clock import time_calls
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.subjects import open_float_onnx
from edgeroberta.measure.torch_baseline import TorchBaseline
from edgeroberta.roberta import graph
from edgeroberta.roberta.checkpoint import Checkpoint

TEXTS = ["a film", "", "a much longer text about a film and its music " * 12, "fine"]


@pytest.fixture(scope="module")
def model(tiny_checkpoint) -> TorchBaseline:
    return TorchBaseline(tiny_checkpoint)


def test_answers_do_not_depend_on_the_batches_they_are_put_in(model, monkeypatch):
    together = model.outputs(TEXTS).values
    monkeypatch.setattr(torch_baseline, "BATCH_TOKENS", 1)  # every text in a batch of its own
    np.testing.assert_allclose(model.outputs(TEXTS).values, together, atol=1e-5)


def test_answers_come_back_in_the_order_of_the_texts(model):
    backwards = model.outputs(TEXTS[::-1]).values[::-1]
    np.testing.assert_allclose(backwards, model.outputs(TEXTS).values, atol=1e-5)


def test_ids_are_run_as_they_are(model):
    ids = np.array(model.tokenizer(TEXTS[0])["input_ids"], np.int64)[None]
    np.testing.assert_allclose(model.answer_ids(ids), model.outputs(TEXTS[:1]).values, atol=1e-5)


def test_the_float_onnx_row_answers_as_the_full_size_model(model, tiny_checkpoint, tmp_path):
    graph.write_float(tiny_checkpoint, tmp_path / "model.onnx")
    shutil.copyfile(tiny_checkpoint / "config.json", tmp_path / "config.json")
    Checkpoint(tiny_checkpoint).copy_tokenizer(tmp_path)
    subject = open_float_onnx(SubjectSpec("", str(tmp_path), TEXTS))
    np.testing.assert_allclose(subject.outputs(TEXTS).values, model.outputs(TEXTS).values, atol=1e-4)
    assert subject.answer(TEXTS) == model.answer(TEXTS)
    assert (subject.engine, subject.vocab_size) == ("onnxruntime", 600)


def test_a_model_with_the_other_tokenizer_is_opened_too(make_checkpoint):
    folder = make_checkpoint(("a", "b", "c"), model_type="xlm-roberta")
    assert TorchBaseline(folder).outputs(["ein Film"]).values.shape == (1, 3)


def test_a_pickle_is_never_loaded(make_checkpoint, tmp_path):
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "model"
    shutil.copytree(make_checkpoint(("a", "b")), folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"model\.safetensors"):
        TorchBaseline(folder)


@pytest.mark.parametrize(("stated", "limit"), [(48, 48), (10**30, 512), (None, 512)])
def test_all_cut_texts_where_the_tokenizer_says(tiny_checkpoint, tmp_path, stated, limit):
    """The reference, the float32 graph and the bundle (see ``stages.build``) cut at the same token."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    file = folder / "tokenizer_config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    del fields["model_max_length"]
    file.write_text(json.dumps(fields if stated is None else {**fields, "model_max_length": stated}))
    assert Checkpoint(folder).max_length == limit
    graph.write_float(folder, folder / "model.onnx")
    texts = ["a film " * 400]
    subject = open_float_onnx(SubjectSpec("", str(folder), texts))
    full = TorchBaseline(folder)
    assert full.max_length == limit
    assert full.tokenizer(texts, truncation=True, max_length=full.max_length)["input_ids"][0][-1] == 2
    np.testing.assert_allclose(subject.outputs(texts).values, full.outputs(texts).values, atol=1e-4)


def test_the_float_onnx_row_runs_texts_of_one_length_together(tiny_checkpoint, tmp_path, monkeypatch):
    """``bench --batch 8`` is to compare batches with batches, not with eight calls of one text."""
    graph.write_float(tiny_checkpoint, tmp_path / "model.onnx")
    shutil.copyfile(tiny_checkpoint / "config.json", tmp_path / "config.json")
    Checkpoint(tiny_checkpoint).copy_tokenizer(tmp_path)
    texts = ["a film", "a film about music and the sea"] * 4
    subject = open_float_onnx(SubjectSpec("", str(tmp_path), texts))
    session = subject._runtime.session
    shapes = []
    real = session.run

    def noted(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        shapes.append(ids.shape[0])
        return real(ids, mask)

    monkeypatch.setattr(session, "run", noted)
    subject.answer(texts)
    assert shapes == [4, 4]
    subject.answer_ids(np.full((8, 16), 7, np.int64))
    assert shapes == [4, 4, 8]


@pytest.mark.parametrize(("dtype", "apart"), [("float16", 0.02), ("bfloat16", 0.1)])
def test_a_half_wide_model_has_half_wide_weights_and_answers_nearly_the_same(
    model, tiny_checkpoint, dtype, apart
):
    half = TorchBaseline(tiny_checkpoint, dtype=dtype)
    assert {str(each.dtype) for each in half.model.parameters()} == {f"torch.{dtype}"}
    logits = half.outputs(TEXTS).values
    assert logits.dtype == np.float32
    delta = np.abs(logits - model.outputs(TEXTS).values).max()
    assert 0 < delta < apart


def test_an_unknown_type_is_refused(tiny_checkpoint):
    with pytest.raises(UsageError) as caught:
        TorchBaseline(tiny_checkpoint, dtype="float8")
    assert str(caught.value) == "--dtype: unknown type 'float8' (float32, float16, bfloat16)"


def test_its_time_is_told_apart(model):
    calls = time_calls(model.answer, [TEXTS[2:3]] * 5, watch=model.watch)
    assert all(part > 0 for part in (*calls.tokenize, *calls.engine))
    assert np.all(np.add(calls.tokenize, calls.engine) <= calls.seconds)
    assert calls.device == []


class Event:
    """A CUDA event: the second of two is 3 ms after the first."""

    made: ClassVar[list[Event]] = []

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        self.recorded = False
        Event.made.append(self)

    def record(self) -> None:
        self.recorded = True

    def elapsed_time(self, other: Event) -> float:
        assert self.recorded
        assert other.recorded
        return 3.0


def test_on_a_gpu_calls_end_when_its_kernels_have(model, monkeypatch):
    """PyTorch comes back before its kernels are done; a clock without synchronisation times the launch."""
    import torch

    waits: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(model, "device_clock", True)
    calls = time_calls(model.answer, [TEXTS[:1]] * 2, watch=model.watch)
    assert len(waits) == 2
    assert (calls.device, Event.made) == ([], [])
    monkeypatch.setattr(model.watch, "ask_device", True)
    calls = time_calls(model.answer, [TEXTS[:1]] * 2, watch=model.watch)
    assert calls.device == [0.003, 0.003]
    assert len(waits) == 6


def test_the_worker_opens_it_where_and_as_the_spec_says(tiny_checkpoint):
    found = torch_baseline.open_baseline(SubjectSpec("", str(tiny_checkpoint), TEXTS, dtype="bfloat16"))
    assert (found.dtype, found.device, found.device_clock) == ("bfloat16", "cpu", False)
