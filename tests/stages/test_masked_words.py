from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import stage_contexts
import torch
from fake_progress import Kill, Killed
from masked import splits, task_of
from pydantic import ValidationError
from safetensors.torch import load_file
from stage_contexts import checkpoint_in
from transformers import AutoModelForMaskedLM

from edgeroberta import metrics, stages, targets
from edgeroberta.context import RunOutline
from edgeroberta.data import DataSpec, MaskReader, load_heldout
from edgeroberta.errors import RecipeError
from edgeroberta.measure import mask_answers, subjects
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.torch_baseline import TorchBaseline
from edgeroberta.roberta import graph, resolving, surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.runtime import mask_token
from edgeroberta.runtime.token_numbers import TokenNumbers
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage.artifact import Kind, digest_tree
from edgeroberta.training import batching, loop, prediction

FAST = {"epochs": 2, "batch_size": 16, "learning_rate": 3e-3, "precision": "fp32"}
STUDENT = {**FAST, "layers": (0,), "weights": {"logits": 1.0, "hard": 0.5, "hidden": 1.0}}


@pytest.fixture
def make_context(tiny_mask_checkpoint, tmp_path):
    def make(name="run", model=tiny_mask_checkpoint, **fields):
        (tmp_path / name).mkdir(exist_ok=True)
        data = splits(tmp_path, model)
        rows = (data.train, data.validation, data.heldout)
        return stage_contexts.context(tmp_path / name, model, task_of(model), rows, **fields)

    return make


def run(stage, context, **config):
    return stage_contexts.run(stage, context, **{**FAST, **config})


def score(context, folder):
    rows, model = context.data.heldout, Checkpoint(folder)
    tokens = batching.tokenize(model, rows.inputs(), max_length=128)
    outputs = prediction.predict(load_classifier(model, context.task), tokens)
    return metrics.score(context.task, outputs, rows.labels)


def test_a_model_learns_the_words_of_a_domain(make_context, tmp_path):
    context = make_context()
    before = score(context, context.checkpoint.folder)
    notes = run("finetune", context, epochs=12, dropout=0, freeze_embeddings=False)
    assert score(context, context.output) > before + 0.3
    assert notes["history"][-1]["loss_masked"] < 0.5 * notes["history"][0]["loss_masked"]
    assert notes["metric"] == "accuracy"
    json.dumps(notes, allow_nan=False)
    assert resolving.resolve(str(context.output), cache=tmp_path / "cache").folder == context.output
    assert Checkpoint(context.output).task == context.task


def test_a_base_model_without_the_head_gets_a_fresh_one(make_context, tiny_headless_checkpoint):
    context = make_context(model=tiny_headless_checkpoint)
    run("finetune", context, epochs=1)
    Checkpoint(context.output).require_head()
    model = AutoModelForMaskedLM.from_pretrained(context.output)
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight


def test_frozen_embeddings_stay_and_so_does_the_decoder(make_context):
    context = make_context()
    run("finetune", context, epochs=1, freeze_embeddings=True, freeze_layers=1)
    name = "roberta.embeddings.word_embeddings.weight"
    before, after = (
        load_file(each / "model.safetensors") for each in (context.checkpoint.folder, context.output)
    )
    assert torch.equal(before[name], after[name])
    assert not torch.equal(before["lm_head.bias"], after["lm_head.bias"])
    upper = "roberta.encoder.layer.1.output.dense.weight"
    assert not torch.equal(before[upper], after[upper])
    assert not (context.scratch / "frozen").exists()  # what frozen layers give is new at every step


