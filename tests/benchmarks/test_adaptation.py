"""The benchmark of adaptation on a toy encoder: cells, what is kept of them, and the tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy_reviews import toy_reviews

from benchmarks import adaptation, adaptation_cells, results, reviews, stage_runs
from benchmarks.adaptation_cells import ADAPTED, ARMS, AS_IT_IS, Adaptation, Cell
from benchmarks.results import Row
from edgeroberta.data.rows import Rows
from edgeroberta.errors import EdgeRobertaError

SENTENCES = toy_reviews(60, 1)


@pytest.fixture
def toy(tmp_path, monkeypatch, tiny_headless_checkpoint):
    """An encoder without a head, reviews, and sentences to train on and to measure on."""
    files = (tmp_path / "train.csv", tmp_path / "heldout.csv")
    for file, rows in zip(files, (SENTENCES.select(range(40)), SENTENCES.select(range(40, 60))), strict=True):
        adaptation_cells.write_rows(rows, file)
    monkeypatch.setattr(reviews, "reviews", lambda source=reviews.LONG: toy_reviews(90))
    monkeypatch.setattr(reviews, "encoder", lambda: tiny_headless_checkpoint)
    monkeypatch.setattr(reviews, "sentences", lambda: files)
    monkeypatch.setattr(adaptation, "RESULTS", tmp_path / "results")
    reviews.labelled.cache_clear()
    yield Adaptation(tmp_path / "work", 640, 384, 1e-4, 32, 4, 1)
    reviews.labelled.cache_clear()


def test_reviews_are_learned_from_without_the_held_out_texts(monkeypatch):
    found = Rows(("One  film.", "A film.", "Another."), None, None, "reviews")
    monkeypatch.setattr(reviews, "reviews", lambda source=reviews.LONG: found)
    assert reviews.unlabelled().documents == ["One  film.", "A film.", "Another."]
    without = [Rows(("one film.", "Another."), None, None, "held-out")]
    assert reviews.unlabelled(without).documents == ["A film."]


def test_both_arms_of_a_seed_learn_from_the_same_sentences(toy):
    arms = [toy.tuning(Cell(arm, 20, 1)).rows for arm in (AS_IT_IS, AS_IT_IS)]
    assert arms[0].train.texts == arms[1].train.texts
    assert len(arms[0].train) + len(arms[0].validation) == 20
    assert set(arms[0].train.texts).isdisjoint(arms[0].validation.texts)
    assert toy.tuning(Cell(AS_IT_IS, 20, 2)).rows.train.texts != arms[0].train.texts
    heldout = set(reviews.labelled(reviews.sentences()[1]).texts)
    assert heldout.isdisjoint(reviews.labelled(reviews.sentences()[0]).texts)


def test_the_control_s_head_learns_for_as_many_steps_as_head_and_encoder_have(toy):
    run, control = toy.run.settings, toy.control.settings
    assert (run["steps"], run["head_steps"]) == (5, 3)
    assert control["head_steps"] == run["steps"] + run["head_steps"]
    changed = {name for name in run if run[name] != control[name]}
    assert changed == {"steps", "head_steps"}


def test_an_encoder_that_stays_near_learns_its_own_hidden_states_too(toy):
    far, near = toy.run, replace(toy, near=2.0).run
    student = near.settings["student"]
    assert student == {"layers": 2, "weights": {"hidden": 2.0, "attention": 0.0}}
    assert near.settings == {**far.settings, "student": student}
    assert "student" not in replace(toy, near=2.0).control.settings
    notes = stage_runs.done(near)
    assert "loss_hidden" in notes["history"][-1]


def test_the_encoder_is_adapted_and_every_cell_is_kept(toy, tmp_path, monkeypatch):
    compressed = []

    def compress(model, data, heldout, bundle, cell):
        assert (model / "config.json").is_file()
        assert reviews.labelled(data).texts == adaptation_cells.drawn(cell.size, cell.seed).texts
        compressed.append(cell.name)
        engine = {"engine": "onnxruntime", "metrics": {"accuracy": 0.5}, "agreement": 0.9}
        return {"metric": "accuracy", "engines": [engine]}

    monkeypatch.setattr(adaptation_cells, "compress", compress)
    words = [
        "--tokens",
        "640",
        "--head-tokens",
        "384",
        "--block",
        "32",
        "--batch",
        "4",
        "--frozen",
        "1",
        "--seeds",
        "2",
    ]
    words += ["--sizes", "20", "30", "--compressed-sizes", "20", "--machine", "here"]
    words += ["--work", str(tmp_path / "work")]
    assert adaptation.main(words) == 0
    made = results.load(tmp_path / "results" / "here" / "adaptation.json")
    of_text = [row for row in made.rows if row.group == adaptation.CURVE]
    perplexities = [dict(row.values)["perplexity"] for row in of_text]
    assert made.checks[0].value == pytest.approx(perplexities[-1] / min(perplexities[:2]), abs=1e-3)
    of_cells = made.rows[len(of_text) :]
    assert [row.name for row in of_cells] == ["fine-tuned-20", "fine-tuned-30", "`int8-distill`-20"]
    assert all(len(each.seeds) == 2 for row in of_cells for each in row.estimates)
    assert adaptation.drawing(made).startswith("<svg")
    assert len(compressed) == 4
    compressed.clear()
    for how in ([], ["--finished", "--seeds", "3"]):
        assert adaptation.main([*words, *how]) == 0
        assert results.load(tmp_path / "results" / "here" / "adaptation.json").rows == made.rows
    assert compressed == []


def test_one_arm_alone_is_no_comparison(toy, tmp_path):
    words = ["--arms", AS_IT_IS, "--sizes", "20", "--seeds", "1", "--frozen", "1", "--compressed-sizes"]
    assert adaptation.main([*words, "--work", str(tmp_path / "work"), "--machine", "here"]) == 0
    assert not (tmp_path / "results").exists()


def entry(step: int) -> dict[str, float]:
    return {"step": step, "perplexity": 100.0 - step, "accuracy": 0.1}


def test_a_single_evaluation_is_no_curve():
    row = Row(
        name=AS_IT_IS,
        title="",
        group=adaptation.CURVE,
        values=(("steps of the encoder", 0.0), ("perplexity", 9.0)),
    )
    machine = results.this_machine("here")
    made = results.Result(benchmark="adaptation", measured="", machine=machine, settings={}, rows=(row,))
    with pytest.raises(EdgeRobertaError, match="one evaluation is no curve"):
        adaptation.drawing(made)


def test_what_adapting_gains_is_said_with_its_interval():
    gains = {500: (0.02, 0.021, 0.022), 2000: (0.02, -0.02, 0.01), 7530: (-0.02, -0.021, -0.022)}
    cells = {
        Cell(arm, size, seed): {"accuracy": 0.7 + (gain if arm == ADAPTED else 0)}
        for size, each in gains.items()
        for seed, gain in enumerate(each)
        for arm in ARMS
    }
    notes = {"history": [entry(0), entry(4)]}
    made = list(adaptation.rows(notes, notes, cells, {}))
    assert [dict(row.words).get("adapting pays") for row in made[3:]] == ["yes", "within noise", "it harms"]
    assert made[3].estimates[-1].mean == pytest.approx(2.1)


def test_a_seed_that_only_one_arm_has_counts_for_nothing():
    notes = {"history": [entry(0)]}
    cells = {Cell(AS_IT_IS, 500, seed): {"accuracy": 0.7} for seed in range(3)}
    assert len(list(adaptation.rows(notes, notes, cells, {}))) == 2
    cells[Cell(ADAPTED, 500, 1)] = {"accuracy": 0.8}
    row = list(adaptation.rows(notes, {}, cells, {}))[-1]
    assert [each.seeds for each in row.estimates] == [(70.0,), (80.0,), (10.0,)]
