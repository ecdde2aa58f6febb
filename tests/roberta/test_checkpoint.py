from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import files, resolving
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import load_config
from edgeroberta.storage import artifact
from edgeroberta.tasks import Problem, Task

FIRST_QUERY = "roberta.encoder.layer.0.attention.self.query.weight"


def edit_config(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def drop_field(folder: Path, name: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config[name]
    (folder / "config.json").write_text(json.dumps(config))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def poison(tensors: dict[str, torch.Tensor]) -> None:
    tensors[FIRST_QUERY][3, 5] = float("nan")


def cut_file(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def pickle_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def break_index(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {FIRST_QUERY: "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def escape_index(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {FIRST_QUERY: "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def grow_vocabulary(folder: Path) -> None:
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"]["neverheard"] = 777
    file.write_text(json.dumps(tokenizer), encoding="utf-8")


def lie_about_header(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes((1 << 20).to_bytes(8, "little") + file.read_bytes()[8:])


#: What is done to a good checkpoint, and the error that must follow; {d} is the folder.
#: The package's own reason, in brackets, is its own to word.
NOT_WHOLE = (
    "{d}/model.safetensors: not a whole safetensors file (…)\n"
    "  next: copy or download the file again; it is not whole"
)
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (
        lambda d: (d / "config.json").unlink(),
        "{d}: no config.json in this folder\n  next: name the folder that save_pretrained wrote, or a Hub id",
    ),
    "config is not JSON": (
        lambda d: (d / "config.json").write_text('{\n "model_type": roberta}'),
        "{d}/config.json:2: not JSON (Expecting value at column 16)\n"
        "  next: download or save the model again",
    ),
    "config is not an object": (
        lambda d: (d / "config.json").write_text("[]"),
        "{d}/config.json: not a JSON object\n  next: download or save the model again",
    ),
    "config is not UTF-8": (
        lambda d: (d / "config.json").write_bytes(b'{"a": "\xff"}'),
        "{d}/config.json: not UTF-8 at byte 7\n  next: download or save the model again",
    ),
    "another family": (
        lambda d: edit_config(d, model_type="electra"),
        "{d}/config.json: model_type is 'electra'; only roberta, xlm-roberta, camembert, bert can be"
        " compressed\n"
        "  next: DistilRoBERTa counts as roberta; name a model of one of these families",
    ),
    "no family": (
        lambda d: drop_field(d, "model_type"),
        "{d}/config.json: model_type is None; only roberta, xlm-roberta, camembert, bert can be"
        " compressed\n"
        "  next: DistilRoBERTa counts as roberta; name a model of one of these families",
    ),
    "multiple choice": (
        lambda d: edit_config(d, architectures=["XLMRobertaForMultipleChoice"]),
        "{d}/config.json: 'XLMRobertaForMultipleChoice' is a model for multiple choice;"
        " only sequence classification and token classification and masked words and sentence embeddings"
        " and question answering can be compressed\n"
        "  next: name a model fine-tuned for one of these, or a base model to fine-tune",
    ),
    "relative positions": (
        lambda d: edit_config(d, position_embedding_type="relative_key"),
        "{d}/config.json: position_embedding_type is 'relative_key'; only 'absolute' can be compressed",
    ),
    "a decoder": (
        lambda d: edit_config(d, is_decoder=True),
        "{d}/config.json: is_decoder is True; only False can be compressed",
    ),
    "a size that is missing": (
        lambda d: drop_field(d, "hidden_size"),
        "{d}/config.json: hidden_size must be a positive whole number, not None\n"
        "  next: download or save the model again",
    ),
    "a size that is no number": (
        lambda d: edit_config(d, vocab_size="many"),
        "{d}/config.json: vocab_size must be a positive whole number, not 'many'\n"
        "  next: download or save the model again",
    ),
    "heads that do not divide": (
        lambda d: edit_config(d, num_attention_heads=5),
        "{d}/config.json: hidden_size 32 is not a multiple of num_attention_heads 5\n"
        "  next: download or save the model again",
    ),
    "a bundle": (
        lambda d: (d / "model.safetensors").rename(d / "manifest.json"),
        "{d}: this is a bundle, made of a model; a bundle cannot be compressed again\n"
        "  next: name the fine-tuned model that it came from; its manifest.json says which, under baseline",
    ),
    "no weights": (
        lambda d: (d / "model.safetensors").unlink(),
        "{d}: no model.safetensors in this folder\n"
        "  next: save the model with safetensors; --allow-pickle takes a pytorch_model.bin that you trust",
    ),
    "pickled weights": (
        pickle_weights,
        "{d}: the weights are a pickle (pytorch_model.bin), which can run code when it is read\n"
        "  next: save the model with safetensors, or pass --allow-pickle if you trust its origin",
    ),
    "empty weights": (lambda d: (d / "model.safetensors").write_bytes(b""), NOT_WHOLE),
    "a Git LFS pointer": (
        lambda d: (d / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        NOT_WHOLE,
    ),
    "truncated weights": (lambda d: cut_file(d / "model.safetensors", 50_000), NOT_WHOLE),
    "a truncated header": (lie_about_header, NOT_WHOLE),
    "a header of noise": (
        lambda d: (d / "model.safetensors").write_bytes((9).to_bytes(8, "little") + b"{not json"),
        NOT_WHOLE,
    ),
    "a missing shard": (
        break_index,
        "{d}/model.safetensors.index.json: the index names model-00001-of-00002.safetensors,"
        " which is not there\n  next: download the model again, with all its weight files",
    ),
    "a shard outside the folder": (
        escape_index,
        "{d}/model.safetensors.index.json: the index names '../elsewhere.safetensors',"
        " which is not a file beside it",
    ),
    "an index that is not readable": (
        lambda d: ((d / "model.safetensors").unlink(), (d / "model.safetensors.index.json").write_text("{}")),
        "{d}/model.safetensors.index.json: the index of the weight files is not readable",
    ),
    "NaN weights": (
        lambda d: edit_weights(d, poison),
        "{d}/model.safetensors: " + FIRST_QUERY + " holds NaN or infinite values\n"
        "  next: train the model again, with a lower learning rate or in float32",
    ),
    "a missing tensor": (
        lambda d: edit_weights(d, lambda tensors: tensors.pop(FIRST_QUERY)),
        "{d}: the weights lack " + FIRST_QUERY + "\n  next: download or save the model again",
    ),
    "another shape": (
        lambda d: edit_config(d, intermediate_size=128),
        "{d}/model.safetensors: roberta.encoder.layer.0.intermediate.dense.weight has shape [64, 32],"
        " config.json says [128, 32]\n"
        "  next: config.json and the weights are of different models; download them together",
    ),
    "another number of labels": (
        lambda d: edit_config(d, id2label={"0": "a", "1": "b", "2": "c"}),
        "{d}/model.safetensors: classifier.out_proj.weight has shape [2, 32], config.json says [3, 32]\n"
        "  next: config.json and the weights are of different models; download them together",
    ),
    "quantized weights": (
        lambda d: edit_weights(
            d, lambda tensors: tensors.update({FIRST_QUERY: torch.zeros(32, 32, dtype=torch.int8)})
        ),
        "{d}/model.safetensors: " + FIRST_QUERY + " is stored as I8, not as floating point\n"
        "  next: name the checkpoint from before quantization",
    ),
    "no tokenizer": (
        lambda d: (d / "tokenizer.json").unlink(),
        "{d}: no tokenizer files in this folder\n  next: download or save the model again",
    ),
    "a tokenizer that is not JSON": (
        lambda d: (d / "tokenizer.json").write_text("{"),
        "{d}/tokenizer.json: not a tokenizer (EOF while parsing an object at line 1 column 1)\n"
        "  next: download or save the model again",
    ),
    "a tokenizer of another model": (
        grow_vocabulary,
        "{d}/tokenizer.json: the tokenizer has ids up to 777, the embedding table 600 rows\n"
        "  next: the tokenizer is another model's; take the one that the model was trained with",
    ),
}


@pytest.fixture
def copy(tiny_checkpoint, tmp_path):
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))


@pytest.mark.parametrize("name", BAD)
def test_resolve_refuses(name, copy, tmp_path):
    damage, message = BAD[name]
    damage(copy)
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve(str(copy), cache=tmp_path / "cache")
    told = re.sub(r"\(Error while deserializing header: .*\)\n", "(…)\n", str(caught.value))
    assert told == message.format(d=copy)
    assert caught.value.exit_code == 2


def test_a_config_of_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no such model folder"):
        load_config(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "./nowhere",
            "./nowhere: no such model folder\n"
            "  next: name a Hugging Face model folder, or a Hub id such as textattack/roberta-base-SST-2",
        ),
        (
            "a/b/c",
            "a/b/c: no such model folder\n"
            "  next: name a Hugging Face model folder, or a Hub id such as textattack/roberta-base-SST-2",
        ),
    ],
)
def test_resolve_refuses_a_name_that_is_neither_folder_nor_id(model, message, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve(model, cache=tmp_path)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_resolve_refuses_a_file(copy, tmp_path):
    file = copy / "model.safetensors"
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve(str(file), cache=tmp_path)
    assert str(caught.value) == (
        f"{file}: a file, not a model folder\n  next: name the folder that holds config.json"
    )
    assert caught.value.exit_code == 2


def test_resolve_refuses_a_hub_id_when_offline(tmp_path, monkeypatch):
    def unreachable(*arguments: object, **options: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network, nothing stored")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve("someone/some-roberta", cache=tmp_path)
    assert str(caught.value) == (
        "someone/some-roberta: neither a folder here nor a model that the Hub gave"
        " (LocalEntryNotFoundError)\n"
        "  next: check the name; without a network, download the model elsewhere and name its folder"
    )
    assert caught.value.exit_code == 2


def test_resolve_takes_a_model_from_the_hub(tiny_checkpoint, tmp_path, monkeypatch):
    asked = []

    def download(model: str, *, allow_patterns: list[str]) -> str:
        asked.append((model, allow_patterns))
        return str(tiny_checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolving.resolve("someone/some-roberta", cache=tmp_path).folder == tiny_checkpoint
    assert len(asked) == 1
    assert asked[0][0] == "someone/some-roberta"
    assert not any(pattern.endswith(".bin") for pattern in asked[0][1])
    assert "README.md" in asked[0][1]  # the licence is in it


def test_resolve_downloads_pickles_only_when_allowed(copy, tmp_path, monkeypatch):
    pickle_weights(copy)
    asked = []

    def download(model: str, *, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(copy)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolving.resolve("someone/some-roberta", allow_pickle=True, cache=tmp_path / "cache")
    assert [any(pattern.endswith(".bin") for pattern in patterns) for patterns in asked] == [False, True]


def test_resolve_returns_a_good_folder_itself(tiny_checkpoint, tmp_path):
    assert resolving.resolve(str(tiny_checkpoint), cache=tmp_path / "cache").folder == tiny_checkpoint
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "name", ["tiny_xlmr_checkpoint", "tiny_two_type_checkpoint", "tiny_headless_checkpoint"]
)
def test_resolve_takes_every_kind_of_the_family(name, tmp_path, request):
    folder = request.getfixturevalue(name)
    assert resolving.resolve(str(folder), cache=tmp_path).folder == folder


def test_a_pickle_is_converted_into_the_cache_and_the_folder_left_alone(copy, tmp_path):
    wanted = load_file(copy / "model.safetensors")
    pickle_weights(copy)
    (copy / "README.md").write_text("---\nlicense: mit\n---\n")
    before = artifact.digest_tree(copy)
    result = resolving.resolve(str(copy), allow_pickle=True, cache=tmp_path / "cache").folder
    assert result.is_relative_to(tmp_path / "cache")
    assert artifact.digest_tree(copy) == before
    assert (result / "README.md").read_text() == "---\nlicense: mit\n---\n"
    found = load_file(result / "model.safetensors")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert resolving.resolve(str(copy), allow_pickle=True, cache=tmp_path / "cache").folder == result


def test_old_names_of_layer_norm_are_understood(copy, tmp_path):
    tensors = load_file(copy / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in tensors.items()
    }
    torch.save(old, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    result = resolving.resolve(str(copy), allow_pickle=True, cache=tmp_path / "cache").folder
    assert load_file(result / "model.safetensors").keys() == tensors.keys()


class Trap:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("sprung"),)


def test_a_pickle_with_code_is_refused_even_when_allowed(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (copy / "model.safetensors").unlink()
    torch.save({"trap": Trap()}, copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError) as caught:
        resolving.resolve(str(copy), allow_pickle=True, cache=tmp_path / "cache")
    assert str(caught.value) == (
        f"{copy}/pytorch_model.bin: not a file of plain tensors; nothing else is read from a pickle\n"
        "  next: load the model where it was trained and save it with safetensors"
    )
    assert not (tmp_path / "sprung").exists()
    assert list((tmp_path / "cache" / "checkpoints").iterdir()) == []


def test_a_slow_tokenizer_is_converted_to_the_same_ids(copy, tmp_path):
    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(str(copy / "tokenizer.json"))
    model = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (copy / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    (copy / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    (copy / "tokenizer.json").unlink()
    result = resolving.resolve(str(copy), cache=tmp_path / "cache").folder
    converted = Tokenizer.from_file(str(result / "tokenizer.json"))
    for text in ("a great film", "Ünïcode  and 1,000 emoji 🙂", ""):
        assert converted.encode(text).ids == fast.encode(text).ids


def test_a_checkpoint_in_shards_is_taken(copy, tmp_path):
    tensors = load_file(copy / "model.safetensors")
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: tensors[name] for name in part}, copy / file, metadata={"format": "pt"})
    whole = Checkpoint(copy).parameters
    (copy / "model.safetensors").unlink()
    index = {"weight_map": {name: file for file, part in halves.items() for name in part}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert resolving.resolve(str(copy), cache=tmp_path).folder == copy
    assert Checkpoint(copy).parameters == whole
    assert Checkpoint(copy).weight_bytes == sum((copy / file).stat().st_size for file in halves)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_format_is_taken_and_its_infinities_are_found(dtype, copy, tmp_path):
    edit_weights(copy, lambda t: t.update({name: value.to(dtype) for name, value in t.items()}))
    assert resolving.resolve(str(copy), cache=tmp_path).folder == copy
    edit_weights(copy, lambda t: t[FIRST_QUERY].view(-1)[-1:].fill_(float("-inf")))
    with pytest.raises(CheckpointError, match="holds NaN or infinite values"):
        resolving.resolve(str(copy), cache=tmp_path)


def test_parameters_are_counted_as_torch_counts_them(tiny_checkpoint):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint)
    assert Checkpoint(tiny_checkpoint).parameters == model.num_parameters()


def test_the_task_is_read_from_the_config(tiny_multi_label_checkpoint):
    task = Checkpoint(tiny_multi_label_checkpoint).task
    assert task == Task(Problem.MULTI_LABEL, ("plot", "music", "acting"))


def test_a_base_model_has_no_head_and_is_refused_where_one_is_needed(
    tiny_checkpoint, tiny_headless_checkpoint
):
    assert Checkpoint(tiny_checkpoint).has_head
    assert not Checkpoint(tiny_headless_checkpoint).has_head
    Checkpoint(tiny_checkpoint).require_head()
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(tiny_headless_checkpoint).require_head()
    assert str(caught.value) == (
        f"{tiny_headless_checkpoint}: a base model without a classification head;"
        " there is nothing to compress yet\n"
        "  next: fine-tune it first: put a finetune stage at the start of the recipe"
    )
    assert caught.value.exit_code == 2


def test_the_digest_is_of_what_decides_the_answers(copy):
    before = Checkpoint(copy).digest
    (copy / "optimizer.pt").write_bytes(b"state")
    (copy / "README.md").write_text("about")
    (copy / "onnx").mkdir()
    (copy / "onnx" / "model.onnx").write_bytes(b"graph")
    assert Checkpoint(copy).digest == before
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:-1] + b" ")
        assert Checkpoint(copy).digest != before, name
        (copy / name).write_bytes(content)


def test_a_folder_is_no_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolving.hub_id("models/reviews") == "models/reviews"
    (tmp_path / "models" / "reviews").mkdir(parents=True)
    assert resolving.hub_id("models/reviews") is None
    assert resolving.hub_id(str(tmp_path)) is None


def test_the_longest_input_leaves_out_the_position_offset(tiny_checkpoint):
    assert Checkpoint(tiny_checkpoint).max_length == 512


def test_tokenizer_files_are_copied_as_they_are_and_none_is_made_up(tiny_checkpoint, tmp_path):
    bare, copied = tmp_path / "bare", tmp_path / "copied"
    bare.mkdir()
    copied.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(tiny_checkpoint / name, bare / name)
    Checkpoint(bare).copy_tokenizer(copied)
    assert [file.name for file in copied.iterdir()] == ["tokenizer.json"]
    shutil.copy(tiny_checkpoint / "config.json", copied / "config.json")
    from transformers import AutoTokenizer

    ours = AutoTokenizer.from_pretrained(copied)("a great film")["input_ids"]
    assert np.array_equal(ours, AutoTokenizer.from_pretrained(tiny_checkpoint)("a great film")["input_ids"])
    Checkpoint(tiny_checkpoint).copy_tokenizer(copied)
    for name in files.FAST_TOKENIZER:
        assert (copied / name).read_bytes() == (tiny_checkpoint / name).read_bytes()


@pytest.mark.parametrize(
    "name", ["another family", "relative positions", "a size that is missing", "heads that do not divide"]
)
def test_every_reader_of_a_config_refuses_it_in_the_same_words(name, copy):
    damage, message = BAD[name]
    damage(copy)
    with pytest.raises(CheckpointError) as caught:
        _ = Checkpoint(copy).config
    assert str(caught.value) == message.format(d=copy)
