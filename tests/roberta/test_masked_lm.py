"""The head for masked words: equal to transformers at every length, and its decoder in the file once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from int8_processor import exact_int8
from safetensors.torch import load_file, save_file

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import checkpoint_validation, heads
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import GraphForm, build_graph, write_float
from edgeroberta.roberta.quantized import ActivationRange, MatMulPlan, QuantizationPlan, quantize_rows
from edgeroberta.roberta.weights import has_own_decoder, load_weights
from edgeroberta.tasks import Problem
from edgeroberta.tasks.masked import MOST_MASKS

MASK = 4
FAMILIES = ("roberta", "xlm-roberta", "bert")


@pytest.fixture(scope="module")
def checkpoint_of(make_checkpoint):
    def make(family: str, **config: Any) -> Checkpoint:
        return Checkpoint(make_checkpoint(problem="fill_mask", model_type=family, **config))

    return make


def batch(lengths: list[int], model: Checkpoint, *, masks: int = 3) -> tuple[Any, Any]:
    """Rows of these lengths with a few masks each, padded to the longest, int64 [texts, length]."""
    rng, longest = np.random.default_rng(len(lengths)), max(lengths)
    ids, mask = (
        np.full((len(lengths), longest), model.config.pad_token_id),
        np.zeros((len(lengths), longest), np.int64),
    )
    for row, length in enumerate(lengths):
        ids[row, :length] = rng.integers(200, 480, length)
        ids[row, rng.choice(length, min(masks, length), replace=False)] = model.task.mask_id
        mask[row, :length] = 1
    return ids, mask


def hugging_face(model: Checkpoint, ids: Any, mask: Any) -> Any:
    """Log-probabilities at the masks, float32 [masks, vocabulary]."""
    loaded = heads.auto_class(model.head).from_pretrained(model.folder).eval()
    with torch.no_grad():
        logits = loaded(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).logits
    return logits.log_softmax(-1).numpy()[ids == model.task.mask_id]


def outputs(path: Path, ids: Any, mask: Any) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input_ids": ids, "attention_mask": mask}), strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_float_graph_equals_transformers_at_masks_of_padded_texts(checkpoint_of, tmp_path, family):
    model = checkpoint_of(family, hidden_act="relu")
    checkpoint_validation.check(model)
    assert (model.task.problem, model.task.labels, model.task.num_outputs) == (Problem.MASKED, (), 20)
    write_float(model, tmp_path / "model.onnx")
    for lengths in ([1, 2, 3], [17, 64, 5], [512, 128, 333]):
        ids, mask = batch(lengths, model)
        wanted, found = hugging_face(model, ids, mask), outputs(tmp_path / "model.onnx", ids, mask)
        assert list(found) == ["masked_tokens", "log_probabilities", "logits"]
        np.testing.assert_allclose(found["log_probabilities"], wanted, atol=1e-5, rtol=0)
        scores, tokens = np.split(found["masked_tokens"], 2, axis=1)
        np.testing.assert_allclose(scores, -np.sort(-wanted, axis=1)[:, :10], atol=1e-5, rtol=0)
        np.testing.assert_array_equal(
            scores, np.take_along_axis(found["log_probabilities"], tokens.astype(int), 1)
        )
        assert found["logits"].shape == (*ids.shape, model.config.vocab_size)
        assert not found["logits"][ids != model.task.mask_id].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_torch_gives_at_masks_what_the_graph_gives(checkpoint_of, tmp_path, family):
    model = checkpoint_of(family)
    write_float(model, tmp_path / "model.onnx")
    ids, mask = batch([9, 30], model)
    loaded = heads.auto_class(model.head).from_pretrained(model.folder).eval()
    loaded.config.mask_token_id = model.task.mask_id
    with torch.no_grad():
        wanted = heads.answers(loaded, torch.tensor(ids), torch.tensor(mask)).numpy()
    np.testing.assert_allclose(
        outputs(tmp_path / "model.onnx", ids, mask)["masked_tokens"], wanted, atol=1e-5
    )


def test_a_graph_of_fixed_shapes_has_the_masks_of_each_text_first(checkpoint_of, tmp_path):
    model = checkpoint_of("roberta")
    form = GraphForm(fixed=True, interchange=False)
    write_float(model, tmp_path / "model.onnx", form)
    ids, mask = batch([40, 12, 300], model, masks=MOST_MASKS)
    ids[1, np.flatnonzero(ids[1] == MASK)[2:]] = 400  # two masks
    found, wanted = outputs(tmp_path / "model.onnx", ids, mask)["logits"], hugging_face(model, ids, mask)
    assert found.shape == (3, MOST_MASKS, 20)
    rows = np.concatenate([found[0], found[1, :2], found[2]])
    np.testing.assert_allclose(rows[:, :10], -np.sort(-wanted, axis=1)[:, :10], atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_text_may_have_fewer_tokens_than_a_graph_of_fixed_shapes_has_room_for_masks(
    checkpoint_of, tmp_path, length
):
    model = checkpoint_of("roberta")
    write_float(model, tmp_path / "model.onnx", GraphForm(fixed=True, interchange=False))
    ids, mask = batch([length], model, masks=1)
    found, wanted = outputs(tmp_path / "model.onnx", ids, mask)["logits"], hugging_face(model, ids, mask)
    assert found.shape == (1, MOST_MASKS, 20)
    np.testing.assert_allclose(found[0, :1, :10], -np.sort(-wanted, axis=1)[:, :10], atol=1e-5, rtol=0)


def plan_of(weights: Any) -> QuantizationPlan:
    """Everything in int8 with plausible ranges, the table with a scale per row."""
    rows, matmuls = quantize_rows(weights.embeddings.word), {}
    for each in build_graph(weights).linear_ops:
        grid = ActivationRange.over(-6, 6, signed=False)
        own = quantize_rows(each.linear.weight.T)
        chosen = rows if each.tied else own
        matmuls[each.name] = MatMulPlan(grid, None, chosen.values.T, chosen.scale[:, 0], each.linear.bias)
    return QuantizationPlan(matmuls, rows)


@exact_int8
def test_a_tied_decoder_is_int8_and_in_the_file_once(checkpoint_of, tmp_path):
    model = checkpoint_of("roberta", vocab_size=4000)
    weights = load_weights(model)
    assert weights.head.tied
    build_graph(weights, plan_of(weights)).builder.save(tmp_path / "model.onnx")
    stored = onnx.load(tmp_path / "model.onnx").graph.initializer
    tables = [each.name for each in stored if list(each.dims) in ([4000, 32], [32, 4000])]
    assert tables == ["embeddings.word"]
    ids, mask = batch([20, 33], model)
    wanted, found = hugging_face(model, ids, mask), outputs(tmp_path / "model.onnx", ids, mask)
    assert np.abs(found["log_probabilities"] - wanted).max() < 0.1 * np.ptp(wanted)


def test_onnx_runtime_computes_the_tied_decoder_in_int8(checkpoint_of, tmp_path):
    import onnxruntime

    weights = load_weights(checkpoint_of("roberta"))
    build_graph(weights, plan_of(weights)).builder.save(tmp_path / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimized.onnx"), 3
    onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    kinds = [each.op_type for each in nodes if "MatMul" in each.op_type]
    assert kinds.count("MatMulIntegerToFloat") == 2 * 4 + 2, "layers, dense and decoder"


def test_openvino_computes_the_tied_decoder_in_int8_and_stores_it_once(checkpoint_of, tmp_path):
    import openvino

    weights = load_weights(checkpoint_of("roberta", vocab_size=4000))
    build_graph(weights, plan_of(weights)).builder.save(tmp_path / "model.onnx")
    core = openvino.Core()
    model = core.read_model(str(tmp_path / "model.onnx"))
    openvino.save_model(model, str(tmp_path / "model.xml"), compress_to_fp16=False)
    assert (tmp_path / "model.bin").stat().st_size < (tmp_path / "model.onnx").stat().st_size
    compiled = core.compile_model(str(tmp_path / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = {
        op.get_friendly_name(): op.get_rt_info()["runtimePrecision"].astype(str)
        for op in compiled.get_runtime_model().get_ops()
        if op.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    }
    decoder = next(kind for name, kind in kinds.items() if "head.decoder" in name)
    assert decoder in ("u8", "i8")


def rewritten(model: Checkpoint, folder: Path, config: dict[str, Any], **tensors: Any) -> Checkpoint:
    """A copy of a checkpoint with other tensors, None to leave one out, and other fields of the config."""
    import json
    import shutil

    shutil.copytree(model.folder, folder)
    state = load_file(folder / "model.safetensors") | tensors
    kept = {name: tensor for name, tensor in state.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    fields = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(fields))
    return Checkpoint(folder)


def test_a_decoder_unlike_the_embeddings_is_one_of_its_own_as_in_transformers(checkpoint_of, tmp_path):
    torch.manual_seed(0)
    own = {"lm_head.decoder.weight": torch.randn(600, 32), "lm_head.decoder.bias": torch.randn(600)}
    model = rewritten(checkpoint_of("roberta"), tmp_path / "own", {}, **own)
    checkpoint_validation.check(model)
    weights = load_weights(model)
    assert not weights.head.tied
    write_float(model, tmp_path / "model.onnx")
    ids, mask = batch([8, 20], model)
    found = outputs(tmp_path / "model.onnx", ids, mask)["log_probabilities"]
    np.testing.assert_allclose(found, hugging_face(model, ids, mask), atol=1e-4, rtol=0)


def test_a_decoder_that_is_stored_and_the_same_is_tied(checkpoint_of, tmp_path):
    source = checkpoint_of("roberta")
    words = load_file(source.folder / "model.safetensors")["roberta.embeddings.word_embeddings.weight"]
    model = rewritten(source, tmp_path / "same", {}, **{"lm_head.decoder.weight": words.clone()})
    assert load_weights(model).head.tied


def test_a_decoder_that_is_neither_stored_nor_tied_is_refused(checkpoint_of, tmp_path):
    model = rewritten(checkpoint_of("roberta"), tmp_path / "lost", {"tie_word_embeddings": False})
    with pytest.raises(CheckpointError, match=r"the weights lack lm_head\.decoder\.weight, and"):
        load_weights(model)


def test_a_decoder_of_another_shape_is_refused(checkpoint_of, tmp_path):
    tensors = {"lm_head.decoder.weight": torch.zeros(599, 32)}
    model = rewritten(checkpoint_of("roberta"), tmp_path / "odd", {}, **tensors)
    with pytest.raises(CheckpointError, match=r"lm_head\.decoder\.weight has shape \[599, 32\]"):
        checkpoint_validation.check(model)


def test_a_model_whose_tokenizer_has_no_mask_token_fills_none(checkpoint_of, tmp_path):
    model = rewritten(checkpoint_of("roberta"), tmp_path / "none", {})
    for file in model.folder.glob("*token*.json"):
        file.write_text(file.read_text().replace("<mask>", "<other>").replace("mask_token", "other_token"))
    assert model.task.mask_id is None
    with pytest.raises(CheckpointError, match="the tokenizer has no mask token") as caught:
        load_weights(model)
    assert caught.value.code == "checkpoint.no-mask"


def test_a_decoder_of_its_own_is_told_from_a_tied_one(checkpoint_of, make_checkpoint, tmp_path):
    tied = checkpoint_of("roberta")
    own = {"lm_head.decoder.weight": torch.ones(600, 32)}
    assert has_own_decoder(rewritten(tied, tmp_path / "own", {}, **own))
    assert not has_own_decoder(tied)
    assert not has_own_decoder(Checkpoint(make_checkpoint()))
