from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stage_contexts
import torch
from fake_progress import Kill, Killed
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from stage_contexts import TASKS, checkpoint_in, rows_of

from edgeroberta import stages
from edgeroberta.context import Context
from edgeroberta.errors import CheckpointError, RecipeError
from edgeroberta.roberta import resolving, surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier, save_classifier
from edgeroberta.storage.artifact import Kind, digest_tree
from edgeroberta.tasks import Task
from edgeroberta.training import batching, foreign, loop, preparation, shards, teacher

FAST = {"epochs": 2, "batch_size": 8, "learning_rate": 2e-3, "dropout": 0, "precision": "fp32", "layers": 2}
ALL = {"logits": 1, "hard": 1, "hidden": 1, "attention": 1}


@pytest.fixture(scope="module")
def deep(make_checkpoint) -> dict[str, Path]:
    """A four-layer classifier for each kind of task."""
    return {
        kind: make_checkpoint(task.labels, task.problem.value, num_hidden_layers=4)
        for kind, task in TASKS.items()
    }


@pytest.fixture
def make_context(deep, tmp_path):
    def make(name="run", kind="single", unlabelled=0, **fields):
        task = TASKS[kind]
        rows = [rows_of(task, count, seed) for seed, count in enumerate((40, 16, 16))]
        context = stage_contexts.context(tmp_path / name, deep[kind], task, rows, **fields)
        more = replace(rows_of(task, unlabelled, 3), labels=None) if unlabelled else None
        return replace(context, data=replace(context.data, unlabelled=more))

    return make


def distill(context, **config):
    return stage_contexts.run("distill", context, **{**FAST, **config})


def only(**weights: float) -> dict[str, float]:
    return {"logits": 0, "hard": 0, "hidden": 0, "attention": 0, **weights}


@pytest.mark.parametrize("kind", TASKS)
def test_a_student_of_every_kind_of_task_learns_and_is_a_checked_model(kind, make_context, tmp_path):
    context = make_context(kind=kind)
    notes = distill(context, weights=only(logits=1), epochs=8)
    assert notes["history"][-1]["loss_logits"] < 0.8 * notes["history"][0]["loss_logits"]
    assert resolving.resolve(str(context.output), cache=tmp_path / "cache").folder == context.output
    assert Checkpoint(context.output).task == replace(TASKS[kind], pair=False)
    assert notes["layers"] == [0, 3]
    assert notes["parameters"] == Checkpoint(context.output).parameters < notes["parameters_before"]
    json.dumps(notes, allow_nan=False)


@pytest.mark.parametrize("name", ["logits", "hard", "hidden", "attention"])
def test_each_loss_alone_falls_over_the_epochs(name, make_context):
    notes = distill(make_context(), weights=only(**{name: 1.0}), epochs=10)
    losses = [entry[f"loss_{name}"] for entry in notes["history"]]
    assert losses[-1] < 0.8 * losses[0]
    assert [key for key in notes["history"][0] if key.startswith("loss_")] == [f"loss_{name}"]


def test_all_losses_together_are_weighted(make_context):
    still = {"epochs": 1, "learning_rate": 1e-12}
    one = distill(make_context("a"), weights=ALL, **still)["history"][0]
    two = distill(make_context("b"), weights=dict.fromkeys(only(), 2.0), **still)["history"][0]
    names = [key for key in one if key.startswith("loss_")]
    assert names == ["loss_attention", "loss_hard", "loss_hidden", "loss_logits"]
    for name in names:
        assert two[name] == pytest.approx(2 * one[name], rel=1e-4)


def test_a_student_of_all_layers_has_nothing_to_learn_from_hidden_states(make_context):
    weights = {"logits": 1, "hard": 0, "hidden": 1, "attention": 1}
    notes = distill(make_context(), layers=4, weights=weights, epochs=1, learning_rate=1e-12)
    # what is left is the rounding of stored teacher states to float16
    assert all(abs(notes["history"][0][f"loss_{name}"]) < 1e-5 for name in ("logits", "hidden", "attention"))


@pytest.fixture(scope="module")
def deep_bert(make_checkpoint) -> Path:
    task = TASKS["pair"]
    return make_checkpoint(task.labels, task.problem.value, num_hidden_layers=4, model_type="bert")


