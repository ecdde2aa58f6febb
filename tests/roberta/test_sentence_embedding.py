"""The heads of sentence embeddings: the graph against Hugging Face with sentence-transformers' pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgeroberta.roberta import heads, loading, surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import INT8_EMULATION, TENSORRT, GraphForm, build_graph, write_float
from edgeroberta.roberta.weights import load_weights

LENGTHS = (1, 2, 7, 64, 128, 512)
VOCABULARY = 480  # tokens that every tokenizer of the fixtures has
WAYS = [(pooling, normalize) for pooling in ("mean", "cls", "max") for normalize in (False, True)]
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "roberta": {},
    "xlm-roberta": {"model_type": "xlm-roberta"},
    "camembert": {"model_type": "camembert"},
    "bert": {"model_type": "bert", "pad_token_id": 0, "max_position_embeddings": 512, "type_vocab_size": 2},
}


def padded_batch(length: int, pad: int, *, seed: int = 0) -> tuple[Any, Any]:
    """Three rows int64 [3, length]: a full one, one half padding, one of a single token."""
    ids = np.random.default_rng(seed).integers(5, VOCABULARY, (3, length))
    mask = np.ones_like(ids)
    for row, kept in enumerate((length, max(1, length // 2), 1)):
        ids[row, kept:], mask[row, kept:] = pad, 0
    return ids, mask


def run_onnxruntime(path: Path, ids: Any, mask: Any) -> dict[str, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(None, {"input_ids": ids, "attention_mask": mask})
    return dict(zip(names, found, strict=True))


def run_openvino(path: Path, ids: Any, mask: Any) -> dict[str, Any]:
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({"input_ids": ids, "attention_mask": mask})
    names = ["sentence_embedding", "last_hidden_state"]  # a tensor may have several
    assert all(name in output.names for name, output in zip(names, compiled.outputs, strict=True))
    return {name: found[name] for name in names}


ENGINES: Mapping[str, Callable[[Path, Any, Any], dict[str, Any]]] = {
    "onnxruntime": run_onnxruntime,
    "openvino": run_openvino,
}


def reference(folder: Path, ids: Any, mask: Any, pooling: str, normalize: bool) -> tuple[Any, Any]:
    """States by transformers, and the formulas of sentence-transformers 5.7's Pooling and Normalize."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        states = model(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state
    kept = torch.from_numpy(mask).unsqueeze(-1).expand(states.size()).float()
    if pooling == "cls":
        found = states[:, 0]
    elif pooling == "max":
        found = states.masked_fill(kept == 0, float("-inf")).max(dim=1).values
    else:
        found = (states * kept).sum(dim=1) / torch.clamp(kept.sum(dim=1), min=1e-9)
    if normalize:
        found = torch.nn.functional.normalize(found, p=2, dim=1)
    return found.numpy(), states.numpy()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("pooling", "normalize"), WAYS)
def test_the_float_graph_equals_hugging_face_and_its_pooling(
    make_embedder, tmp_path, pooling, normalize, family, engine
):
    folder = make_embedder(pooling, normalize, **FAMILIES[family])
    write_float(folder, tmp_path / "model.onnx")
    for length in LENGTHS:
        ids, mask = padded_batch(length, Checkpoint(folder).config.pad_token_id)
        found = ENGINES[engine](tmp_path / "model.onnx", ids, mask)
        wanted, states = reference(folder, ids, mask, pooling, normalize)
        assert list(found) == ["sentence_embedding", "last_hidden_state"]
        np.testing.assert_allclose(found["sentence_embedding"], wanted, atol=1e-5, rtol=0)
        told = found["last_hidden_state"]
        assert told.shape == (3, 1 if pooling == "cls" else length, 32)
        kept = mask[:, : told.shape[1]] == 1
        np.testing.assert_allclose(told[kept], states[:, : told.shape[1]][kept], atol=1e-5, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_every_length_from_1_to_512_equals_hugging_face(make_embedder, tmp_path, engine, pooling):
    folder = make_embedder(pooling)
    write_float(folder, tmp_path / "model.onnx")
    for batch in np.arange(1, 513).reshape(-1, 16)[:: 1 if engine == "onnxruntime" else 8]:
        ids = np.random.default_rng(int(batch[0])).integers(5, VOCABULARY, (16, batch.max()))
        mask = (np.arange(batch.max()) < batch[:, None]).astype(np.int64)
        ids = np.where(mask == 1, ids, 1)
        found = ENGINES[engine](tmp_path / "model.onnx", ids, mask)["sentence_embedding"]
        wanted, _ = reference(folder, ids, mask, pooling, True)
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("pooling", "normalize"), WAYS)
def test_every_form_of_the_graph_gives_the_same(make_embedder, tmp_path, pooling, normalize):
    folder = make_embedder(pooling, normalize)
    weights, (ids, mask) = load_weights(folder), padded_batch(33, 1)
    wanted, _ = reference(folder, ids, mask, pooling, normalize)
    forms = {GraphForm(first_token_only=False): 1e-5, INT8_EMULATION: 1e-5, TENSORRT: 2e-2}
    for form, allowed in forms.items():
        path = tmp_path / "model.onnx"
        build_graph(weights, form=form).builder.save(path)
        onnx.checker.check_model(str(path), full_check=True)
        found = run_onnxruntime(path, ids, mask)
        first = next(iter(found))
        assert first == ("sentence_embedding" if form.interchange else "logits")
        assert len(found) == 1 + form.interchange
        np.testing.assert_allclose(found[first], wanted, atol=allowed)


@pytest.mark.parametrize(("pooling", "normalize"), WAYS)
def test_the_torch_model_gives_what_the_graph_gives(make_embedder, pooling, normalize):
    checkpoint = Checkpoint(make_embedder(pooling, normalize))
    model = loading.load_classifier(checkpoint, checkpoint.task)
    assert type(model).__name__ == "RobertaModel"
    assert model.pooler is None
    ids, mask = padded_batch(21, 1)
    wanted, _ = reference(checkpoint.folder, ids, mask, pooling, normalize)
    with torch.inference_mode():
        found = heads.answers(model, torch.from_numpy(ids), torch.from_numpy(mask))
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
    assert heads.name_of(model) == checkpoint.task.head


def test_layers_taken_out_leave_an_embedding_model(make_embedder, tmp_path):
    checkpoint = Checkpoint(make_embedder("mean"))
    model = loading.load_classifier(checkpoint, checkpoint.task)
    smaller = surgery.keep_layers(model, [1])
    assert surgery.shape_of(smaller).head == "sentence-embedding/mean+normalize"
    loading.save_classifier(smaller, tmp_path / "out", tokenizer=checkpoint)
    found = Checkpoint(tmp_path / "out")
    assert found.task == checkpoint.task
    assert found.has_head
    assert found.parameters == found.config.shape.parameters


def test_a_head_without_layers_has_no_parameters_and_no_products(make_embedder):
    config = Checkpoint(make_embedder("cls")).config
    head = heads.HEADS[config.head]
    assert list(heads.shapes(head, 32, 32, 600)) == []
    assert heads.parameters(head, 32, 32, 600) == heads.macs(head, 32, 32, 128) == 0
    assert heads.auto_name(head) == "AutoModel"
    assert config.num_labels == 32
