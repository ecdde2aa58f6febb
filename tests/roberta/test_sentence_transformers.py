"""Folders of sentence-transformers: what is read of them, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import loading, resolving, sentence_transformers
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.embedding_texts import EmbeddingTokenizer
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Problem, SentenceEmbedding, Task


def edit(folder, name, **fields):
    file = folder / name
    content = json.loads(file.read_text()) if file.is_file() else {}
    kept = {key: value for key, value in {**content, **fields}.items() if value is not ...}
    file.write_text(json.dumps(kept))


def resolve(folder, tmp_path):
    return resolving.resolve(str(folder), cache=tmp_path / "cache")


def test_a_folder_says_how_embeddings_are_made(make_sentence_transformer, tmp_path):
    settings = {"prompts": {"query": "query: "}, "similarity_fn_name": "dot"}
    folder = make_sentence_transformer(settings=settings)
    found = resolve(folder, tmp_path)
    assert found.folder == folder
    assert found.task == Task(
        Problem.EMBEDDING, (), dimensions=32, pooling="mean", normalize=True, similarity="dot"
    )
    assert found.has_head
    assert found.max_length == 64
    assert found.config.head == "sentence-embedding/mean+normalize"


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_cls_token": False}, "mean"),
        ({}, "mean"),
        ({"pooling_mode": "cls", "include_prompt": True}, "cls"),
        ({"pooling_mode": ["max"]}, "max"),
        ({"pooling_mode": "cls", "pooling_mode_mean_tokens": True}, "cls"),
        ({"word_embedding_dimension": 32, "embedding_dimension": 32, "pooling_mode": "mean"}, "mean"),
    ],
)
def test_poolings_of_old_and_new_versions_are_read(make_sentence_transformer, pooling, wanted):
    folder = make_sentence_transformer(pooling, modules=())
    assert Checkpoint(folder).task.sentence_embedding == SentenceEmbedding(wanted, False)


def test_module_names_of_today_are_known(make_sentence_transformer):
    folder = make_sentence_transformer()
    listed = json.loads((folder / "modules.json").read_text())
    names = ("base.modules.transformer.Transformer", "sentence_transformer.modules.pooling.Pooling")
    for module, name in zip(listed, names, strict=False):
        module["type"] = f"sentence_transformers.{name}"
    (folder / "modules.json").write_text(json.dumps(listed))
    fields = {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings"}
    (folder / "sentence_bert_config.json").write_text(json.dumps({**fields, "unpad_inputs": None}))
    assert Checkpoint(folder).task.pooling == "mean"
    assert Checkpoint(folder).max_length == 512


REFUSED = {
    "modules are no list": (lambda d: (d / "modules.json").write_text("{}"), "list of modules"),
    "modules are no JSON": (lambda d: (d / "modules.json").write_text("["), "not JSON"),
    "a pooling without file": (lambda d: shutil.rmtree(d / "1_Pooling"), "file is missing"),
    "another width": (
        lambda d: edit(d, "1_Pooling/config.json", word_embedding_dimension=768),
        "states of 768 dimensions",
    ),
    "no width": (lambda d: edit(d, "1_Pooling/config.json", word_embedding_dimension=...), "not a number of"),
    "weighted mean": (
        lambda d: edit(d, "1_Pooling/config.json", pooling_mode="weightedmean"),
        "no pooling 'weightedmean'",
    ),
    "last token": (
        lambda d: edit(
            d, "1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_lasttoken=True
        ),
        "no pooling 'lasttoken'",
    ),
    "square root": (
        lambda d: edit(d, "1_Pooling/config.json", pooling_mode="mean_sqrt_len_tokens"),
        "no pooling 'mean_sqrt_len_tokens'",
    ),
    "two at once": (lambda d: edit(d, "1_Pooling/config.json", pooling_mode_cls_token=True), "side by side"),
    "a switch that is none": (
        lambda d: edit(d, "1_Pooling/config.json", pooling_mode_cls_token="yes"),
        "not true or false",
    ),
    "a field of the pooling": (
        lambda d: edit(d, "1_Pooling/config.json", rescale=2),
        "unknown field 'rescale'",
    ),
    "prompts that are not pooled": (
        lambda d: (
            edit(d, "1_Pooling/config.json", include_prompt=False),
            edit(d, "config_sentence_transformers.json", prompts={"query": "query: "}),
        ),
        "include_prompt is false",
    ),
    "a default that is no prompt": (
        lambda d: edit(d, "config_sentence_transformers.json", default_prompt_name="query"),
        "there is no such prompt",
    ),
    "a default that is no name": (
        lambda d: edit(d, "config_sentence_transformers.json", default_prompt_name=["query"]),
        "there is no such prompt",
    ),
    "another similarity": (
        lambda d: edit(d, "config_sentence_transformers.json", similarity_fn_name="jaccard"),
        "no similarity 'jaccard'",
    ),
    "fewer dimensions": (
        lambda d: edit(d, "config_sentence_transformers.json", truncate_dim=16),
        "truncate_dim is 16",
    ),
    "a sparse encoder": (
        lambda d: edit(d, "config_sentence_transformers.json", model_type="SparseEncoder"),
        "'SparseEncoder', which makes no embeddings",
    ),
    "a length": (lambda d: edit(d, "sentence_bert_config.json", max_seq_length=0), "max_seq_length is 0"),
    "a field of the encoder": (
        lambda d: edit(d, "sentence_bert_config.json", pad_to=64),
        "unknown field 'pad_to'",
    ),
    "another task of the encoder": (
        lambda d: edit(d, "sentence_bert_config.json", transformer_task="fill-mask"),
        "transformer_task is 'fill-mask'",
    ),
    "arguments of the encoder": (
        lambda d: edit(d, "sentence_bert_config.json", model_args={"trust_remote_code": True}),
        "model_args is",
    ),
    "another statement in config.json": (
        lambda d: edit(d, "config.json", sentence_embedding={"pooling": "cls"}),
        "the files of sentence-transformers say",
    ),
    "a classifier": (
        lambda d: edit(d, "config.json", architectures=["RobertaForSequenceClassification"]),
        "head of another task",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_damaged_or_not_known_is_refused_with_its_file(make_sentence_transformer, tmp_path, name):
    folder = make_sentence_transformer()
    damage, message = REFUSED[name]
    damage(folder)
    with pytest.raises(CheckpointError) as failure:
        resolve(folder, tmp_path)
    assert message in failure.value.what
    assert str(folder) in str(failure.value.where) or "config.json" in str(failure.value.where)
    assert failure.value.exit_code == 2


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (("Dense", "Normalize"), "a layer of its own behind the pooling"),
        (("WeightedLayerPooling",), "'WeightedLayerPooling'"),
        (("Pooling",), "followed by one Pooling"),
        (("mine.Rescale",), "code of the model's own"),
    ],
)
def test_other_modules_are_refused(make_sentence_transformer, tmp_path, modules, message):
    with pytest.raises(CheckpointError) as failure:
        resolve(make_sentence_transformer(modules=modules), tmp_path)
    assert message in failure.value.what
    assert failure.value.code == "checkpoint.sentence-transformers"


def test_a_module_outside_of_the_folder_is_refused(make_sentence_transformer, tmp_path):
    folder = make_sentence_transformer()
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["path"] = "../1_Pooling"
    (folder / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(CheckpointError, match="no folder in this one"):
        resolve(folder, tmp_path)


def test_a_cross_encoder_is_what_its_config_says(make_checkpoint, tmp_path):
    folder = shutil.copytree(make_checkpoint(("score",), "regression"), tmp_path / "reranker")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"model_type": "CrossEncoder"}))
    assert resolve(folder, tmp_path).task.problem is Problem.REGRESSION


def test_an_encoder_in_a_folder_of_its_own_is_copied(make_sentence_transformer, tmp_path):
    folder = make_sentence_transformer()
    below = folder / "0_Transformer"
    below.mkdir()
    for file in list(folder.iterdir()):
        if file.is_file() and file.name not in ("modules.json", "config_sentence_transformers.json"):
            file.rename(below / file.name)
    listed = json.loads((folder / "modules.json").read_text())
    listed[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(listed))
    found = resolve(folder, tmp_path)
    assert found.folder.parent == tmp_path / "cache" / "checkpoints"
    assert (found.task.pooling, found.max_length) == ("mean", 64)
    shutil.rmtree(below)
    with pytest.raises(CheckpointError, match="which is not there"):
        resolve(folder, tmp_path)


def test_letters_are_made_small_where_the_folder_says_so(make_sentence_transformer, tmp_path):
    plain = make_sentence_transformer(reading={"max_seq_length": 64, "do_lower_case": True})
    found = resolve(plain, tmp_path)
    assert found.folder != plain
    ours = TextTokenizer.open(found.folder, 64).encode_one("Good FILM")
    theirs = TextTokenizer.open(plain, 64).encode_one("good film")
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert found.max_length == 64
    assert resolve(found.folder, tmp_path).folder == found.folder  # nothing is left to do


def test_what_is_saved_is_a_folder_of_sentence_transformers_again(make_sentence_transformer, tmp_path):
    settings = {"prompts": {"query": "query: "}, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    source = Checkpoint(make_sentence_transformer(settings=settings))
    model = loading.load_classifier(source, source.task)
    loading.save_classifier(model, tmp_path / "saved", tokenizer=source)
    (tmp_path / "graph").mkdir()
    Checkpoint(tmp_path / "saved").copy_files(tmp_path / "graph", max_length=32)
    for name, length in (("saved", 64), ("graph", 32)):
        again = Checkpoint(tmp_path / name)
        assert again.task == source.task
        assert again.max_length == length
        assert again.fields["sentence_embedding"]["pooling"] == "mean"
        modules = sentence_transformers.read(again.folder)
        assert modules is not None
        assert modules.embedding == source.task.sentence_embedding
        prompts = EmbeddingTokenizer.open(again.folder, 16).prompts
        assert (prompts.default, dict(prompts.texts)) == ("query", {"query": "query: "})
    assert Checkpoint(tmp_path / "saved").digest != source.digest


def test_a_digest_knows_the_prompts_of_a_folder_without_modules(make_embedder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(make_embedder(), folder)
    before = Checkpoint(folder).digest
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: "}}')
    assert Checkpoint(folder).digest != before


def test_a_digest_knows_the_modules(make_sentence_transformer):
    folder = make_sentence_transformer()
    before = Checkpoint(folder).digest
    edit(folder, "1_Pooling/config.json", pooling_mode="cls")
    after = Checkpoint(folder).digest
    assert after != before
    edit(folder, "config_sentence_transformers.json", prompts={"query": "query: "})
    assert Checkpoint(folder).digest not in (before, after)


def test_a_classifier_trained_on_an_embedding_model_is_none(make_sentence_transformer, tmp_path):
    source = Checkpoint(make_sentence_transformer())
    model = loading.load_classifier(source, Task(Problem.SINGLE_LABEL, ("no", "yes")))
    loading.save_classifier(model, tmp_path / "saved", tokenizer=source)
    saved = Checkpoint(tmp_path / "saved")
    assert saved.task.problem is Problem.SINGLE_LABEL
    assert "sentence_embedding" not in saved.fields
    assert not (tmp_path / "saved" / "modules.json").exists()
