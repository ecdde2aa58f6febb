from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.bench import full_size
from edgeroberta.bench.full_size import FullSize
from edgeroberta.bench.protocol import Spec
from edgeroberta.bench.subjects import open_float_onnx
from edgeroberta.roberta import checkpoint, graph

TEXTS = ["a film", "", "a much longer text about a film and its music " * 12, "fine"]


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> FullSize:
    return FullSize(tiny_checkpoint)


def test_answers_do_not_depend_on_the_batches_they_are_put_in(
    model: FullSize, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = model.logits(TEXTS)
    monkeypatch.setattr(full_size, "BATCH_TOKENS", 1)  # every text in a batch of its own
    np.testing.assert_allclose(model.logits(TEXTS), together, atol=1e-5)


def test_answers_come_back_in_the_order_of_the_texts(model: FullSize) -> None:
    backwards = model.logits(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(backwards, model.logits(TEXTS), atol=1e-5)


def test_no_texts_give_no_answers(model: FullSize) -> None:
    assert len(model.logits([])) == 0


def test_ids_are_run_as_they_are(model: FullSize) -> None:
    ids = np.array(model.tokenizer(TEXTS[0])["input_ids"], np.int64)[None]
    np.testing.assert_allclose(model.answer_ids(ids), model.logits(TEXTS[:1]), atol=1e-5)


def test_the_float_onnx_row_answers_as_the_full_size_model(
    model: FullSize, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    graph.write_float(tiny_checkpoint, tmp_path / "model.onnx")
    shutil.copyfile(tiny_checkpoint / "config.json", tmp_path / "config.json")
    checkpoint.copy_tokenizer(tiny_checkpoint, tmp_path)
    subject = open_float_onnx(Spec("", str(tmp_path), TEXTS))
    np.testing.assert_allclose(subject.logits(TEXTS), model.logits(TEXTS), atol=1e-4)
    assert subject.answer(TEXTS) == model.answer(TEXTS)
    assert (subject.engine, subject.vocab_size) == ("onnxruntime", 600)


def test_a_model_with_the_other_tokenizer_is_opened_too(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint(("a", "b", "c"), model_type="xlm-roberta")
    assert FullSize(folder).logits(["ein Film"]).shape == (1, 3)


def test_a_pickle_is_never_loaded(make_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "model"
    shutil.copytree(make_checkpoint(("a", "b")), folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"model\.safetensors"):
        FullSize(folder)


@pytest.mark.parametrize(("stated", "limit"), [(48, 48), (10**30, 512), (None, 512)])
def test_all_cut_texts_where_the_tokenizer_says(
    tiny_checkpoint: Path, tmp_path: Path, stated: int | None, limit: int
) -> None:
    """The reference, the float32 graph and the bundle (see ``stages.build``) cut at the same token."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    file = folder / "tokenizer_config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    del fields["model_max_length"]
    file.write_text(json.dumps(fields if stated is None else {**fields, "model_max_length": stated}))
    assert checkpoint.max_length(folder) == limit
    graph.write_float(folder, folder / "model.onnx")
    texts = ["a film " * 400]
    subject = open_float_onnx(Spec("", str(folder), texts))
    full = FullSize(folder)
    assert full.max_length == limit
    assert full.tokenizer(texts, truncation=True, max_length=full.max_length)["input_ids"][0][-1] == 2
    np.testing.assert_allclose(subject.logits(texts), full.logits(texts), atol=1e-4)


def test_the_float_onnx_row_runs_texts_of_one_length_together(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``bench --batch 8`` is to compare batches with batches, not with eight calls of one text."""
    graph.write_float(tiny_checkpoint, tmp_path / "model.onnx")
    shutil.copyfile(tiny_checkpoint / "config.json", tmp_path / "config.json")
    checkpoint.copy_tokenizer(tiny_checkpoint, tmp_path)
    texts = ["a film", "a film about music and the sea"] * 4
    subject = open_float_onnx(Spec("", str(tmp_path), texts))
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
