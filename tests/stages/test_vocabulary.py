from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import stage_contexts
import torch
from fake_progress import Heard
from odd_inputs import TEXTS as ODD
from safetensors.torch import load_file, save_file

from edgeroberta import stages
from edgeroberta.data.rows import Rows
from edgeroberta.errors import CheckpointError, RecipeError
from edgeroberta.roberta import checkpoint_validation, files, names
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage.artifact import Artifact, Kind, Lineage, digest_tree
from edgeroberta.tasks import Task

TRAIN = (
    "The film is great.", "The story is dull, and I would not see it again.", "A warm and funny picture",
    "naïve \U0001f600 café",
)  # fmt: skip
OTHERS = ("The director is charming.", "the film", "Please book a table", "The cast is terrible!")
WORDS = "embeddings.word_embeddings.weight"


def rows_of(texts: tuple[str, ...], *, pair: bool = False) -> Rows:
    return Rows(texts, texts[::-1] if pair else None, np.arange(len(texts)) % 2, "reviews.csv")


@pytest.fixture(params=["tiny_checkpoint", "tiny_xlmr_checkpoint", "tiny_bert_checkpoint"])
def source(request) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture
def make_context(tmp_path):
    def make(source, train=TRAIN, unlabelled=(), *, pair=False):
        folder = tmp_path / f"run-{random.random()}"
        task = replace(Task.from_config(json.loads((source / "config.json").read_text())), pair=pair)
        rows = [rows_of(texts, pair=pair) for texts in (train, OTHERS, OTHERS)]
        context = stage_contexts.context(folder, source, task, rows, progress=Heard(), scratch=tmp_path)
        more = replace(rows_of(unlabelled, pair=pair), labels=None) if unlabelled else None
        return replace(context, data=replace(context.data, unlabelled=more))

    return make


def prune(context, **config):
    return stage_contexts.run("vocabulary", context, **config)


def logits(folder: Path, texts: tuple[str, ...]) -> torch.Tensor:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    # Products round by where their operands lie in memory, and a loaded file may start anywhere.
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    tokenizer = TextTokenizer.open(folder, 512)
    with torch.inference_mode():
        return torch.cat(
            [model(torch.from_numpy(one.ids)[None]).logits for one in tokenizer.encode(list(texts))]
        )


def test_texts_of_the_corpora_get_the_same_logits_bit_for_bit(source, make_context):
    context = make_context(source, unlabelled=("How many seats are left?",))
    before = digest_tree(source)
    notes = prune(context, keep=0)
    assert digest_tree(source) == before
    checkpoint_validation.check(Checkpoint(context.output))
    assert notes["tokens"] < notes["tokens_before"]
    texts = (*TRAIN, "How many seats are left?")
    assert torch.equal(logits(context.output, texts), logits(source, texts))
    assert logits(context.output, tuple(text for text in ODD.values() if len(text) < 1000)).isfinite().all()


def test_pairs_and_their_second_texts_count(source, make_context):
    first = prune(make_context(source, ("a", "story"), pair=True), keep=0)
    assert first["training"]["changed"] == 0
    assert first["tokens"] == prune(make_context(source, ("a", "story")), keep=0)["tokens"]


def test_the_notes_say_what_was_lost(tiny_checkpoint, make_context):
    context = make_context(tiny_checkpoint)
    notes = prune(context, keep=0)
    assert notes["training"] == {"texts": 4, "changed": 0, "coverage": 1.0, "dropped": []}
    validation = notes["validation"]
    assert (validation["texts"], validation["changed"]) == (4, 3)
    assert 0 < validation["coverage"] < 1
    assert ["Ġdirector", 1] in validation["dropped"]
    assert notes["embedding_bytes"] == notes["tokens"] * 32 * 4
    assert notes["embedding_bytes_before"] == 600 * 32 * 4
    assert context.progress.lines == [
        f"{notes['tokens']:,} of 600 tokens kept, embeddings 0.1 MB -> 0.0 MB; "
        "0 training and 3 of 4 validation texts are cut into other tokens"
    ]
    hard = prune(make_context(tiny_checkpoint, TRAIN + ("The film",) * 9), size=270)
    assert (hard["tokens"], hard["training"]["changed"]) == (270, 4)
    assert hard["training"]["coverage"] < 1


