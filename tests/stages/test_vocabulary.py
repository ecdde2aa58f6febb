from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from odd_inputs import TEXTS as ODD
from safetensors.torch import load_file, save_file

from edgeroberta import stages, targets
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.errors import CheckpointError, RecipeError
from edgeroberta.progress import Progress
from edgeroberta.roberta import checkpoint, inspection
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.stages import Context
from edgeroberta.storage.artifact import Artifact, Kind, Lineage, digest_tree
from edgeroberta.tasks import Task

TRAIN = (
    "The film is great.", "The story is dull, and I would not see it again.", "A warm and funny picture",
    "naïve \U0001f600 café",
)  # fmt: skip
OTHERS = ("The director is charming.", "the film", "Please book a table", "The cast is terrible!")
WORDS = "embeddings.word_embeddings.weight"


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def rows_of(texts: tuple[str, ...], *, pair: bool = False) -> Rows:
    return Rows(texts, texts[::-1] if pair else None, np.arange(len(texts)) % 2, "reviews.csv")


@pytest.fixture(params=["roberta", "xlm-roberta"])
def source(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(
        "tiny_checkpoint" if request.param == "roberta" else "tiny_xlmr_checkpoint"
    )
    return folder


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., Context]:
    def make(
        source: Path,
        train: tuple[str, ...] = TRAIN,
        unlabelled: tuple[str, ...] = (),
        *,
        pair: bool = False,
    ) -> Context:
        output = tmp_path / f"output-{random.random()}"
        output.mkdir()
        more = replace(rows_of(unlabelled, pair=pair), labels=None) if unlabelled else None
        task = replace(Task.from_config(json.loads((source / "config.json").read_text())), pair=pair)
        train_rows, others = rows_of(train, pair=pair), rows_of(OTHERS, pair=pair)
        return Context(
            output=output,
            scratch=tmp_path,
            inputs={
                Kind.CHECKPOINT: Artifact(source, Kind.CHECKPOINT, Lineage("source", "", {}, 0, {}, {}, 0.0))
            },
            full_size=source,
            task=task,
            data=Splits(train_rows, others, others, more, task.labels),
            target=targets.load("cpu"),
            seed=0,
            reference=None,
            progress=Told(),
        )

    return make


def prune(context: Context, **config: Any) -> dict[str, Any]:
    stage = stages.get("vocabulary")
    return dict(stage.run(stage.config(**config), context))


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


def test_the_stage_makes_a_checkpoint_of_a_checkpoint() -> None:
    stage = stages.get("vocabulary")
    assert (stage.reads, stage.writes, stage.distributed) == ((Kind.CHECKPOINT,), Kind.CHECKPOINT, False)


def test_texts_of_the_corpora_get_the_same_logits_bit_for_bit(
    source: Path, make_context: Callable[..., Context]
) -> None:
    context = make_context(source, unlabelled=("How many seats are left?",))
    before = digest_tree(source)
    notes = prune(context, keep=0)
    assert digest_tree(source) == before
    inspection.check(context.output)
    assert notes["tokens"] < notes["tokens_before"]
    texts = (*TRAIN, "How many seats are left?")
    assert torch.equal(logits(context.output, texts), logits(source, texts))
    assert logits(context.output, tuple(text for text in ODD.values() if len(text) < 1000)).isfinite().all()


def test_pairs_and_their_second_texts_count(source: Path, make_context: Callable[..., Context]) -> None:
    first = prune(make_context(source, ("a", "story"), pair=True), keep=0)
    assert first["training"]["changed"] == 0
    assert first["tokens"] == prune(make_context(source, ("a", "story")), keep=0)["tokens"]


