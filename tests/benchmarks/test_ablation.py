"""The ablation on reviews and a model of toys: every row runs, is kept, and is judged as it should be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy_reviews import toy_reviews

from benchmarks import ablation, ablation_runs, results, reviews
from benchmarks.ablation import CASES, FULL, rows
from benchmarks.ablation_runs import Ablation, Preset
from benchmarks.stage_runs import StageRun
from edgeroberta.roberta.checkpoint import Checkpoint

TOY = Preset(
    layers=1,
    hidden_size=16,
    attention_heads=2,
    vocabulary=300,
    tokens=2500,
    documents=70,
    batch=8,
    learning_rate=1e-3,
    batches=((256, (1e-3,)), (2048, (1e-3, 2e-3))),
    batch_length=12,
    length=16,
    long=32,
    judged=20,
    labelled=20,
    tested=20,
    epochs=1,
    passes=2,
)


@pytest.fixture
def toy(tmp_path, monkeypatch, tiny_mask_checkpoint):
    """The ablation of a toy, with a tokenizer that is there already."""
    monkeypatch.setattr(reviews, "reviews", toy_reviews)
    monkeypatch.setattr(ablation_runs, "VALIDATED", 10)
    monkeypatch.setattr(ablation, "PRESETS", {"small": TOY})
    monkeypatch.setattr(ablation, "RESULTS", tmp_path / "results")
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "output").symlink_to(tiny_mask_checkpoint)
    made = StageRun("pretrain", {}, tiny_mask_checkpoint, folder, 0)
    monkeypatch.setattr(Ablation, "vocabulary", made)
    monkeypatch.setattr(ablation.stage_runs, "done", _done(ablation.stage_runs.done, made))
    ablation_runs.parts.cache_clear()
    yield Ablation(TOY, tmp_path / "work")
    ablation_runs.parts.cache_clear()


def _done(done, made):
    return lambda run, **options: {} if run is made else done(run, **options)


def test_no_review_is_both_learned_from_and_judged_by(toy):
    parts = ablation_runs.parts(TOY)
    own = [set(parts.judged.documents), set(parts.tested.texts), set(parts.splits.validation.texts)]
    learned = set(parts.corpus.documents) | set(parts.splits.train.texts)
    assert len(parts.corpus.documents) == TOY.documents
    assert set(parts.splits.train.texts) <= set(parts.corpus.documents)
    assert all(learned.isdisjoint(each) for each in own)
    assert len(set.union(*own)) == sum(map(len, own)) == 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_row_sees_as_many_tokens_in_steps_as_it_should(toy, case):
    run = toy.pretraining(case, 0)
    mean = ablation_runs.mean_block(run.model, run.corpus, case.packing, case.length(TOY))
    size = run.settings["batch_size"] * run.settings["accumulation"]
    if case.batch is None:
        usual = ablation_runs.mean_block(run.model, run.corpus, "full-sentences", TOY.length)
        assert size * mean == pytest.approx(TOY.batch * usual, rel=0.5 / (size - 0.5))
    else:
        assert size == case.batch
    assert run.settings["steps"] * size * mean == pytest.approx(TOY.tokens, abs=max(size * mean, 1) * 2)
    assert run.settings["masking"] == ("static" if case.name == "few-static" else "dynamic")


def test_batches_are_compared_at_as_many_tokens(toy):
    few, many = (
        next(toy.pretraining(case, 0) for case in CASES if case.name == name)
        for name in ("batch-256", "batch-2048")
    )
    large = replace(TOY, tokens=10_000_000)
    ratio = [
        Ablation(large, toy.work).pretraining(case, 0).settings["steps"]
        for case in CASES
        if case.name in ("batch-256", "batch-2048")
    ]
    assert few.settings["max_length"] == many.settings["max_length"] == TOY.batch_length
    assert ratio[0] / ratio[1] == pytest.approx(8, rel=0.02)


def test_the_whole_table_is_made_and_goes_on_after_a_kill(toy, tmp_path, monkeypatch):
    chosen = ["baseline", "few-dynamic", "few-static", "segment-pairs", "long"]
    words = ["--workers", "1", "--seeds", "1", "--machine", "here", "--work", str(tmp_path / "work")]
    assert ablation.main([*words, "--cases", *chosen]) == 0
    made = results.load(tmp_path / "results" / "here" / "ablation.json")
    assert [row.name for row in made.rows] == chosen
    static = dict(made.rows[2].words)
    assert static["the paper"] == "dynamic is comparable or slightly better"
    assert static["its order in perplexity"] == "one seed cannot tell"
    assert all(each.mean > 0 for row in made.rows for each in row.estimates[:3])

    def again(*_, **__):
        raise AssertionError("a run that was done ran again")

    from edgeroberta import stages

    for name in ("pretrain", "finetune"):
        stage = stages.get(name)
        monkeypatch.setitem(stages._REGISTRY, name, replace(stage, run=again))
    for how in (["--cases", *chosen], ["--finished", "--seeds", "3"]):
        assert ablation.main([*words, *how]) == 0
        assert results.load(tmp_path / "results" / "here" / "ablation.json").rows == made.rows


def numbers(**changed: float) -> dict[str, float]:
    return {"perplexity": 50.0, "long_perplexity": 60.0, "accuracy": 0.8, "steps": 10} | changed


def test_the_paper_s_order_is_said_to_be_seen_or_not():
    seeds = (0.0, 0.1, 0.3)
    found = {
        FULL: [numbers(perplexity=50 + each) for each in seeds],
        "segment-pairs": [numbers(perplexity=52 + each) for each in seeds],
        "doc-sentences": [numbers(perplexity=51 + each) for each in seeds],
        "long": [numbers(long_perplexity=55 + each * 100) for each in seeds],
    }
    said = {row.name: dict(row.words) for row in rows(found)}
    assert said[FULL] == {}
    assert said["segment-pairs"]["its order in perplexity"] == "yes"
    assert said["doc-sentences"]["its order in perplexity"] == "no"
    assert said["long"]["its order in perplexity"] == "within noise"
    assert {each["in accuracy"] for each in said.values() if each} == {"within noise"}


def test_a_row_without_its_partner_is_compared_with_nothing():
    (row,) = rows({"few-static": [numbers()]})
    assert (row.words, len(row.estimates)) == ((), 3)


def test_a_judge_s_perplexity_does_not_hang_on_what_the_run_held_out(toy, tiny_mask_checkpoint):
    from benchmarks.judging import perplexity

    judged = ablation_runs.parts(TOY).judged
    first = perplexity(Checkpoint(tiny_mask_checkpoint), judged, 16)
    assert first == perplexity(Checkpoint(tiny_mask_checkpoint), judged, 16)
    assert first["perplexity"] > 1
