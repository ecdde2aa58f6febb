"""What is told of pre-training: before and after, the curve, and how fast."""

from __future__ import annotations

from typing import Any

import pytest

from edgeroberta.report import pretraining
from edgeroberta.storage.artifact import Lineage


def lineage(history: list[dict[str, Any]], stage: str = "pretrain", **notes: Any) -> Lineage:
    told = {
        "documents": 25_000,
        "tokens": 6_900_000,
        "tokens_seen": 13_800_000,
        "steps": 840,
        "seconds": 600.0,
        "tokens_per_second": 23_000.4,
        "device": "cpu",
        "processes": 1,
        "history": history,
        **notes,
    }
    config = {"initialization": notes.get("initialization", "checkpoint")}
    return Lineage(stage, "0" * 64, config, 0, {}, {}, 1.0, told)


def point(step: int, perplexity: float, accuracy: float = 0.5) -> dict[str, Any]:
    return {"step": step, "epoch": step / 420, "perplexity": perplexity, "accuracy": accuracy}


HISTORY = [point(0, 20.0, 0.25), point(420, 9.0, 0.5), point(840, 9.5, 0.49)]


def test_before_is_the_first_evaluation_and_after_that_of_the_weights_that_are_kept():
    (found,) = pretraining.facts([lineage([], stage="finetune"), lineage(HISTORY, best_step=420)])
    assert found["before"] == {"perplexity": 20.0, "accuracy": 0.25}
    assert found["after"] == {"perplexity": 9.0, "accuracy": 0.5}
    first, second = pretraining.sentences(found)
    assert first == (
        "From the weights of the model, on 25,000 documents of 6,900,000 tokens: 840 steps over 13,800,000"
        " tokens in 10 min 00 s, 23,000 tokens a second on cpu."
    )
    assert second == (
        "On masked words of held-out text, perplexity is 20.00 before and 9.00 after; 25.0 % before and"
        " 50.0 % after are told right."
    )


def test_the_table_has_a_star_at_the_weights_that_are_kept_and_some_of_many_lines():
    (found,) = pretraining.facts([lineage(HISTORY, best_step=420)])
    rows = pretraining.table(found).rows
    assert [row[0] for row in rows] == ["", "*", ""]
    assert rows[1][1:] == ("420", "1.00", "–", "9.00", "50.0")
    long = [point(step, 100 - step / 10) for step in range(0, 900)]
    (found,) = pretraining.facts([lineage(long, best_step=7)])
    steps = [row[1] for row in pretraining.table(found).rows]
    assert (len(steps), steps[0], steps[-1]) == (13, "0", "899")
    assert "7" in steps


@pytest.mark.parametrize(("last", "logarithmic"), [(9.0, False), (2000.0, True)])
def test_the_curve_has_every_evaluation_and_a_large_fall_is_drawn_by_factors(last, logarithmic):
    (found,) = pretraining.facts([lineage([*HISTORY, point(900, last)], best_step=420)])
    ((drawn,),) = (figure.drawings for figure in pretraining.curve(found))
    assert drawn.count("<circle") == 5  # and the one that is kept, larger
    assert drawn.startswith("<svg")
    assert ("logarithmic" in drawn) is logarithmic


def test_one_evaluation_is_no_curve_and_none_is_no_table():
    (found,) = pretraining.facts([lineage([point(0, 3.0)])])
    assert list(pretraining.curve(found)) == []
    (none,) = pretraining.facts([lineage([])])
    (section,) = pretraining.sections([none])
    assert (section.table, section.figures) == (None, ())
    assert none["after"] is None


def test_a_fresh_head_and_random_weights_are_told():
    (found,) = pretraining.facts([lineage(HISTORY, head_steps=84)])
    assert list(pretraining.sentences(found))[-1].startswith("The model came without a head")
    (found,) = pretraining.facts([lineage(HISTORY, initialization="random", processes=2)])
    assert "From random weights" in next(iter(pretraining.sentences(found)))
    assert "with 2 processes" in next(iter(pretraining.sentences(found)))


def test_a_model_that_has_become_worse_is_told():
    (found,) = pretraining.facts([lineage([point(0, 20.0), point(9, 21.0)], best_step=9)])
    assert list(pretraining.sentences(found))[2] == (
        "It knows this text less well than before: the learning rate was too high, or the text too little."
    )
    (found,) = pretraining.facts([lineage([point(0, 20.0), point(9, 19.0)], best_step=9)])
    assert len(list(pretraining.sentences(found))) == 2


def test_a_student_is_told_beside_its_teacher():
    notes = {"layers": [0, 3, 5], "parameters": 24_000_000, "parameters_before": 30_000_000}
    told = lineage(HISTORY, **notes, teacher={"score": -1.5, "perplexity": 4.5, "accuracy": 0.66})
    told.config["student"] = {"layers": 3}
    (found,) = pretraining.facts([told])
    first, _, third = pretraining.sentences(found)
    assert first.startswith("A student of 3 of its layers, distilled from the model, on 25,000 documents")
    assert third == (
        "The model itself, its teacher, has a perplexity of 4.50 there, and tells 66.0 % right; it has"
        " 30,000,000 parameters, the student 24,000,000."
    )
    told.notes["teacher"] = None  # it had no head for masked words
    (found,) = pretraining.facts([told])
    assert len(list(pretraining.sentences(found))) == 2


def test_several_pre_trainings_are_numbered():
    found = pretraining.facts([lineage(HISTORY), lineage(HISTORY)])
    assert [each.title for each in pretraining.sections(found)] == ["Pre-training 1", "Pre-training 2"]