def test_the_notes_say_what_was_lost(tiny_checkpoint: Path, make_context: Callable[..., Context]) -> None:
    context = make_context(tiny_checkpoint)
    notes = prune(context, keep=0)
    assert notes["training"] == {"texts": 4, "changed": 0, "coverage": 1.0, "dropped": []}
    validation = notes["validation"]
    assert (validation["texts"], validation["changed"]) == (4, 3)
    assert 0 < validation["coverage"] < 1
    assert ["Ġdirector", 1] in validation["dropped"]
    assert notes["embedding_bytes"] == notes["tokens"] * 32 * 4
    assert notes["embedding_bytes_before"] == 600 * 32 * 4
    assert isinstance(context.progress, Told)
    assert context.progress.lines == [
        f"{notes['tokens']:,} of 600 tokens kept, embeddings 0.1 MB -> 0.0 MB; "
        "0 training and 3 of 4 validation texts are cut into other tokens"
    ]
    hard = prune(make_context(tiny_checkpoint, TRAIN + ("The film",) * 9), size=270)
    assert (hard["tokens"], hard["training"]["changed"]) == (270, 4)
    assert hard["training"]["coverage"] < 1


def test_config_and_files_agree(tiny_checkpoint: Path, make_context: Callable[..., Context]) -> None:
    source = make_context(tiny_checkpoint).output
    for file in tiny_checkpoint.iterdir():
        shutil.copy(file, source / file.name)
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
    assert names == {"config.json", "model.safetensors", *checkpoint.TOKENIZER_FILES}
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
def test_every_table_of_tokens_is_cut_and_all_else_is_copied(
    dtype: torch.dtype, tiny_checkpoint: Path, make_context: Callable[..., Context]
) -> None:
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
def test_positions_are_cut_where_the_recipe_says(
    wanted: Any, source: Path, make_context: Callable[..., Context]
) -> None:
    texts = ("The film is great.", "a")
    context = make_context(source, texts)
    length = prune(context, max_length=wanted)["max_length"]
    if wanted == "data":  # the longest text, to the end of its bin of 16
        most = max(len(one.ids) for one in TextTokenizer.open(source, 512).encode(list(texts)))
        assert length == -(-most // 16) * 16
    else:
        assert length == wanted
    assert checkpoint.max_length(context.output) == length
    inspection.check(context.output)
    assert torch.equal(logits(context.output, texts), logits(source, texts))
    settings = json.loads((context.output / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] == length


def test_more_positions_than_there_are_cannot_be_kept(
    tiny_checkpoint: Path, make_context: Callable[..., Context]
) -> None:
    with pytest.raises(RecipeError) as caught:
        prune(make_context(tiny_checkpoint), max_length=513)
    assert str(caught.value) == (
        "vocabulary.max_length: the model takes 512 tokens, not 513\n"
        "  next: leave it out to keep all positions"
    )


def test_a_size_that_is_too_small_names_the_field(
    tiny_checkpoint: Path, make_context: Callable[..., Context]
) -> None:
    with pytest.raises(RecipeError) as caught:
        prune(make_context(tiny_checkpoint), size=100)
    assert str(caught.value).startswith("vocabulary.size: 100 tokens are too few: ")
    assert caught.value.exit_code == 2


def test_embeddings_of_another_model_are_refused(
    tiny_checkpoint: Path, make_context: Callable[..., Context]
) -> None:
    source = make_context(tiny_checkpoint).output
    for file in tiny_checkpoint.iterdir():
        shutil.copy(file, source / file.name)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "vocab_size": 700}))
    with pytest.raises(CheckpointError) as caught:
        prune(make_context(source))
    assert caught.value.what == "the word embeddings are [600, 32], config.json says [700, 32]"


def test_the_cut_model_goes_through_export_quantize_and_runtime(
    tiny_checkpoint: Path, make_context: Callable[..., Context], tmp_path: Path
) -> None:
    context = make_context(tiny_checkpoint, TRAIN * 8)
    prune(context, keep=0)
    answers = []
    for name, folder in {"whole": tiny_checkpoint, "cut": context.output}.items():
        for kind in ("export", "quantize", "build"):
            output = tmp_path / f"{name}-{kind}"
            output.mkdir()
            made = Artifact(folder, Kind.CHECKPOINT, Lineage("", "", {}, 0, {}, {}, 0.0))
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


def test_every_setting_is_described() -> None:
    fields = stages.get("vocabulary").config.model_fields
    assert [name for name, field in fields.items() if not field.description] == []
