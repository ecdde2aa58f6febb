from __future__ import annotations

from dataclasses import replace

import pytest
from toy_reviews import toy_reviews

from benchmarks import pretraining_throughput, results, reviews
from benchmarks.pretraining_throughput import CASES, OURS, TRAINER
from benchmarks.trainer_run import CountingCollator, Means, Trained


@pytest.fixture
def toy(tmp_path, monkeypatch, tiny_mask_checkpoint):
    """Cases of few tokens, and a model of two layers."""
    monkeypatch.setattr(reviews, "reviews", lambda source=reviews.LONG: toy_reviews(60))
    monkeypatch.setattr(reviews, "labelled", lambda file: toy_reviews(400, 1))
    monkeypatch.setattr(reviews, "sentences", lambda: (tmp_path, tmp_path))
    monkeypatch.setattr(reviews, "encoder", lambda: tiny_mask_checkpoint)
    monkeypatch.setattr(pretraining_throughput, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(pretraining_throughput, "CASES", tuple(replace(case, length=32) for case in CASES))
    return tmp_path / "results" / "here" / "pretraining_throughput.json"


def test_speed_leaves_out_the_first_step_and_the_last():
    assert Trained([1.0, 3.0, 5.0, 50.0], [9e9, 120.0, 80.0, 9e9]).speed == 50.0


def test_padding_is_not_counted():
    counting = CountingCollator(len)
    assert counting([{"input_ids": [1, 2, 3]}, {"input_ids": [1]}]) == 2
    counting([{"input_ids": [1, 2]}])
    assert counting.tokens == [4, 2]


@pytest.mark.parametrize("name", ["encoder", "short"])
def test_both_train_and_their_ratio_is_held_to_the_promise(toy, name):
    words = ["--rounds", "2", "--steps", "4", "--documents", "30", "--machine", "here"]
    assert pretraining_throughput.main([*words, "--cases", name]) == 0
    made = results.load(toy)
    ours, theirs = made.rows
    assert [ours.title, theirs.title] == [OURS, TRAINER]
    speeds, ratios = ours.estimates
    assert ratios.seeds == pytest.approx(
        [one / other for one, other in zip(speeds.seeds, theirs.estimates[0].seeds, strict=True)], rel=1e-3
    )
    (check,) = made.checks
    assert check.bar == {"encoder": 0.95, "short": 1.3}[name]


def test_a_step_of_either_has_as_many_tokens(toy, tiny_mask_checkpoint):
    case = next(each for each in pretraining_throughput.CASES if each.name == "short")
    texts = pretraining_throughput.texts(case, 40)
    ours = pretraining_throughput.ours(case, tiny_mask_checkpoint, texts, 20)
    theirs = pretraining_throughput.theirs(case, tiny_mask_checkpoint, texts, 20, Means("sdpa", bf16=False))
    assert sum(theirs.tokens) == pytest.approx(sum(ours.tokens), rel=0.25)
    assert len(ours.times) == len(theirs.times) == 20
