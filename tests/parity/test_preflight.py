from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeroberta import targets
from edgeroberta.data import Rows, Splits
from edgeroberta.errors import CheckpointError, RecipeError, UsageError
from edgeroberta.parity import logits
from edgeroberta.pipeline import preflight
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.recipe import RecipeStep, Tier
from edgeroberta.roberta import graph
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.stages import get
from edgeroberta.tasks import Problem, Task

TEXTS = tuple(f"a great film, number {number}" for number in range(40))


def step(stage: str, **config: Any) -> RecipeStep:
    found = get(stage)
    return RecipeStep(found, found.config.model_validate(config))


@pytest.fixture
def job(tiny_checkpoint, tmp_path) -> PipelineJob:
    rows = Rows(TEXTS, None, np.zeros(len(TEXTS), np.int64), "texts")
    model = Checkpoint(tiny_checkpoint)
    data = Splits(rows, rows, rows, None, model.task.labels)
    return PipelineJob(model, model.task, data, targets.load("cpu"), tmp_path / "out", tmp_path / "work")


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (step("vocabulary", max_length=600), "vocabulary.max_length"),
        (step("distill", layers=(0, 7)), "distill.layers"),
        (step("distill", hidden_size=30), "distill.hidden_size"),
        (step("prune", layers=5), "prune.layers"),
        (step("prune", shapes=[{"heads": 9, "intermediate": 4}] * 2), "prune.shapes"),
        (step("prune", budget={"latency": 0.5, "table": "nowhere.json"}), "prune.budget.table"),
        (step("build", max_length=2), "build.max_length"),
        (step("finetune", freeze_layers=2), "finetune.freeze_layers"),
        (step("distill", layers=1, freeze_layers=1), "distill.freeze_layers"),
        (step("prune", layers=1, recovery={"freeze_layers": 1}), "prune.recovery.freeze_layers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_files_decide_is_refused_before_any_stage_runs(job, given, where):
    with pytest.raises(RecipeError) as caught:
        preflight.check_stages([given], job)
    assert caught.value.where == where


def cascade(*tiers: Tier) -> RecipeStep:
    listed = [{"name": tier.name, "stages": [{each.stage.name: {}} for each in tier.steps]} for tier in tiers]
    found = get("cascade")
    return RecipeStep(found, found.config.model_validate({"tiers": listed}), tiers)


def test_every_tier_is_asked_about_the_model_before_the_cascade(job):
    first = Tier("small", (step("distill", layers=1), step("export"), step("build")))
    last = Tier("large", (step("prune", layers=2), step("export"), step("build")))
    preflight.check_stages([cascade(first, last)], job)
    wrong = Tier("large", (step("prune", layers=3), step("export"), step("build")))
    with pytest.raises(RecipeError) as caught:
        preflight.check_stages([cascade(first, wrong)], job)
    assert caught.value.where == "large.prune.layers"


def test_tiers_that_fill_masks_keep_one_vocabulary(job, make_checkpoint):
    model = Checkpoint(make_checkpoint(problem="fill_mask"))
    job = replace(job, model=model, task=model.task)
    last = Tier("large", (step("export"), step("build")))
    cut = Tier("small", (step("vocabulary"), step("export"), step("build")))
    with pytest.raises(RecipeError, match="must have one vocabulary") as caught:
        preflight.check_stages([cascade(cut, last)], job)
    assert caught.value.where == "small.vocabulary"
    preflight.check_stages([step("vocabulary"), cascade(Tier("small", last.steps), last)], job)


@pytest.mark.parametrize(("layout", "target"), [("web", "cpu"), ("target", "web")])
def test_a_cascade_is_not_laid_out_for_a_library_that_opens_one_model(job, layout, target):
    tiers = [Tier(name, (step("export"), step("build", layout=layout))) for name in ("small", "large")]
    with pytest.raises(RecipeError, match="would ask the last tier of a cascade alone") as caught:
        preflight.check_stages([cascade(*tiers)], replace(job, target=targets.load(target)))
    assert caught.value.where == "small.build.layout"
    assert caught.value.exit_code == 2
    plain = [Tier(name, (step("export"), step("build", layout="plain"))) for name in ("small", "large")]
    preflight.check_stages([cascade(*plain)], replace(job, target=targets.load(target)))


@pytest.mark.parametrize(
    ("first", "last", "where"),
    [
        ({"long_text": "windows"}, {}, "small.build.long_text"),
        ({}, {"long_text": "refuse"}, "small.build.long_text"),
        (
            {"long_text": "windows", "stride": 4},
            {"long_text": "windows", "stride": 8},
            "small.build.stride",
        ),
        ({}, {"max_length": 32}, "small.build.max_length"),
        ({"max_length": 64}, {"max_length": 32}, "small.build.max_length"),
        ({"max_length": 32}, {"max_length": 64}, None),
        ({"max_length": 32}, {}, None),
        ({"max_length": 10_000}, {}, None),
        ({"long_text": "windows"}, {"long_text": "windows"}, None),
    ],
)
def test_tiers_read_of_long_texts_what_they_read_where_thresholds_are_chosen(job, first, last, where):
    tiers = [
        Tier(name, (step("export"), step("build", **settings)))
        for name, settings in (("small", first), ("large", last))
    ]
    if where is None:
        preflight.check_stages([cascade(*tiers)], job)
        return
    with pytest.raises(RecipeError) as caught:
        preflight.check_stages([cascade(*tiers)], job)
    assert caught.value.where == where


def test_a_stage_is_asked_about_the_model_that_those_before_it_leave(job):
    preflight.check_stages([step("distill", layers=1), step("prune", layers=1)], job)
    with pytest.raises(RecipeError, match="2 layers cannot be cut from a teacher of 1"):
        preflight.check_stages([step("distill", layers=1), step("prune", layers=2)], job)


def test_teachers_and_students_that_are_none_are_refused(job, tiny_multi_label_checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="the teacher answers 3 labels"):
        preflight.check_stages([step("distill", teacher=str(tiny_multi_label_checkpoint))], job)
    with pytest.raises(UsageError, match="no such model folder"):
        preflight.check_stages([step("distill", student=str(tmp_path / "none"))], job)


@pytest.mark.parametrize(
    "model",
    [
        "tiny_checkpoint",
        "tiny_xlmr_checkpoint",
        "tiny_headless_checkpoint",
        "tiny_token_checkpoint",
        "tiny_bert_checkpoint",
    ],
)
def test_a_model_that_is_read_right_passes(request, model):
    folder = request.getfixturevalue(model)
    assert preflight.check_reading(Checkpoint(folder), Checkpoint(folder).task, TEXTS) == ()


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
def test_a_model_that_labels_tokens_is_held_to_transformers_at_every_length(
    make_checkpoint, monkeypatch, family
):
    monkeypatch.setattr(logits, "ALLOWED", 1e-5)
    checkpoint = make_checkpoint(("O", "B-X", "I-X"), "token_classification", model_type=family)
    texts = ["", "a", "The film\u0301 is 🎬 great.", *("a dull film " * count for count in (1, 9, 40, 400))]
    logits.check(Checkpoint(checkpoint), Checkpoint(checkpoint).task, texts)


def test_a_berts_pairs_are_held_to_transformers(tiny_bert_checkpoint, monkeypatch):
    monkeypatch.setattr(logits, "ALLOWED", 1e-5)
    model = Checkpoint(tiny_bert_checkpoint)
    task = dataclasses.replace(model.task, pair=True)
    pairs = [
        ("音乐不错", "故事太长"),
        ("", "a film"),
        ("the film " * 400, "很好看 " * 400),
        ("a", "[SEP] b [SEP]"),
    ]
    assert preflight.check_reading(model, task, pairs) == ()


def test_a_model_gets_a_head_of_the_kind_of_its_task(
    tiny_checkpoint, tiny_headless_checkpoint, tiny_token_checkpoint, tmp_path
):
    tokens = Task(Problem.TOKENS, ("O", "B-X"))
    # Two labels each, but of another kind.
    assert not logits._answers(Checkpoint(tiny_checkpoint), tokens)
    assert logits._answers(Checkpoint(tiny_token_checkpoint), Checkpoint(tiny_token_checkpoint).task)
    for number, source in enumerate((tiny_checkpoint, tiny_headless_checkpoint)):
        logits.check(Checkpoint(source), tokens, list(TEXTS[:4]))
        made = logits._with_head(Checkpoint(source), tokens, tmp_path / str(number))
        assert (made.task.problem, made.config.num_labels) == (Problem.TOKENS, 2)


@pytest.mark.parametrize("source", ["tiny_checkpoint", "tiny_headless_checkpoint", "tiny_bert_checkpoint"])
def test_a_base_model_of_questions_is_compared_with_a_head_of_random_numbers(request, source, tmp_path):
    task = Task(Problem.SPANS, ("start", "end"), pair=True)
    model = Checkpoint(request.getfixturevalue(source))
    logits.check(model, task, [("which film", text) for text in TEXTS[:4]])
    made = logits._with_head(model, task, tmp_path / "model")
    assert (made.task.problem, made.config.num_labels) == (Problem.SPANS, 2)


def test_a_model_is_looked_at_once(job, monkeypatch):
    assert preflight.check([], job) == ()
    monkeypatch.setattr(preflight.tokens, "check", lambda *_: pytest.fail("looked at again"))
    assert preflight.check([], job) == ()


@pytest.mark.parametrize("damage", [b"", b'["half', b"{}", b"[1]", b"\xff"])
def test_a_damaged_file_of_what_was_found_is_looked_at_as_if_it_were_not_there(job, monkeypatch, damage):
    monkeypatch.setattr(preflight.tokens, "check", lambda *_: "told")
    monkeypatch.setattr(logits, "check", lambda *_: None)
    file = preflight._file(job.model, job.task, TEXTS)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(damage)
    assert preflight.check_reading(job.model, job.task, TEXTS) == ("WARNING: told",)
    assert preflight._recalled(file) == ("WARNING: told",)


def test_a_tokenizer_with_a_setting_of_another_type_is_refused_as_a_fault_of_the_model(job, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(job.model.folder, folder)
    (folder / "tokenizer_config.json").write_text('{"add_prefix_space": "true"}')
    with pytest.raises(CheckpointError, match="add_prefix_space is 'true', not true or false"):
        preflight.check([step("build")], replace(job, model=Checkpoint(folder)))


def test_a_model_whose_tokenizer_pads_on_the_left_is_read_right(job, tmp_path):
    folder = tmp_path / "left"
    shutil.copytree(job.model.folder, folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "padding_side": "left"}))
    logits.check(
        Checkpoint(folder), job.task, ["a film", "The story is dull, and far too long for what it is."]
    )


