from __future__ import annotations

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
    np.testing.assert_allclose(model.padded(TEXTS, 64), together, atol=1e-5)


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
    np.testing.assert_allclose(subject.padded(TEXTS, 128), model.logits(TEXTS), atol=1e-4)
    assert subject.answer(TEXTS) == model.answer(TEXTS)
    assert (subject.engine, subject.vocab_size) == ("onnxruntime", 600)


def test_a_model_with_the_other_tokenizer_is_opened_too(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint(("a", "b", "c"), model_type="xlm-roberta")
    assert FullSize(folder).logits(["ein Film"]).shape == (1, 3)
