"""Folders of pruned models: written, read, trained on, and refused where they are damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from masking import random_kept
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import checkpoint_validation, pruned, resolving, surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier, save_classifier
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.roberta.surgery import KeptUnits
from edgeroberta.roberta.weights import load_weights
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
IDS = torch.tensor([[0, 40, 41, 42, 2], [0, 50, 2, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
#: Of three layers with four heads and 64 neurons each.
SOME = KeptUnits((0, 1, 2), ((0, 2), (1,), (0, 1, 2, 3)), (tuple(range(0, 64, 3)), (5, 9), tuple(range(64))))
QUERY = "roberta.encoder.layer.1.attention.self.query.weight"


@pytest.fixture(scope="module")
def plain(make_checkpoint):
    return make_checkpoint(num_hidden_layers=3)


@pytest.fixture(scope="module")
def student(plain):
    return surgery.prune(load_classifier(plain, TWO), SOME)


@pytest.fixture(scope="module")
def folder(plain, student, tmp_path_factory):
    """A pruned checkpoint. Do not write into it."""
    path = tmp_path_factory.mktemp("pruned")
    save_classifier(student, path, tokenizer=plain)
    return path


@pytest.fixture
def copy(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "model"))


def answer(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(IDS, MASK)[0]
    return logits


def edit_config(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **fields}), encoding="utf-8")


def test_a_pruned_folder_is_a_hugging_face_folder_with_a_field_more(folder, plain):
    ours, theirs = Checkpoint(folder).fields, Checkpoint(plain).fields
    assert ours.pop("layer_shapes") == [shape.to_json() for shape in SOME.shapes]
    assert ours == theirs


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_one_line_loads_a_pruned_folder(folder, student, attention):
    model = pruned.from_pretrained(folder, attn_implementation=attention)
    torch.testing.assert_close(answer(model), answer(student), rtol=0, atol=1e-5)
    assert type(model) is type(student)
    assert not model.training
    assert surgery.shape_of(model).layers == SOME.shapes


def test_the_same_line_loads_a_plain_folder(plain):
    model, theirs = pruned.from_pretrained(plain), AutoModelForSequenceClassification.from_pretrained(plain)
    assert type(model) is type(theirs)
    assert torch.equal(answer(model), answer(theirs))


def test_every_shape_survives_saving_and_loading(plain, tmp_path):
    model = load_classifier(plain, TWO)
    for seed in range(6):
        kept = random_kept(surgery.shape_of(model), seed)
        student = surgery.prune(model, kept).eval()
        (tmp_path / str(seed)).mkdir()
        save_classifier(student, tmp_path / str(seed), tokenizer=plain)
        checkpoint_validation.check(Checkpoint(tmp_path / str(seed)))
        assert torch.equal(answer(load_classifier(tmp_path / str(seed), TWO)), answer(student))
        shape = Checkpoint(tmp_path / str(seed)).config.shape
        assert shape == surgery.shape_of(student)
        assert shape.parameters == Checkpoint(tmp_path / str(seed)).parameters


@pytest.mark.parametrize("auto_class", [AutoModel, AutoModelForMaskedLM, transformers.RobertaModel])
@pytest.mark.filterwarnings("ignore")  # transformers tells of fresh weights
def test_a_pruned_folder_loads_as_another_class(folder, student, auto_class):
    model = pruned.from_pretrained(folder, auto_class)
    assert surgery.shape_of(model).layers == SOME.shapes
    states = model.base_model(IDS, MASK).last_hidden_state
    torch.testing.assert_close(states, student.base_model(IDS, MASK).last_hidden_state, rtol=0, atol=1e-5)


def test_arguments_reach_transformers(folder):
    model, record = pruned.from_pretrained(folder, dtype=torch.bfloat16, output_loading_info=True)
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}
    assert not record["missing_keys"]
    config = transformers.AutoConfig.from_pretrained(folder, hidden_dropout_prob=0.3)
    assert pruned.from_pretrained(folder, config=config).config.hidden_dropout_prob == 0.3
    labelled = pruned.from_pretrained(folder, num_labels=5, ignore_mismatched_sizes=True)
    assert answer(labelled).shape == (2, 5)


def test_plain_transformers_refuses_a_pruned_folder(folder):
    with pytest.raises(RuntimeError, match="size"):
        AutoModelForSequenceClassification.from_pretrained(folder)


def test_a_pruned_folder_gets_a_fresh_head_and_other_dropout(folder):
    task = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
    model = load_classifier(folder, task, dropout=0.3, attention_dropout=0.2, seed=4)
    again, other = load_classifier(folder, task, seed=4), load_classifier(folder, task, seed=5)
    assert tuple(model.classifier.out_proj.weight.shape) == (3, 32)
    assert torch.equal(model.classifier.out_proj.weight, again.classifier.out_proj.weight)
    assert not torch.equal(model.classifier.out_proj.weight, other.classifier.out_proj.weight)
    layer = model.base_model.encoder.layer[1]
    assert (layer.output.dropout.p, layer.attention.self.dropout.p) == (0.3, 0.2)
    assert surgery.shape_of(model).layers == SOME.shapes


def test_a_pruned_encoder_without_a_head_gets_one(plain, folder, tmp_path):
    encoder = pruned.from_pretrained(folder, AutoModel)
    save_classifier(encoder, tmp_path, tokenizer=plain)
    assert not Checkpoint(tmp_path).has_head
    checkpoint_validation.check(Checkpoint(tmp_path))
    assert surgery.shape_of(load_classifier(tmp_path, TWO)).layers == SOME.shapes


def test_loading_a_pruned_folder_says_nothing(folder, capfd):
    load_classifier(folder, Task(Problem.SINGLE_LABEL, ("a", "b", "c")))
    assert capfd.readouterr() == ("", "")


def test_a_step_of_training_reaches_every_weight(folder, plain, tmp_path):
    from accelerate import Accelerator

    model = load_classifier(folder, TWO, dropout=0.1)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    accelerator = Accelerator(cpu=True)
    prepared, optimizer = accelerator.prepare(model.train(), torch.optim.AdamW(model.parameters(), lr=1e-2))
    accelerator.backward(prepared(IDS, MASK, labels=torch.tensor([0, 1])).loss)
    assert all(each.grad is not None for each in model.parameters())
    optimizer.step()
    learned = accelerator.unwrap_model(prepared).eval()
    changed = {name for name, each in learned.state_dict().items() if not torch.equal(each, before[name])}
    assert changed >= {QUERY, QUERY.replace("attention.self.query", "intermediate.dense")}
    save_classifier(learned, tmp_path, tokenizer=plain)
    # trained with eager attention and loaded with the fused one
    torch.testing.assert_close(answer(load_classifier(tmp_path, TWO)), answer(learned), rtol=0, atol=1e-5)


def test_weights_for_the_graph_have_the_shapes_of_their_layers(folder):
    layers = load_weights(folder).layers
    assert tuple(LayerShape(layer.heads, layer.ffn_in.weight.shape[1]) for layer in layers) == SOME.shapes


def test_an_unpruned_model_has_layers_alike(plain):
    config = Checkpoint(plain).config
    assert config.shape.layers == (LayerShape(4, 64),) * 3
    assert config.shape.parameters == Checkpoint(plain).parameters


SHAPES = [shape.to_json() for shape in SOME.shapes]
DAMAGED = "  next: download or save the model again"
NO_LIST = "{d}/config.json: layer_shapes is not a list of {{heads, intermediate}} "
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no list": ({"layer_shapes": {"heads": 2}}, NO_LIST + "(not a list)\n" + DAMAGED),
    "no objects": ({"layer_shapes": [2, 1, 4]}, NO_LIST + "('int' object is not subscriptable)\n" + DAMAGED),
    "no neurons": ({"layer_shapes": [{"heads": 2}] * 3}, NO_LIST + "('intermediate')\n" + DAMAGED),
    "no head": (
        {"layer_shapes": [{"heads": 0, "intermediate": 2}, *SHAPES[1:]]},
        NO_LIST + "(0 is not a whole number above 0)\n" + DAMAGED,
    ),
    "too few layers": (
        {"layer_shapes": SHAPES[:2]},
        "{d}/config.json: layer_shapes has 2 layers, num_hidden_layers is 3\n" + DAMAGED,
    ),
    "more heads than the width has": (
        {"layer_shapes": [*SHAPES[:2], {"heads": 5, "intermediate": 64}]},
        "{d}/config.json: layer_shapes[2] is larger than an unpruned layer, 4 heads and 64 FFN neurons\n"
        + DAMAGED,
    ),
    "another number of heads than the weights": (
        {"layer_shapes": [SHAPES[0], {"heads": 2, "intermediate": 2}, SHAPES[2]]},
        "{d}/model.safetensors: " + QUERY + " has shape [8, 32], config.json says [16, 32]\n"
        "  next: config.json and the weights are of different models; download them together",
    ),
    "another number of neurons than the weights": (
        {"layer_shapes": [SHAPES[0], {"heads": 1, "intermediate": 3}, SHAPES[2]]},
        "{d}/model.safetensors: roberta.encoder.layer.1.intermediate.dense.weight has shape [2, 32],"
        " config.json says [3, 32]\n"
        "  next: config.json and the weights are of different models; download them together",
    ),
    "no shapes at all": (
        {"layer_shapes": None},
        "{d}/model.safetensors: roberta.encoder.layer.0.attention.self.query.weight has shape [16, 32],"
        " config.json says [32, 32]\n"
        "  next: config.json and the weights are of different models; download them together",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_pruned_folder_is_refused(name, copy, tmp_path):
    fields, message = BAD[name]
    edit_config(copy, **fields)
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve(str(copy), cache=tmp_path / "cache")
    assert str(caught.value) == message.format(d=copy)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("heads", [2, 3])
def test_weights_of_other_shapes_than_the_config_tells_are_not_exported(copy, heads):
    edit_config(copy, layer_shapes=[SHAPES[0], {"heads": heads, "intermediate": 2}, SHAPES[2]])
    with pytest.raises(CheckpointError) as caught:
        load_weights(copy)
    assert str(caught.value).startswith(
        f"{copy}: {QUERY} has shape [8, 32], config.json says [{heads * 8}, 32]"
    )


def test_weights_of_other_shapes_are_no_fresh_weights(copy):
    edit_config(copy, layer_shapes=[SHAPES[0], {"heads": 2, "intermediate": 2}, SHAPES[2]])
    with pytest.raises(CheckpointError) as caught:
        load_classifier(copy, TWO)
    assert str(caught.value) == (
        f"{copy}: layer_shapes tells another shape of"
        " roberta.encoder.layer.1.attention.output.dense.weight\n" + DAMAGED
    )


def test_missing_weights_of_a_layer_are_no_fresh_weights(copy):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors[QUERY]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        load_classifier(copy, TWO)
    assert str(caught.value) == f"{copy}: the folder lacks {QUERY}\n{DAMAGED}"


def test_the_module_imports_without_torch_and_transformers():
    import subprocess
    import sys

    code = (
        "import sys, edgeroberta.roberta.pruned; print({'torch', 'transformers', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