def test_config_and_files_agree(tiny_checkpoint, make_context):
    source = make_context(tiny_checkpoint).output
    shutil.copytree(tiny_checkpoint, source, dirs_exist_ok=True)
    (source / "vocab.json").write_text("{}")
    config = json.loads((source / "config.json").read_text())
    config |= {
        "mask_token_id": 4,
        "eos_token_id": [2, 500],
        "decoder_start_token_id": 598,
        "layer_shapes": [
            {"heads": config["num_attention_heads"], "intermediate": config["intermediate_size"]}
        ]
        * config["num_hidden_layers"],
    }
    config |= {"sep_token_id": None, "cls_token_id": 9999}
    (source / "config.json").write_text(json.dumps(config))
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings["added_tokens_decoder"] = {"4": {"content": "<mask>"}}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    context = make_context(source)
    notes = prune(context, keep=0)
    names = {file.name for file in context.output.iterdir()}
    assert names == {"config.json", "model.safetensors", *files.FAST_TOKENIZER}
    found = json.loads((context.output / "config.json").read_text())
    tokens = TextTokenizer.open(source, 9)._tokenizer, TextTokenizer.open(context.output, 9)._tokenizer
    new = {old: tokens[1].token_to_id(tokens[0].id_to_token(old)) for old in (2, 4, 500, 598)}
    assert (
        found
        == config
        | {
            "vocab_size": notes["tokens"],
            "mask_token_id": new[4],
            "eos_token_id": [2, new[500]],
            "decoder_start_token_id": new[598],
            "cls_token_id": None,
        }
        or "cls_token_id" not in found
    )
    settings = json.loads((context.output / "tokenizer_config.json").read_text())
    assert settings["added_tokens_decoder"] == {str(new[4]): {"content": "<mask>"}}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_table_of_tokens_is_cut_and_all_else_is_copied(dtype, tiny_checkpoint, make_context):
    source = make_context(tiny_checkpoint).output
    for file in tiny_checkpoint.glob("*.json"):
        shutil.copy(file, source / file.name)
    tensors = {name: one.to(dtype) for name, one in load_file(tiny_checkpoint / "model.safetensors").items()}
    tensors |= {
        "lm_head.decoder.weight": torch.randn(600, 32),
        "lm_head.decoder.bias": torch.randn(600),
        "roberta.embeddings.position_ids": torch.arange(514)[None],
    }
    names = sorted(tensors)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for shard, some in shards.items():
        save_file({name: tensors[name] for name in some}, str(source / shard))
    (source / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {name: shard for shard, some in shards.items() for name in some}})
    )
    context = make_context(source)
    count = prune(context, keep=0)["tokens"]
    found = load_file(context.output / "model.safetensors")
    assert set(found) == set(tensors)
    tokens = TextTokenizer.open(source, 9)._tokenizer, TextTokenizer.open(context.output, 9)._tokenizer
    kept = [tokens[0].token_to_id(tokens[1].id_to_token(number)) for number in range(count)]
    for name, tensor in tensors.items():
        cut = name.startswith("lm_head.decoder") or name.endswith(WORDS)
        expected = tensor[kept] if cut else tensor
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], expected), name


@pytest.mark.parametrize("wanted", ["data", 20, 512])
def test_positions_are_cut_where_the_recipe_says(wanted, source, make_context):
    texts = ("The film is great.", "a")
    context = make_context(source, texts)
    length = prune(context, max_length=wanted)["max_length"]
    if wanted == "data":  # the longest text, to the end of its bin of 16
        most = max(len(one.ids) for one in TextTokenizer.open(source, 512).encode(list(texts)))
        assert length == -(-most // 16) * 16
    else:
        assert length == wanted
    assert Checkpoint(context.output).max_length == length
    checkpoint_validation.check(Checkpoint(context.output))
    assert torch.equal(logits(context.output, texts), logits(source, texts))
    settings = json.loads((context.output / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] == length


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"max_length": 513},
            "vocabulary.max_length: the model takes 512 tokens, not 513\n"
            "  next: leave it out to keep all positions",
        ),
        ({"size": 100}, "vocabulary.size: 100 tokens are too few: "),
    ],
)
def test_settings_that_the_model_cannot_meet_name_their_field(config, message, tiny_checkpoint, make_context):
    with pytest.raises(RecipeError) as caught:
        prune(make_context(tiny_checkpoint), **config)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


def test_embeddings_of_another_model_are_refused(tiny_checkpoint, make_context):
    source = make_context(tiny_checkpoint).output
    shutil.copytree(tiny_checkpoint, source, dirs_exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "vocab_size": 700}))
    with pytest.raises(CheckpointError) as caught:
        prune(make_context(source))
    assert caught.value.what == f"{names.WORDS} has shape [600, 32], config.json says [700, 32]"


def test_the_cut_model_goes_through_export_quantize_and_runtime(tiny_checkpoint, make_context, tmp_path):
    context = make_context(tiny_checkpoint, TRAIN * 8)
    prune(context, keep=0)
    answers = []
    for name, folder in {"whole": tiny_checkpoint, "cut": context.output}.items():
        for kind in ("export", "quantize", "build"):
            output = tmp_path / f"{name}-{kind}"
            output.mkdir()
            made = stage_contexts.checkpoint_in(folder)
            step = replace(context, output=output, inputs={Kind.CHECKPOINT: made})
            if kind != "export":
                before = tmp_path / f"{name}-{'export' if kind == 'quantize' else 'quantize'}"
                graph = Artifact(
                    before, Kind.GRAPH, Lineage(before.name.split("-")[1], "", {}, 0, {}, {}, 0.0)
                )
                step = replace(step, inputs={Kind.CHECKPOINT: made, Kind.GRAPH: graph})
            stage = stages.get(kind)
            stage.run(stage.config(), step)
        with Runtime.open(tmp_path / f"{name}-build", engine="onnxruntime", threads=1) as runtime:
            answers.append(runtime.logits(list(TRAIN)))
            assert np.isfinite(runtime.logits([text for text in ODD.values() if len(text) < 1000])).all()
    # The int8 range of the embeddings is one of fewer rows: close, not the same.
    np.testing.assert_allclose(answers[0], answers[1], atol=0.1)