@pytest.mark.parametrize("frozen", [0, 2])
def test_a_bert_of_pairs_whose_student_has_all_layers_has_nothing_to_learn(
    frozen, make_context, deep_bert, tmp_path
):
    rows = [rows_of(TASKS["pair"], count, seed) for seed, count in enumerate((40, 16, 16))]
    context = stage_contexts.context(tmp_path / "bert", deep_bert, TASKS["pair"], rows)
    weights = {"logits": 1, "hard": 0, "hidden": 1, "attention": 1}
    notes = distill(context, layers=4, freeze_layers=frozen, weights=weights, epochs=1, learning_rate=1e-12)
    assert all(abs(notes["history"][0][f"loss_{name}"]) < 1e-5 for name in ("logits", "hidden", "attention"))


def test_another_bert_teaches_every_loss_where_it_reads_the_same_tokens(
    make_context, make_checkpoint, deep_bert, tmp_path
):
    rows = [rows_of(TASKS["pair"], count, seed) for seed, count in enumerate((40, 16, 16))]
    context = stage_contexts.context(tmp_path / "bert", deep_bert, TASKS["pair"], rows)
    names = TASKS["pair"].labels
    other = make_checkpoint(names, num_hidden_layers=3, hidden_size=48, seed=4, model_type="bert")
    notes = distill(context, teacher=str(other), weights=ALL, epochs=6)
    first, last = notes["history"][0], notes["history"][-1]
    assert all(last[f"loss_{name}"] < first[f"loss_{name}"] for name in ALL)
    found = foreign.open_teacher(str(other), context)
    assert (found.family, found.max_length) == (True, 512)


def test_unlabelled_texts_are_learnt_from_without_the_hard_loss(make_context, tmp_path):
    still = {"epochs": 1, "learning_rate": 1e-12, "weights": only(hard=1.0)}
    alone = distill(make_context("a"), **still)
    more = distill(make_context("b", unlabelled=40), **still)
    assert (alone["texts"], more["texts"]) == (40, 80)
    # the same sum of losses over twice the texts
    assert more["history"][0]["loss_hard"] == pytest.approx(alone["history"][0]["loss_hard"] / 2, rel=1e-4)
    soft = distill(make_context("c", unlabelled=40), weights=only(logits=1.0))
    assert soft["steps"] == 20
    (shard,) = (tmp_path / "c" / "scratch" / "teacher").glob("*/shard-000000/logits.npy")
    assert len(np.load(shard)) == 80


def test_teacher_outputs_are_computed_once_for_all_epochs(make_context, monkeypatch):
    calls = []
    monkeypatch.setattr(
        teacher,
        "_run",
        lambda *a, run=teacher._run: calls.append(a[2]) or run(*a),  # shard number
    )
    distill(make_context(), epochs=3)
    assert calls == [0]


def test_stages_that_want_the_same_of_a_teacher_share_it(make_context, tmp_path, monkeypatch):
    """So do distillation, and recovery from pruning, of two tiers; another loss, or other texts, do not."""
    written: list[str] = []
    write = teacher._write_shard

    def counted(path: Path, *arguments: Any) -> None:
        written.append(path.parent.name)
        write(path, *arguments)

    monkeypatch.setattr(teacher, "_write_shard", counted)
    shared = {"teacher_outputs": tmp_path / "teacher"}
    hidden = {"logits": 1.0, "hard": 0.5, "hidden": 1.0}
    first = make_context("first", **shared)
    distill(first, layers=2, weights=hidden)
    assert len(written) == 1
    student = checkpoint_in(first.output)
    recovery = {**FAST, "weights": hidden}
    del recovery["layers"]
    pruned = make_context("second", inputs={Kind.CHECKPOINT: student}, **shared)
    stage_contexts.run("prune", pruned, heads=0.5, ffn=0.5, granularity=8, recovery=recovery)
    assert len(written) == 1
    assert not (pruned.scratch / "teacher").exists()
    distill(make_context("third", **shared), layers=3, weights=hidden)
    distill(make_context("fourth", unlabelled=8, **shared), layers=2, weights=hidden)
    assert len(set(written)) == len(written) == 3