def test_an_interrupted_stage_run_again_gives_the_same_files(make_context, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    straight = make_context("straight")
    notes = run("finetune", straight, checkpoint_seconds=0)
    with pytest.raises(Killed):
        run("finetune", make_context("resumed", progress=Kill(7)), checkpoint_seconds=0)
    resumed = make_context("resumed")
    assert run("finetune", resumed, checkpoint_seconds=0) == notes
    assert digest_tree(resumed.output) == digest_tree(straight.output)


def test_shares_of_masks_that_are_more_than_all_are_refused():
    with pytest.raises(ValidationError, match="at most 1 together"):
        stages.get("finetune").config(mask_random=0.6, mask_kept=0.6)


def test_a_student_learns_from_the_teachers_best_tokens(make_context):
    context = make_context()
    run("finetune", context, epochs=12, dropout=0, freeze_embeddings=False)
    taught = make_context("distill", inputs={Kind.CHECKPOINT: checkpoint_in(context.output)})
    taught = replace(taught, baseline=Checkpoint(context.output))
    notes = run("distill", taught, **{**STUDENT, "epochs": 6, "temperature": 1.0, "augment": 1})
    first, last = notes["history"][0], notes["history"][-1]
    assert last["loss_logits"] < 0.8 * first["loss_logits"]
    assert score(taught, taught.output) > 0.5 * score(taught, context.output)
    assert notes["texts"] == 2 * len(taught.data.train)  # a second copy of each, with other masks
    assert notes["teacher_score"] == pytest.approx(
        metrics.score(
            taught.task,
            prediction.predict(
                load_classifier(context.output, taught.task),
                batching.tokenize(context.output, taught.data.validation.inputs(), max_length=128),
            ),
            taught.data.validation.labels,
        )
    )
    shards = sorted((taught.scratch / "teacher").glob("*/shard-*/logits.npy"))
    assert np.load(shards[0]).shape[1] == 128


def test_an_interrupted_distillation_run_again_gives_the_same_files(make_context, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    straight = make_context("straight")
    notes = run("distill", straight, **STUDENT, checkpoint_seconds=0)
    with pytest.raises(Killed):
        run("distill", make_context("resumed", progress=Kill(7, "distill")), **STUDENT, checkpoint_seconds=0)
    resumed = make_context("resumed")
    assert run("distill", resumed, **STUDENT, checkpoint_seconds=0) == notes
    assert digest_tree(resumed.output) == digest_tree(straight.output)


def test_a_narrower_student_keeps_its_decoder_tied(make_context):
    context = make_context()
    run("distill", context, **{**STUDENT, "epochs": 1, "hidden_size": 16, "intermediate_size": 32})
    model = AutoModelForMaskedLM.from_pretrained(context.output)
    assert model.config.hidden_size == 16
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight


def test_main_directions_are_refused_where_the_decoder_reads_channels(make_context, tiny_mask_checkpoint):
    stage, model = stages.get("distill"), Checkpoint(tiny_mask_checkpoint)
    outset = RunOutline(model, model.config.shape, task_of(tiny_mask_checkpoint), targets.load("cpu"))
    with pytest.raises(RecipeError, match="masked words") as raised:
        stage.check(stage.config(hidden_size=16, initialization="svd"), outset)
    assert raised.value.where == "distill.initialization"
    stage.check(stage.config(hidden_size=16), outset)


def test_a_teacher_with_another_tokenizer_is_refused(make_context, make_checkpoint):
    other = make_checkpoint(problem="fill_mask", model_type="xlm-roberta")
    with pytest.raises(RecipeError, match="another tokenizer") as raised:
        run("distill", make_context(), **{**STUDENT, "weights": {"logits": 1.0}}, teacher=str(other))
    assert raised.value.where == "distill.teacher"


def test_units_are_pruned_by_what_masked_words_lose(make_context):
    context = make_context()
    settings = {"heads": 0.5, "ffn": 0.5, "recovery": {**FAST, "epochs": 1}}
    notes = stage_contexts.run("prune", context, **settings)
    shape = surgery.shape_of(load_classifier(context.output, context.task))
    assert sum(layer.heads for layer in shape.layers) == 4
    assert notes["parameters"] < notes["parameters_before"]
    scores = notes["steps"][0]["importance"]
    assert scores


def test_layers_that_are_kept_give_what_they_gave_with_the_decoder_tied(tiny_mask_checkpoint):
    model = AutoModelForMaskedLM.from_pretrained(tiny_mask_checkpoint).eval()
    student = surgery.keep_layers(model, (0, 1))
    ids = torch.randint(5, 600, (2, 9))
    with torch.no_grad():
        torch.testing.assert_close(student(input_ids=ids).logits, model(input_ids=ids).logits)
    assert student.lm_head.decoder.weight is student.roberta.embeddings.word_embeddings.weight
    assert student.lm_head.decoder.weight is not model.lm_head.decoder.weight


def test_a_decoder_of_its_own_stays_one(tiny_mask_checkpoint, tmp_path):
    model = AutoModelForMaskedLM.from_pretrained(tiny_mask_checkpoint, tie_word_embeddings=False)
    with torch.no_grad():
        model.lm_head.decoder.weight.mul_(1.5)
    student = surgery.keep_layers(model.eval(), (0, 1))
    ids = torch.randint(5, 600, (2, 9))
    with torch.no_grad():
        torch.testing.assert_close(student(input_ids=ids).logits, model(input_ids=ids).logits)


def test_the_vocabulary_is_cut_with_the_decoder_and_knows_the_ids_of_before(make_context, tmp_path):
    context = make_context()
    source = context.checkpoint
    rows = 420
    stage_contexts.run("vocabulary", context, size=rows)
    cut = Checkpoint(context.output)
    assert mask_token.find(context.output).text == "<mask>"
    numbers = TokenNumbers.read(context.output)
    assert numbers is not None
    before, after = (load_file(each / "model.safetensors") for each in (source.folder, context.output))
    assert torch.equal(after["lm_head.bias"], before["lm_head.bias"][torch.from_numpy(numbers.originals)])
    small, whole = (AutoModelForMaskedLM.from_pretrained(each.folder).eval() for each in (cut, source))
    ids = torch.from_numpy(TextTokenizer.open(context.output, 64).encode_one("a <mask> film").ids)[None]
    with torch.no_grad():
        logits = whole(input_ids=torch.from_numpy(numbers.originals)[ids]).logits
        torch.testing.assert_close(
            small(input_ids=ids).logits, logits[..., torch.from_numpy(numbers.originals)]
        )
    again = stage_contexts.context(tmp_path / "again", context.output, context.task, [context.data.train] * 3)
    stage_contexts.run("vocabulary", again, size=rows - 20)
    twice = TokenNumbers.read(again.output)
    assert twice is not None
    pieces = json.loads((again.output / "tokenizer.json").read_text())["model"]["vocab"]
    known = json.loads((source.folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert all(known[piece] == twice.originals[number] for piece, number in pieces.items())


def test_a_model_that_was_cut_in_an_earlier_run_is_judged_by_the_ids_of_before(make_context, tmp_path):
    context = make_context()
    stage_contexts.run("vocabulary", context, size=420)
    cut = Checkpoint(context.output)
    reader = MaskReader.of(cut.task, cut.folder, 64)
    assert reader is not None
    assert reader.numbers is not None
    file = tmp_path / "words.jsonl"
    text = context.data.train.texts[0].split()
    row = {"text": " ".join(["<mask>", *text[1:]]), "word": text[0]}
    file.write_text(json.dumps(row) + "\n" + json.dumps({"text": "a film"}) + "\n")
    spec = DataSpec(str(file), eval_data=str(file))
    whole = MaskReader.of(context.task, context.checkpoint.folder, 64)
    rows, wanted = (load_heldout(spec, context.task, masks=each) for each in (reader, whole))
    assert rows.labels.values.tolist()[0] == wanted.labels.values.tolist()[0]
    targets = mask_answers.targets_of(rows.labels)
    full = TorchBaseline(cut).outputs(rows.inputs(), targets)
    graph.write_float(cut, context.output / "model.onnx")
    spec_of = SubjectSpec("onnx", str(context.output), rows.inputs(), threads=1, engine="onnxruntime")
    ours = subjects.open_float_onnx(spec_of).outputs(rows.inputs(), targets)
    np.testing.assert_allclose(full.values, ours.values, atol=1e-4)
    np.testing.assert_array_equal(full.values[:, -1], rows.labels.values)
    assert set(full.values[:, full.values.shape[1] // 2 :].ravel()) <= set(reader.numbers.originals.tolist())


@pytest.mark.parametrize("stage", ["finetune", "distill", "prune"])
def test_nothing_is_learnt_after_the_vocabulary_was_cut(stage, tiny_mask_checkpoint):
    model = Checkpoint(tiny_mask_checkpoint)
    outset = RunOutline(model, model.config.shape, task_of(tiny_mask_checkpoint), targets.load("cpu"))
    first, then = stages.get("vocabulary"), stages.get(stage)
    cut = first.check(first.config(), outset)
    with pytest.raises(RecipeError, match="after the vocabulary was cut") as raised:
        then.check(then.config(), cut)
    assert raised.value.where == stage
    then.check(then.config(), outset)
    # other tasks may
    then.check(then.config(), replace(cut, task=stage_contexts.TASKS["single"]))
