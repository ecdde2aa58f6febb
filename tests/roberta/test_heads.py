from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import checkpoint_validation, frozen_layers, heads, loading, resolving
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier, save_classifier
from edgeroberta.roberta.observers import OutputRecorder
from edgeroberta.roberta.weights import load_weights
from edgeroberta.tasks import KINDS, Problem, Task

FAMILIES = {
    "roberta": "RobertaForTokenClassification",
    "xlm-roberta": "XLMRobertaForTokenClassification",
    "camembert": "CamembertForTokenClassification",
}
LABELS = ("O", "B-PER", "I-PER")
TOKENS = Task(Problem.TOKENS, LABELS)
TEXTS = Task(Problem.SINGLE_LABEL, ("negative", "positive"))


@pytest.fixture
def copy(tiny_token_checkpoint, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_token_checkpoint, tmp_path / "model"))


def change_config(folder: Path, **fields: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_every_kind_of_task_has_a_head_that_transformers_knows():
    assert {kind.head for kind in KINDS.values()} == {name.partition("/")[0] for name in heads.HEADS}
    for head in heads.HEADS.values():
        assert heads.auto_class(head).__name__ == f"AutoModel{head.suffix}".replace("ModelModel", "Model")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_labels_tokens_is_saved_and_loaded_as_transformers_class_of_its_family(
    make_checkpoint, tmp_path, family
):
    base = make_checkpoint(head=False, model_type=family)
    model = load_classifier(base, TOKENS, seed=3)
    assert type(model).__name__ == FAMILIES[family]
    save_classifier(model, tmp_path / "saved", tokenizer=base)
    saved = Checkpoint(tmp_path / "saved")
    checkpoint_validation.check(saved)
    assert saved.fields["architectures"] == [FAMILIES[family]]
    assert saved.fields["id2label"] == {str(number): label for number, label in enumerate(LABELS)}
    assert saved.fields["label2id"] == {label: number for number, label in enumerate(LABELS)}
    assert saved.fields.get("problem_type") is None
    assert saved.task == TOKENS
    assert saved.has_head
    again = load_classifier(saved, TOKENS, seed=4).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


def test_a_head_for_texts_makes_room_for_one_for_tokens_and_back(
    tiny_checkpoint, tiny_token_checkpoint, tmp_path
):
    for source, task in ((tiny_checkpoint, TOKENS), (tiny_token_checkpoint, TEXTS)):
        model = load_classifier(source, task)
        stored = load_file(Path(source) / "model.safetensors")
        for name, value in model.base_model.state_dict().items():
            assert torch.equal(value, stored[f"roberta.{name}"])
        folder = tmp_path / str(task.problem)
        save_classifier(model, folder, tokenizer=source)
        assert Checkpoint(folder).task.problem is task.problem
        assert Checkpoint(folder).has_head
    with pytest.raises(CheckpointError, match=r"lack classifier\.bias; it would be a random number"):
        loading.load(
            tiny_checkpoint,
            loading.transformers_config(tiny_checkpoint),
            head=heads.HEADS["token-classification"],
        )


def test_a_projection_alone_is_the_head_of_tokens_and_no_head_of_texts(copy, tiny_token_checkpoint):
    weights = load_weights(tiny_token_checkpoint)
    stored = load_file(copy / "model.safetensors")
    assert np.array_equal(weights.head.projection.weight, stored["classifier.weight"].numpy().T)
    checkpoint_validation.check(Checkpoint(copy))
    change_config(copy, architectures=["RobertaForSequenceClassification"])
    with pytest.raises(CheckpointError, match="is a head of one layer, as BERT has it") as caught:
        checkpoint_validation.check(Checkpoint(copy))
    assert '"architectures": ["RobertaForTokenClassification"]' in str(caught.value.hint)


def test_a_head_of_two_layers_is_no_head_of_tokens(copy):
    stored = load_file(copy / "model.safetensors")
    save_file({**stored, "classifier.dense.weight": torch.ones(32, 32)}, copy / "model.safetensors")
    with pytest.raises(CheckpointError, match="a head that models for token classification do not have"):
        checkpoint_validation.check(Checkpoint(copy))


def test_a_head_of_another_width_is_refused(copy):
    change_config(copy, id2label={"0": "O", "1": "B-PER"}, label2id={"O": 0, "B-PER": 1})
    with pytest.raises(CheckpointError, match=r"classifier\.weight has shape \[5, 32\], config\.json says"):
        checkpoint_validation.check(Checkpoint(copy))


def test_a_class_of_ones_own_is_refused_with_the_class_that_transformers_has(copy):
    change_config(copy, architectures=["MyRobertaForTokenClassification"])
    with pytest.raises(CheckpointError, match="is no RoBERTa class") as caught:
        checkpoint_validation.check(Checkpoint(copy))
    assert "RobertaForTokenClassification" in str(caught.value.hint)


@pytest.mark.parametrize(
    "change",
    [
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"model.{name}",
        lambda name: name.removeprefix("roberta."),
    ],
    ids=["wrapped", "held", "an encoder without its prefix"],
)
def test_a_wrapped_model_that_labels_tokens_is_read_as_the_one_inside(
    change, copy, tiny_token_checkpoint, tmp_path
):
    file = copy / "model.safetensors"
    wanted = load_file(file)
    save_file({change(name): value for name, value in wanted.items()}, file)
    found = resolving.resolve(str(copy), cache=tmp_path / "cache")
    assert found.has_head
    assert all(torch.equal(value, wanted[name]) for name, value in load_file(found.weight_files[0]).items())
    weights, exact = load_weights(found), load_weights(tiny_token_checkpoint)
    assert np.array_equal(weights.head.projection.weight, exact.head.projection.weight)


def test_a_head_on_all_tokens_leaves_the_last_layer_whole(tiny_token_checkpoint, tiny_checkpoint):
    ids = torch.tensor([[0, 40, 41, 42, 2], [0, 50, 2, 1, 1]])
    for source, tokens in ((tiny_token_checkpoint, 5), (tiny_checkpoint, 1)):
        model = load_classifier(source, Checkpoint(source).task)
        with frozen_layers.first_token_only(model), OutputRecorder(model, layers=[1]) as recorder:
            with torch.no_grad():
                model(ids, (ids != 1).long())
            assert recorder.layers()[0].shape[1] == tokens


@pytest.mark.parametrize("model", ["tiny_checkpoint", "tiny_token_checkpoint"])
def test_parameters_are_counted_as_they_are_stored(request, model):
    checkpoint = Checkpoint(request.getfixturevalue(model))
    assert checkpoint.config.shape.parameters == checkpoint.parameters


def test_a_projection_on_all_tokens_multiplies_once_for_each(tiny_token_checkpoint):
    shape = Checkpoint(tiny_token_checkpoint).config.shape
    layers = sum(shape.layer_macs(layer, 7) for layer in shape.layers)
    assert shape.macs(7) - layers == 7 * 32 * 5