@pytest.mark.parametrize(
    ("label", "done"), [("teacher outputs", 16), ("frozen layers' outputs", 16), ("distill", 7)]
)
@pytest.mark.parametrize("kind", ["single", "tokens"])
def test_a_killed_stage_run_again_gives_the_same_files(kind, label, done, make_context, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    monkeypatch.setattr(shards, "SHARD", 16)
    config = {"checkpoint_seconds": 0, "dropout": 0.1, "weights": ALL, "freeze_layers": 1}
    straight = make_context("straight", kind)
    notes = distill(straight, **config)
    with pytest.raises(Killed):
        distill(make_context("resumed", kind, progress=Kill(done, label)), **config)
    resumed = make_context("resumed", kind)
    assert distill(resumed, **config) == notes
    assert digest_tree(resumed.output) == digest_tree(straight.output)


@pytest.mark.parametrize(
    ("layers", "kept"), [("auto", [0, 2, 3]), (1, [0]), (3, [0, 2, 3]), ([1, 2], [1, 2])]
)
def test_layers_are_chosen_or_named(layers, kept, make_context):
    context = make_context()
    assert distill(context, layers=layers, epochs=1)["layers"] == kept
    assert Checkpoint(context.output).fields["num_hidden_layers"] == len(kept)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"layers": 5},
            "distill.layers: a student of 5 layers cannot be cut from a teacher of 4\n"
            "  next: choose 1 to 4 layers",
        ),
        (
            {"layers": [0, 9]},
            "distill.layers: there is no layer 9; the model has 4\n  next: choose from 0 to 3",
        ),
        (
            {"layers": [3, 0]},
            "distill.layers: layers must rise, each at most once: [3, 0]\n  next: e.g. [0, 2, 4, 5]",
        ),
        (
            {"relation_heads": 5, "weights": {"attention": 1}},
            "distill.relation_heads: 5 relation heads do not divide a width of 32 and 32\n"
            "  next: leave it out; the teacher has 4 attention heads",
        ),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(config, message, make_context):
    with pytest.raises(RecipeError) as caught:
        distill(make_context(), **config)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"weights": only()}, ("weights",)),
        ({"weights": {"logits": -1}}, ("weights", "logits")),
        ({"weights": {"soft": 1}}, ("weights", "soft")),
        ({"temperature": 0}, ("temperature",)),
        ({"layer": 3}, ("layer",)),
    ],
)
def test_bad_settings_are_refused_by_field(config, place):
    with pytest.raises(ValidationError) as caught:
        stages.get("distill").config(**config)
    assert [error["loc"] for error in caught.value.errors()] == [place]


def test_a_teacher_without_a_head_is_refused(make_context, tiny_headless_checkpoint):
    with pytest.raises(CheckpointError):
        distill(make_context(baseline=Checkpoint(tiny_headless_checkpoint)))


def test_a_student_may_be_cut_from_another_model_than_the_teacher(
    make_context, tiny_checkpoint, make_checkpoint
):
    context = make_context(inputs={Kind.CHECKPOINT: checkpoint_in(tiny_checkpoint)})
    notes = distill(context, layers=2, weights=ALL)
    assert notes["layers"] == [0, 1]
    wide = make_checkpoint(TASKS["single"].labels, hidden_size=48, num_attention_heads=4)
    context = make_context("wide", baseline=Checkpoint(wide))
    assert distill(context, weights=only(logits=1, attention=1))["steps"] == 10


def test_the_source_is_not_changed(make_context, deep):
    before = digest_tree(deep["single"])
    distill(make_context(), epochs=1)
    assert digest_tree(deep["single"]) == before


def test_mixed_precision_distils_with_every_loss(make_context):
    context = make_context()
    notes = distill(context, precision="bf16", weights=ALL)
    assert notes["precision"] == "bfloat16"
    dtypes = {value.dtype for value in load_classifier(context.output, context.task).state_dict().values()}
    assert dtypes == {torch.float32}


