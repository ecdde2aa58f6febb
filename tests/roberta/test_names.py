from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeroberta.errors import CheckpointError
from edgeroberta.measure.torch_baseline import TorchBaseline
from edgeroberta.roberta import loading, names, resolving
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.weights import load_weights

QUERY = "roberta.encoder.layer.0.attention.self.query"
SQUARE, ROW = torch.ones(32, 32), torch.ones(32)
Rename = Callable[[str], str]


@pytest.fixture
def copy(tiny_checkpoint, tmp_path):
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))


def rename(folder: Path, change: Rename) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({change(name): value for name, value in tensors.items()}, folder / "model.safetensors")


def split(folder: Path, parts: int = 2) -> None:
    """Store the weights in shards, as the Hub has large models."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    owner = {name: f"model-{1 + i % parts:05}-of-{parts:05}.safetensors" for i, name in enumerate(tensors)}
    for file in set(owner.values()):
        save_file({name: tensors[name] for name in tensors if owner[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": owner}))


def old_norms(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


#: What tools make of the names of a classifier that they save.
WRAPPED: dict[str, Rename] = {
    "DDP": lambda name: f"module.{name}",
    "compiled": lambda name: f"_orig_mod.{name}",
    "compiled and DDP": lambda name: f"module._orig_mod.{name}",
    "Lightning": lambda name: f"model.{name}",
    "all three": lambda name: f"model.module._orig_mod.{name}",
    "compiled layers": lambda name: name.replace("layer.0.", "layer.0._orig_mod."),
    "FSDP": lambda name: f"_fsdp_wrapped_module.{name}".replace(
        "layer.1.", "layer.1._fsdp_wrapped_module._checkpoint_wrapped_module."
    ),
    "merged by PEFT": lambda name: f"base_model.model.{name}",
    "old names of norms": old_norms,
    "old names, wrapped": lambda name: f"module.{old_norms(name)}",
    "an encoder without its prefix": lambda name: name.removeprefix("roberta."),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_model_is_read_as_the_one_inside_by_us_and_by_transformers(
    name, copy, tiny_checkpoint, tmp_path
):
    rename(copy, WRAPPED[name])
    folder = resolving.resolve(str(copy), cache=tmp_path / "cache").folder
    wanted, found = load_file(tiny_checkpoint / "model.safetensors"), load_file(folder / "model.safetensors")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    loaded = loading.load_classifier(folder, Checkpoint(folder).task).state_dict()
    assert all(torch.equal(loaded[key], wanted[key]) for key in wanted)
    assert np.array_equal(load_weights(folder).head.dense.weight, wanted["classifier.dense.weight"].numpy().T)


def test_a_wrapped_model_in_shards_is_read_and_measured_as_the_one_inside(copy, tiny_checkpoint, tmp_path):
    rename(copy, WRAPPED["compiled and DDP"])
    split(copy)
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    folder = resolving.resolve(str(copy), cache=tmp_path / "cache").folder
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before
    texts = ["a great film", "a bad one"]
    found, wanted = (TorchBaseline(each).outputs(texts).values for each in (folder, tiny_checkpoint))
    assert np.array_equal(found, wanted)
    assert resolving.locate(str(copy), cache=tmp_path / "cache").folder == folder  # as a teacher, too


def test_a_wrapped_base_model_is_fine_tuned_from_the_encoder_inside(tiny_headless_checkpoint, tmp_path):
    folder = Path(shutil.copytree(tiny_headless_checkpoint, tmp_path / "model"))
    wanted = load_file(folder / "model.safetensors")
    rename(folder, WRAPPED["Lightning"])
    found = resolving.resolve(str(folder), cache=tmp_path / "cache").folder
    model = loading.load_classifier(found, Checkpoint(found).task, dropout=0.1)
    loaded = model.base_model.state_dict()
    assert len(loaded) > 30
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.items())


def test_a_base_model_is_taken_with_its_pooler_and_its_head_for_masked_words(
    tiny_headless_checkpoint, tmp_path
):
    folder = Path(shutil.copytree(tiny_headless_checkpoint, tmp_path / "model"))
    more = {
        "lm_head.bias": ROW,
        "roberta.pooler.dense.weight": SQUARE,
        "roberta.embeddings.position_ids": ROW + 1,
    }
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, **more}, folder / "model.safetensors")
    assert resolving.resolve(str(folder), cache=tmp_path / "cache").folder == folder


MERGE = (
    "  next: merge it where it was trained, model = model.merge_and_unload(); model.save_pretrained('merged')"
)
#: Names that take the place of another, tensors that are added, and the error that must follow.
FOREIGN: dict[str, tuple[Rename, Mapping[str, torch.Tensor], str]] = {
    "LoRA": (
        lambda name: name.replace(QUERY, f"{QUERY}.base_layer"),
        {f"{QUERY}.lora_A.default.weight": torch.ones(2, 32)},
        f"the tensor {QUERY}.base_layer.bias belongs to a PEFT adapter that is not merged\n{MERGE}",
    ),
    "a head that PEFT saved": (
        lambda name: name.replace("classifier.", "classifier.modules_to_save.default."),
        {},
        "the tensor classifier.modules_to_save.default.dense.bias belongs to a PEFT adapter",
    ),
    "a wrapped LoRA": (
        lambda name: "module." + name.replace(QUERY, f"{QUERY}.base_layer"),
        {},
        f"the tensor {QUERY}.base_layer.bias belongs to a PEFT adapter that is not merged\n",
    ),
    "a bottleneck": (
        str,
        {"roberta.encoder.layer.0.output.adapters.task.adapter_down.0.weight": SQUARE},
        "the tensor roberta.encoder.layer.0.output.adapters.task.adapter_down.0.weight belongs to an",
    ),
    "a flat head": (
        lambda name: name.replace("classifier.out_proj", "classifier").replace(
            "classifier.dense", "pooler.dense"
        ),
        {},
        "the tensor classifier.bias is a head of one layer, as BERT has it; RoBERTa's has two\n",
    ),
    "a norm in the head": (
        str,
        {"classifier.norm.weight": ROW},
        "the tensor classifier.norm.weight is a part of the head that RoBERTa's does not have\n",
    ),
    "one layer too many": (
        str,
        {"roberta.encoder.layer.2.output.dense.bias": ROW},
        "the tensor roberta.encoder.layer.2.output.dense.bias belongs to no layer",
    ),
    "8-bit weights": (str, {f"{QUERY}.SCB": ROW}, f"the tensor {QUERY}.SCB belongs to quantized weights\n"),
    "a mask of torch's pruning": (
        lambda name: name.replace(f"{QUERY}.weight", f"{QUERY}.weight_orig"),
        {f"{QUERY}.weight_mask": SQUARE},
        f"the tensor {QUERY}.weight_mask belongs to weights that torch prunes on the fly\n",
    ),
    "a parametrized weight": (
        lambda name: name.replace(f"{QUERY}.weight", f"{QUERY}.parametrizations.weight.original0"),
        {},
        f"the tensor {QUERY}.parametrizations.weight.original0 belongs to a parametrized weight\n",
    ),
    "something unknown": (
        str,
        {"pooling.query": ROW},
        "the tensor pooling.query is none of this architecture's; leaving it out could change the answers\n",
    ),
    "an unknown wrapper": (
        lambda name: f"net.{name}",
        {},
        "the weights lack embeddings.word_embeddings.weight\n"
        "  next: there is net.roberta.embeddings.word_embeddings.weight: save_pretrained the model inside",
    ),
    "the same tensor twice": (
        str,
        {f"module.{QUERY}.weight": SQUARE},
        f"are both {QUERY}.weight\n  next: save the model again, unwrapped, with save_pretrained",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_tensors_that_make_another_model_of_it_are_refused_by_name(name, copy, tmp_path):
    change, added, message = FOREIGN[name]
    tensors = {change(key): value for key, value in load_file(copy / "model.safetensors").items()}
    save_file({**tensors, **added}, copy / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve(str(copy), cache=tmp_path / "cache")
    assert message in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("alone", [True, False])
def test_an_adapter_alone_or_beside_the_model_is_refused(alone, copy, tmp_path):
    (copy / "adapter_config.json").write_text("{}")
    if alone:
        for file in ("config.json", "model.safetensors"):
            (copy / file).unlink()
    for find in (resolving.resolve, resolving.locate):
        with pytest.raises(CheckpointError) as caught:
            find(str(copy), cache=tmp_path / "cache")
        assert str(caught.value) == (
            f"{copy}: adapter_config.json says that an adapter belongs to this model; it is not merged into"
            " the weights\n  next: merge it, model = AutoPeftModelForSequenceClassification.from_pretrained("
            f"'{copy}').merge_and_unload(); model.save_pretrained('merged'), and compress merged with the"
            " tokenizer files beside it"
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"auto_map": {"AutoModelForSequenceClassification": "modeling.MeanPool"}},
            "auto_map replaces AutoModelForSequenceClassification by code of the folder's own",
        ),
        ({"auto_map": {"AutoModel": "modeling.Flash"}}, "auto_map replaces AutoModel by code"),
        ({"architectures": ["MeanPoolRoberta"]}, "'MeanPoolRoberta' is no RoBERTa class of transformers"),
    ],
)
def test_code_of_the_folders_own_is_refused(fields, message, copy, tmp_path):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **fields}))
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve(str(copy), cache=tmp_path / "cache")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"architectures": ["TFXLMRobertaForSequenceClassification"]},
        {"auto_map": {"AutoTokenizer": ["a.B", None]}},
    ],
)
def test_code_for_something_else_is_passed_over(fields, copy, tmp_path):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **fields}))
    assert resolving.resolve(str(copy), cache=tmp_path / "cache").folder == copy


def test_transformers_is_not_believed_when_it_makes_a_tensor_at_random(copy):
    rename(copy, WRAPPED["Lightning"])
    config = loading.transformers_config(copy)
    with pytest.raises(CheckpointError, match=r"lack classifier\.dense\.bias; it would be a random number"):
        loading.load(copy, config)
    with pytest.raises(CheckpointError, match=r"lack roberta\.embeddings"):
        loading.load_classifier(copy, Checkpoint(copy).task)


def test_every_name_of_a_model_is_plain_as_it_is(tiny_checkpoint):
    stored = load_file(tiny_checkpoint / "model.safetensors")
    assert names.plain(stored, prefix="roberta.", where="model") == {name: name for name in stored}