def test_a_graph_that_answers_otherwise_is_refused_with_the_text(job, monkeypatch):
    def wrong(folder: Path, path: Path, form: Any = None, **named: Any) -> Any:
        weights = graph.load_weights(folder)
        weights.embeddings.position[1, 0] += 5
        return graph.build_graph(weights).builder.save(path)

    monkeypatch.setattr("edgeroberta.roberta.graph.write_float", wrong)
    with pytest.raises(CheckpointError) as caught:
        logits.check(job.model, job.task, list(TEXTS[:4]))
    assert caught.value.what.startswith("its graph answers otherwise than transformers, by ")
    assert "a great film, number" in caught.value.what


def test_a_model_that_transformers_refuses_is_a_clear_error(job, monkeypatch):
    def refuse(*arguments: Any, **named: Any) -> Any:
        raise KeyError("hidden_act")

    monkeypatch.setattr("edgeroberta.measure.torch_baseline.TorchBaseline", refuse)
    with pytest.raises(CheckpointError, match=r"cannot load or run it \(KeyError: 'hidden_act'\)"):
        logits.check(job.model, job.task, list(TEXTS[:4]))


@pytest.mark.parametrize("package", ["transformers", "onnx"])
def test_without_a_package_a_dry_run_says_what_it_left_out(job, monkeypatch, package):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    (told,) = preflight.check([], job, partly=True)
    assert told.endswith(f"compared with transformers': {package} is not installed")