def foreign_teacher(
    folder: Path,
    kind: str = "electra",
    labels: tuple[str, ...] = ("good", "bad"),
    *,
    head: str = "SequenceClassification",
) -> Path:
    """A model of another architecture, with a tokenizer of its own, whose tokens are words."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoConfig, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "the", "film", "plot", "music", "great", "bad", "good"]
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=32,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    if kind == "distilbert":
        sizes = {"dim": 24, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(words),
        max_position_embeddings=64,
        pad_token_id=0,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **sizes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        getattr(transformers, f"AutoModelFor{head}").from_config(config).save_pretrained(folder)
    return folder


def stored_logits(context: Context) -> np.ndarray:
    (shard,) = (context.scratch / "teacher").glob("*/shard-*/logits.npy")
    return np.load(shard)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "electra"])
def test_any_encoder_teaches_with_its_own_tokenizer_and_order_of_labels(kind, make_context, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, context = foreign_teacher(tmp_path / "teacher", kind), make_context()
    notes = distill(context, teacher=str(folder), weights=only(logits=1), epochs=4)
    assert notes["history"][-1]["loss_logits"] < notes["history"][0]["loss_logits"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for text, found in zip(context.data.train.texts[:4], stored_logits(context), strict=False):
        with torch.no_grad():
            wanted = model(**tokenizer(text, return_tensors="pt")).logits[0]
        np.testing.assert_allclose(found, wanted.numpy()[::-1], atol=1e-4)


def turned(task: Task) -> tuple[str, ...]:
    return task.labels[::-1]


@pytest.mark.parametrize("kind", ["bert", "distilbert", "electra"])
def test_any_encoder_teaches_tokens_that_are_words_to_it(kind, make_context, tmp_path):
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    context = make_context(kind="tokens")
    folder = foreign_teacher(tmp_path / "teacher", kind, turned(context.task), head="TokenClassification")
    notes = distill(context, teacher=str(folder), weights=only(logits=1), epochs=8)
    assert notes["history"][-1]["loss_logits"] < 0.8 * notes["history"][0]["loss_logits"]
    # the student's tokens are parts of words: of each word it learns the first
    assert 0.3 < notes["matched"] < 1
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    found, stored = 0, stored_logits(context)
    for text in context.data.train.texts[:4]:
        with torch.no_grad():
            wanted = model(**tokenizer(text, return_tensors="pt")).logits[0].numpy()[:, ::-1]
        np.testing.assert_allclose(stored[found : found + len(wanted)], wanted, atol=1e-4)
        found += len(wanted)


def test_a_teacher_of_another_head_is_refused(make_context, tmp_path):
    for kind, head, trained in (
        ("tokens", "SequenceClassification", "sequence classification"),
        ("single", "TokenClassification", "token classification"),
    ):
        context = make_context(kind, kind=kind)
        folder = foreign_teacher(tmp_path / head, labels=turned(context.task), head=head)
        with pytest.raises(CheckpointError, match=f"the teacher was trained for {trained}, the task is"):
            distill(context, teacher=str(folder))


def test_a_student_with_another_vocabulary_learns_of_the_tokens_that_both_read(make_context, make_checkpoint):
    base = make_checkpoint(head=False, model_type="camembert", num_hidden_layers=3)
    notes = distill(make_context(kind="tokens"), student=str(base), layers="auto", epochs=6)
    assert notes["history"][-1]["loss_logits"] < notes["history"][0]["loss_logits"]
    assert 0.5 < notes["matched"] < 1


def test_a_teacher_that_reads_hardly_any_of_the_students_tokens_is_refused(
    make_context, tmp_path, monkeypatch
):
    context = make_context(kind="tokens")
    folder = foreign_teacher(tmp_path / "teacher", labels=turned(context.task), head="TokenClassification")
    monkeypatch.setattr(preparation, "LEAST_ALIGNED", 0.99)
    with pytest.raises(RecipeError) as caught:
        distill(context, teacher=str(folder))
    assert caught.value.where == "distill.weights.logits"
    assert "of the student's tokens as tokens of its own" in caught.value.what


def test_logits_of_tokens_are_kept_one_by_one_and_read_as_batches(make_context):
    context = make_context(kind="tokens", unlabelled=8)
    notes = distill(context, epochs=1, augment=1)
    lengths = batching.tokenize(context.baseline, context.data.train.inputs(), max_length=128).lengths
    stored = stored_logits(context)
    assert stored.shape[1] == 5
    assert len(stored) > lengths.sum()
    assert notes["texts"] == 88
    model = load_classifier(context.baseline, context.task)
    ids = batching.tokenize(context.baseline, context.data.train.inputs()[:1], max_length=128).ids
    with torch.no_grad():
        wanted = model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0]
    np.testing.assert_allclose(stored[: len(ids)], wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["electra", "bert"])
def test_a_teacher_of_pairs_gets_the_segment_of_each_token(kind, make_context, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, context = foreign_teacher(tmp_path / "teacher", kind), make_context(kind="pair")
    distill(context, teacher=str(folder), weights=only(logits=1), epochs=1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer(*context.data.train.inputs()[0], return_tensors="pt")
    assert inputs["token_type_ids"].any()
    with torch.no_grad():
        wanted = model(**inputs).logits[0].numpy()[::-1]
    np.testing.assert_allclose(stored_logits(context)[0], wanted, atol=1e-4)


def test_a_teacher_that_does_not_fit_is_refused(make_context, tmp_path, tiny_headless_checkpoint):
    def refused(folder: Path, **config: Any) -> str:
        with pytest.raises((CheckpointError, RecipeError)) as caught:
            distill(make_context(), teacher=str(folder), **config)
        assert caught.value.exit_code == 2
        return str(caught.value)

    other = foreign_teacher(tmp_path / "other", labels=("yes", "no"))
    assert "the teacher's labels are yes, no, the task's bad, good" in refused(other)
    three = foreign_teacher(tmp_path / "three", labels=("bad", "good", "none"))
    assert "the teacher answers 3 labels" in refused(three)
    fine = foreign_teacher(tmp_path / "fine")
    for name in ("hidden", "attention"):
        assert refused(fine, weights=only(**{name: 1})) == (
            f"distill.weights.{name}: a teacher of type 'electra' cannot be compared inside\n"
            "  next: set it to 0; its logits are learnt from whatever its architecture"
        )
    (fine / "model.safetensors").unlink()
    torch.save({}, fine / "pytorch_model.bin")
    assert "no model.safetensors in this folder" in refused(fine)
    refused(tmp_path / "absent")


def test_a_base_model_cannot_be_the_teacher(make_context, make_checkpoint):
    base = make_checkpoint(TASKS["single"].labels, head=False)
    with pytest.raises(CheckpointError, match="it would be a random number"):
        distill(make_context(), teacher=str(base))


def rename(folder: Path, prefix: str, **added: torch.Tensor) -> str:
    tensors = load_file(folder / "model.safetensors")
    named = {f"{prefix}{name}": value for name, value in tensors.items()}
    save_file({**named, **added}, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def test_a_teacher_saved_in_a_wrapper_teaches_as_the_one_inside(make_context, make_checkpoint, tmp_path):
    plain = make_checkpoint(TASKS["single"].labels, num_hidden_layers=3)
    wrapped = Path(shutil.copytree(plain, tmp_path / "wrapped"))
    found = []
    for folder in (str(plain), rename(wrapped, "module._orig_mod.")):
        context = make_context()
        distill(context, teacher=folder, weights=only(logits=1), epochs=1)
        found.append(stored_logits(context))
    np.testing.assert_array_equal(*found)


def test_a_teacher_of_which_transformers_leaves_a_tensor_out_is_refused(make_context, tmp_path):
    folder, extra = foreign_teacher(tmp_path / "teacher"), torch.ones(24)
    pretrained = rename(folder, "", **{"cls.predictions.bias": extra})
    assert teacher_of(pretrained, make_context()).max_length == 32
    with pytest.raises(CheckpointError, match=r"transformers leaves classifier\.norm\.weight out"):
        teacher_of(rename(folder, "", **{"classifier.norm.weight": extra}), make_context())
    with pytest.raises(CheckpointError, match=r"the weights lack classifier\.dense"):
        teacher_of(rename(folder, "module."), make_context())


def teacher_of(name: str, context: Context) -> foreign.Teacher:
    return foreign.open_teacher(name, context)


def test_a_wider_teacher_teaches_every_loss_by_a_projection_that_is_not_part_of_the_result(
    make_context, make_checkpoint, monkeypatch, tmp_path
):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    wide = make_checkpoint(TASKS["single"].labels, hidden_size=48, num_attention_heads=6, num_hidden_layers=3)
    config = {"weights": ALL, "teacher": str(wide), "checkpoint_seconds": 0}
    straight = make_context("straight")
    notes = distill(straight, **config, epochs=6)
    for name in ("hidden", "attention"):
        assert notes["history"][-1][f"loss_{name}"] < notes["history"][0][f"loss_{name}"]
    assert resolving.resolve(str(straight.output), cache=tmp_path / "cache").folder == straight.output
    assert notes["parameters"] == Checkpoint(straight.output).parameters
    with pytest.raises(Killed):
        distill(make_context("resumed", progress=Kill(11, "distill")), **config, epochs=6)
    resumed = make_context("resumed")
    assert distill(resumed, **config, epochs=6) == notes
    assert digest_tree(resumed.output) == digest_tree(straight.output)


def test_a_pruned_teacher_teaches_every_loss(make_context, deep, tmp_path):
    kept = surgery.KeptUnits((0, 1, 2), ((0, 1), (0, 1, 2, 3), (1, 2)), (tuple(range(16)),) * 3)
    teacher = surgery.prune(load_classifier(deep["single"], TASKS["single"]), kept)
    save_classifier(teacher, tmp_path / "pruned", tokenizer=deep["single"])
    context = make_context()
    notes = distill(
        context,
        teacher=str(tmp_path / "pruned"),
        weights={"logits": 1, "hard": 0, "hidden": 1, "attention": 1},
    )
    assert {"loss_logits", "loss_hidden", "loss_attention"} <= set(notes["history"][-1])
    (stored,) = (context.scratch / "teacher").glob("*/shard-*/attention.npy")
    assert np.load(stored).shape[1:] == (3, 16)


def test_losses_on_tokens_are_refused_where_too_few_texts_align(make_context, make_checkpoint):
    other = str(make_checkpoint(TASKS["single"].labels, model_type="xlm-roberta"))
    with pytest.raises(RecipeError) as caught:
        distill(make_context("a"), teacher=other, weights=only(hidden=1))
    assert "of the texts are the same tokens to student and teacher" in caught.value.what
    assert caught.value.where == "distill.weights.hidden"
    assert "aligned" not in distill(make_context("b"), teacher=other, epochs=1)


def test_a_named_student_brings_its_own_tokenizer_and_gets_a_head(make_context, make_checkpoint, tmp_path):
    base = make_checkpoint(head=False, model_type="camembert", num_hidden_layers=3)
    context = make_context()
    notes = distill(context, student=str(base), layers="auto", epochs=6)
    assert notes["layers"] == [0, 1, 2]
    assert notes["history"][-1]["loss_logits"] < notes["history"][0]["loss_logits"]
    assert resolving.resolve(str(context.output), cache=tmp_path / "cache").folder == context.output
    assert Checkpoint(context.output).fields["model_type"] == "camembert"
    assert (context.output / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    fewer = distill(make_context("fewer"), student=str(base), layers=1, epochs=1)
    assert fewer["layers"] == [0]
    with pytest.raises(ValidationError, match="student has its own widths"):
        distill(make_context("c"), student=str(base), hidden_size=16)


@pytest.mark.parametrize(
    ("initialization", "kind"), [("importance", "single"), ("svd", "single"), ("svd", "tokens")]
)
def test_a_narrower_student_learns_every_loss_and_is_a_checked_model(
    initialization, kind, make_context, tmp_path
):
    context = make_context(kind=kind)
    notes = distill(
        context, hidden_size=16, intermediate_size=32, initialization=initialization, weights=ALL, epochs=6
    )
    for name in ("logits", "hidden", "attention"):
        assert notes["history"][-1][f"loss_{name}"] < notes["history"][0][f"loss_{name}"]
    assert resolving.resolve(str(context.output), cache=tmp_path / "cache").folder == context.output
    config = Checkpoint(context.output).fields
    assert (config["hidden_size"], config["num_attention_heads"], config["intermediate_size"]) == (16, 2, 32)


def test_widths_that_do_not_fit_are_refused_by_their_field(make_context):
    with pytest.raises(RecipeError) as caught:
        distill(make_context(), hidden_size=20)
    assert caught.value.where == "distill.hidden_size"
    with pytest.raises(RecipeError) as caught:
        distill(make_context(), intermediate_size=65)
    assert caught.value.where == "distill.intermediate_size"


def test_augmented_texts_are_answered_by_the_teacher_and_have_no_label(make_context):
    still = {"epochs": 1, "learning_rate": 1e-12, "weights": only(hard=1.0)}
    alone = distill(make_context("a"), **still)
    more = make_context("b", unlabelled=20)
    notes = distill(more, augment=2, **still)
    assert (alone["texts"], notes["texts"], len(stored_logits(more))) == (40, 140, 140)
    expected = alone["history"][0]["loss_hard"] * 40 / 140
    assert notes["history"][0]["loss_hard"] == pytest.approx(expected, rel=1e-4)


def test_teacher_outputs_are_shared_by_trainings_of_one_stage(make_context, monkeypatch):
    from edgeroberta.training import distill_settings, distillation

    calls = []
    monkeypatch.setattr(teacher, "_run", lambda *a, run=teacher._run: calls.append(a[2]) or run(*a))
    context = make_context()
    source = context.baseline
    settings = distill_settings.DistillSettings(**{k: v for k, v in FAST.items() if k != "layers"})
    for step in (1, 2):
        model = load_classifier(source, context.task, dropout=0)
        plan = distillation.DistillationPlan(
            model,
            source,
            layers=(0, 1, 2, 3),
            settings=settings,
            context=context,
            label="prune",
            scratch=context.scratch / f"step-{step}",
            key=f"step {step}",
        )
        notes = distillation.train_student(plan)
        assert notes["steps"] == 10
        assert not model.training
    assert calls == [0]
    assert len(list((context.scratch / "tokens").iterdir())) == 1
    assert list(context.output.iterdir()) == []
