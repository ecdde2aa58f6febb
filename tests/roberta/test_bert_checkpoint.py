"""BERT's checkpoints as they are on the Hub: configs, old names, pickles, ``vocab.txt``, base models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeroberta.errors import CheckpointError
from edgeroberta.parity import tokens
from edgeroberta.roberta import heads, resolving
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Problem, Task

#: What config.json has on the Hub, but for sizes, which are the test's.
_GOOGLE: Mapping[str, Any] = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "model_type": "bert",
    "pad_token_id": 0,
    "type_vocab_size": 2,
}
_POOLER: Mapping[str, Any] = {
    "directionality": "bidi",
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "hfl/chinese-roberta-wwm-ext": {
        **_GOOGLE,
        **_POOLER,
        "architectures": ["BertForMaskedLM"],
        "bos_token_id": 0,
        "eos_token_id": 2,
        "output_past": True,
    },
    "hfl/chinese-macbert-base": {
        **_GOOGLE,
        **_POOLER,
        "architectures": ["BertForMaskedLM"],
        "gradient_checkpointing": False,
    },
    "bert-base-chinese": {**_GOOGLE, **_POOLER, "architectures": ["BertForMaskedLM"]},
    "bert-base-uncased": {
        **_GOOGLE,
        "architectures": ["BertForMaskedLM"],
        "gradient_checkpointing": False,
        "position_embedding_type": "absolute",
        "transformers_version": "4.6.0.dev0",
        "use_cache": True,
    },
    "microsoft/MiniLM-L12-H384-uncased": {**_GOOGLE, "architectures": ["BertModel"]},
    "a classifier of 2019": {
        **{name: value for name, value in _GOOGLE.items() if name not in ("pad_token_id", "layer_norm_eps")},
        "architectures": ["BertForSequenceClassification"],
        "finetuning_task": "mnli",
        "num_labels": 2,
        "output_attentions": False,
        "pruned_heads": {},
        "torchscript": False,
    },
}
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
SIZES += ("max_position_embeddings", "vocab_size")


@pytest.fixture
def as_on_the_hub(make_checkpoint, tmp_path):
    """A function that makes a model with a config of the Hub; ``old``: a pickle of old names."""

    def make(name: str, *, old: bool = False, slow: bool = False) -> Path:
        import transformers

        config = CONFIGS[name]
        (kind,) = config["architectures"]
        donor = make_checkpoint(model_type="bert")
        fields = json.loads((donor / "config.json").read_text())
        folder = tmp_path / "hub"
        folder.mkdir()
        stated = {**{size: fields[size] for size in SIZES}, **config}
        torch.manual_seed(0)
        if kind == "BertForMaskedLM":  # the files hold the pooler and the other task's head as well
            kind = "BertForPreTraining"
        settings = transformers.AutoConfig.for_model("bert", **{size: fields[size] for size in SIZES})
        model = getattr(transformers, kind)(settings)
        model.save_pretrained(folder)
        tensors = load_file(folder / "model.safetensors")
        if old:
            names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
            for new, former in names.items():
                tensors = {key.replace(new, former): value for key, value in tensors.items()}
            torch.save(tensors, folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()
        (folder / "config.json").write_text(json.dumps(stated))
        if slow:
            vocabulary = json.loads((donor / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
            pieces = sorted(vocabulary, key=vocabulary.__getitem__)
            (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
        else:
            for file in donor.glob("*token*.json"):
                shutil.copy(file, folder)
        return folder

    return make


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_of_the_hub_are_taken(name, as_on_the_hub, tmp_path):
    found = resolving.resolve(str(as_on_the_hub(name)), cache=tmp_path / "cache")
    config = found.config
    assert (config.family, config.position_offset, config.max_length) == ("bert", 0, 512)
    assert (config.pad_token_id, config.layer_norm_eps) == (0, 1e-12)
    assert found.separator_id == 6
    assert found.has_head is not (name == "microsoft/MiniLM-L12-H384-uncased")
    assert (found.task.problem is Problem.MASKED) is (found.fields["architectures"] == ["BertForMaskedLM"])
    model = load_classifier(found, Task(Problem.SINGLE_LABEL, ("a", "b", "c")))
    assert type(model).__name__ == "BertForSequenceClassification"
    pooler = found.tensors.get("bert.pooler.dense.weight") or found.tensors.get("pooler.dense.weight")
    assert pooler is not None
    stored = next(value for _, value in pooler.floats(1 << 20))
    np.testing.assert_array_equal(model.bert.pooler.dense.weight.detach().numpy(), stored)


@pytest.mark.parametrize("name", ["hfl/chinese-roberta-wwm-ext", "hfl/chinese-macbert-base"])
def test_a_pickle_of_old_names_beside_vocab_txt_is_converted(name, as_on_the_hub, tmp_path):
    folder = as_on_the_hub(name, old=True, slow=True)
    before = sorted(file.name for file in folder.iterdir())
    found = resolving.resolve(str(folder), allow_pickle=True, cache=tmp_path / "cache")
    assert sorted(file.name for file in folder.iterdir()) == before
    texts = ["小明在2023年9月买了iPhone", "The film is GREAT, café", "ＡＢ《红楼梦》", ""]
    assert tokens.check(found, texts) is None
    assert tokens.check(found, list(zip(texts, texts[::-1], strict=True))) is None
    assert TextTokenizer.open(found.folder, 16).encode_one("很好看").ids.tolist()[0] == 5
    assert found.separator_id == 6


def test_a_base_model_without_a_pooler_gets_a_fresh_one(as_on_the_hub, tmp_path):
    folder = as_on_the_hub("bert-base-chinese")
    kept = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in kept.items() if "pooler" not in key and "seq_rel" not in key}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    found = resolving.resolve(str(folder), cache=tmp_path / "cache")
    model = load_classifier(found, Task(Problem.SINGLE_LABEL, ("a", "b")), seed=3)
    again = load_classifier(found, Task(Problem.SINGLE_LABEL, ("a", "b")), seed=3)
    assert torch.equal(model.bert.pooler.dense.weight, again.bert.pooler.dense.weight)
    tagger = load_classifier(found, Task(Problem.TOKENS, ("O", "B-PER")))
    assert heads.of_model(tagger).reads == "classifier"


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'; only"),
        ({"is_decoder": True}, "is_decoder is True; only False can be compressed"),
        ({"pad_token_id": 486}, "pad_token_id must be an id from 0 to 485, not 486"),
        ({"type_vocab_size": 0}, "type_vocab_size must be a positive whole number, not 0"),
        (
            {"architectures": ["BertForNextSentencePrediction"]},
            "'BertForNextSentencePrediction' is no BERT class",
        ),
    ],
    ids=str,
)
def test_what_is_no_such_bert_is_refused(edit, what, tiny_bert_checkpoint, tmp_path):
    folder = Path(shutil.copytree(tiny_bert_checkpoint, tmp_path / "model"))
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**fields, **edit}))
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve(str(folder), cache=tmp_path / "cache")
    assert what in caught.value.what


def test_a_classifier_without_its_pooler_is_refused_by_name(tiny_bert_checkpoint, tmp_path):
    folder = Path(shutil.copytree(tiny_bert_checkpoint, tmp_path / "model"))
    kept = load_file(folder / "model.safetensors")
    del kept["bert.pooler.dense.weight"]
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"the weights lack bert\.pooler\.dense\.weight"):
        resolving.resolve(str(folder), cache=tmp_path / "cache")
