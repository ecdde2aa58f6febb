"""BERT's shape against Hugging Face: positions from 0, the pooler, token types of pairs; on every engine."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import heads, surgery, token_types
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import INT8_EMULATION, TENSORRT, GraphForm, build_graph, write_float
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.roberta.weights import load_weights
from edgeroberta.tasks import Task

PAIRS = [
    ("The film is great.", "这部电影很好看，音乐也不错。"),
    ("国足在世界杯预选赛中获胜", "The story is dull, and I would not see it again. " * 9),
    ("", "小明在2023年9月买了iPhone手机"),
    ("music " * 60, ""),
    ("a", "the [SEP] film"),
]


def run(engine: str, path: Path, ids: Any, mask: Any) -> Any:
    inputs = {"input_ids": ids, "attention_mask": mask}
    if engine == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options).run(["logits"], inputs)[0]
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(str(path), "CPU", settings)(inputs)["logits"]


def tokenized(folder: Path, inputs: list[Any], length: int = 512) -> Mapping[str, Any]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    columns = (
        [list(column) for column in zip(*inputs, strict=True)] if isinstance(inputs[0], tuple) else [inputs]
    )
    return tokenizer(*columns, padding=True, truncation=True, max_length=length, return_tensors="np")


def hugging_face(folder: Path, batch: Mapping[str, Any]) -> Any:
    model = heads.auto_class(Checkpoint(folder).head).from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**{name: torch.from_numpy(value) for name, value in batch.items()}).logits.numpy()


@pytest.fixture(scope="module")
def tagger(make_checkpoint) -> Path:
    return make_checkpoint(("O", "B-PER", "I-PER"), "token_classification", model_type="bert")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", ["classifier", "tagger"])
def test_the_float_graph_equals_hugging_face_at_every_length(
    name, engine, tiny_bert_checkpoint, tagger, tmp_path
):
    folder = tiny_bert_checkpoint if name == "classifier" else tagger
    write_float(folder, tmp_path / "model.onnx")
    for length in (1, 2, 7, 64, 128, 511, 512):
        ids = np.random.default_rng(length).integers(8, 486, (3, length))
        mask = np.ones_like(ids)
        for row, kept in enumerate((length, max(1, length // 2), 1)):
            ids[row, kept:] = mask[row, kept:] = 0
        found = run(engine, tmp_path / "model.onnx", ids, mask)
        wanted = hugging_face(folder, {"input_ids": ids, "attention_mask": mask})
        assert found.shape == wanted.shape
        kept = mask == 1 if found.ndim == 3 else slice(None)
        np.testing.assert_allclose(found[kept], wanted[kept], atol=1e-5, rtol=0)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_pairs_have_two_token_types_as_hugging_face_has_them(engine, tiny_bert_checkpoint, tmp_path):
    write_float(tiny_bert_checkpoint, tmp_path / "model.onnx", pair=True)
    write_float(tiny_bert_checkpoint, tmp_path / "plain.onnx")
    worst, moved = 0.0, 0.0
    for length in (4, 9, 64, 512):
        batch = tokenized(tiny_bert_checkpoint, PAIRS, length)
        assert batch["token_type_ids"].any()
        wanted = hugging_face(tiny_bert_checkpoint, batch)
        ids, mask = batch["input_ids"], batch["attention_mask"]
        found = run(engine, tmp_path / "model.onnx", ids, mask)
        worst = max(worst, float(np.abs(found - wanted).max()))
        plain = run(engine, tmp_path / "plain.onnx", ids, mask)
        moved = max(moved, float(np.abs(plain - wanted).max()))
    assert worst <= 1e-5
    assert moved > 0.01  # the types count


def test_single_texts_are_of_one_type_whatever_they_hold(tiny_bert_checkpoint, tmp_path):
    write_float(tiny_bert_checkpoint, tmp_path / "model.onnx")
    batch = tokenized(tiny_bert_checkpoint, ["good [SEP] film", "[SEP]", "很好看"])
    found = run("onnxruntime", tmp_path / "model.onnx", batch["input_ids"], batch["attention_mask"])
    np.testing.assert_allclose(found, hugging_face(tiny_bert_checkpoint, batch), atol=1e-5)


@pytest.mark.parametrize("form", [GraphForm(), INT8_EMULATION, TENSORRT, GraphForm(observers=True)], ids=str)
def test_every_form_of_the_graph_has_the_types_of_pairs(form, tiny_bert_checkpoint, tmp_path):
    weights = load_weights(tiny_bert_checkpoint, pair=True)
    path = tmp_path / "model.onnx"
    build_graph(weights, form=form).builder.save(path)
    onnx.checker.check_model(str(path), full_check=True)
    batch = tokenized(tiny_bert_checkpoint, PAIRS, 64)
    found = run("onnxruntime", path, batch["input_ids"], batch["attention_mask"])
    atol = 2e-2 if form.body is np.float16 else 1e-5
    np.testing.assert_allclose(found, hugging_face(tiny_bert_checkpoint, batch), atol=atol)


def test_a_model_finds_out_types_however_it_is_called_cut_or_copied(tiny_bert_checkpoint):
    task = Task.from_config(Checkpoint(tiny_bert_checkpoint).fields, pair=True)
    model = load_classifier(Checkpoint(tiny_bert_checkpoint), task)
    batch = tokenized(tiny_bert_checkpoint, PAIRS, 64)
    wanted = hugging_face(tiny_bert_checkpoint, batch)
    ids, mask = (torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask"))
    with torch.no_grad():
        for each in (model, copy.deepcopy(model), surgery.keep_layers(model, (0, 1))):
            np.testing.assert_allclose(heads.answers(each, ids, mask), wanted, atol=1e-5)
            np.testing.assert_allclose(each(input_ids=ids, attention_mask=mask).logits, wanted, atol=1e-5)
        single = load_classifier(Checkpoint(tiny_bert_checkpoint), Task(task.problem, task.labels))
        assert np.abs(heads.answers(single, ids, mask).numpy() - wanted).max() > 0.01
        token_types.tell(model, None)
        np.testing.assert_allclose(
            heads.answers(model, ids, mask), heads.answers(single, ids, mask), atol=1e-5
        )


def edited(source: Path, folder: Path, change: Callable[[dict[str, Any]], Any], name: str) -> Path:
    shutil.copytree(source, folder)
    fields = json.loads((folder / name).read_text(encoding="utf-8"))
    change(fields)
    (folder / name).write_text(json.dumps(fields), encoding="utf-8")
    return folder


def template(*, types: tuple[int, int]) -> Callable[[dict[str, Any]], Any]:
    """Let the second text, and the separator behind it, be of other types."""

    def change(fields: dict[str, Any]) -> None:
        text, end = fields["post_processor"]["pair"][-2:]
        text["Sequence"]["type_id"], end["SpecialToken"]["type_id"] = types

    return change


def test_the_tokenizers_files_tell_whether_there_are_types_and_behind_which_token(
    tiny_bert_checkpoint, tiny_two_type_checkpoint, make_checkpoint, tmp_path
):
    def without_types(fields: dict[str, Any]) -> None:
        fields["model_input_names"] = ["input_ids", "attention_mask"]

    config, tokenizer = "tokenizer_config.json", "tokenizer.json"
    assert Checkpoint(tiny_bert_checkpoint).separator_id == 6
    assert Checkpoint(tiny_two_type_checkpoint).separator_id is None
    assert Checkpoint(make_checkpoint(model_type="bert", type_vocab_size=1)).separator_id is None
    plain = edited(tiny_bert_checkpoint, tmp_path / "plain", template(types=(0, 0)), tokenizer)
    assert Checkpoint(plain).separator_id is None
    unasked = edited(tiny_bert_checkpoint, tmp_path / "unasked", without_types, config)
    assert Checkpoint(unasked).separator_id is None
    odd = edited(tiny_bert_checkpoint, tmp_path / "odd", template(types=(1, 0)), tokenizer)
    with pytest.raises(CheckpointError) as caught:
        _ = Checkpoint(odd).separator_id
    assert caught.value.where == str(odd / tokenizer)
    assert "the types [0, 0, 0, 1, 0]: not 0 up to and with the first separator" in caught.value.what
