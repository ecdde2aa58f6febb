from __future__ import annotations

import pytest

from benchmarks import pipelines, tokens
from benchmarks.results import Latency, Row
from benchmarks.rounds import Timings

GOLD = [[("city", 0, 5), ("name", 9, 12)], [], [("city", 3, 7)]]


def row(name: str, p50: float = 1.0, **fields: object) -> Row:
    latency = Latency(n=3, warm_up=1, p50=p50, p90=p50, p99=p50, round_p50=(p50, p50))
    return Row(name=name, title=name, latency=latency, **fields)


def good_rows() -> list[Row]:
    own = [
        row(f"{recipe}/{engine}", p50, f1=0.94, same_answers=0.99)
        for recipe, p50 in (("int8", 1.0), ("int8-distill", 0.6), ("tiny", 0.3))
        for engine in pipelines.ENGINES
    ]
    return [row("transformers", 4.0, f1=0.941), row("optimum-int8", 2.0, f1=0.93), *own]


def test_an_entity_is_right_when_its_label_and_both_ends_are():
    assert tokens.f1(GOLD, GOLD) == 1
    assert tokens.f1([[("city", 0, 5), ("name", 9, 13)], [], [("name", 3, 7)]], GOLD) == pytest.approx(1 / 3)
    assert tokens.f1([[], [], []], GOLD) == tokens.f1([[]], [[]]) == 0


def test_rows_get_the_f1_of_their_entities_and_the_texts_that_are_as_the_baseline_says():
    full = Timings(answers=[[list(entity) for entity in each] for each in GOLD])
    ours = Timings(answers=[[["city", 0, 5]], [], [["city", 3, 7]]])
    made = tokens.scored(
        [row("transformers"), row("int8/onnxruntime"), row("x")],
        {"transformers": full, "int8/onnxruntime": ours, "x": Timings(error="died")},
        GOLD,
    )
    assert [(each.f1, each.same_answers) for each in made] == [(1, 1), (0.8, 0.6667), (None, None)]


def test_all_promises_are_kept_by_good_rows():
    found = tokens.checks(good_rows())
    assert len(found) == 1 + 2 * (1 + 4) + 2 * 1 + 2 * 2
    assert all(check.ok for check in found)


@pytest.mark.parametrize(
    ("name", "fields", "missed"),
    [
        ("transformers", {"f1": 0.93}, "entity F1 of the baseline"),
        ("int8/openvino", {"f1": 0.937}, "F1 lost"),
        ("int8/openvino", {"same_answers": 0.98}, "texts with the same entities"),
        ("int8-distill/openvino", {"f1": 0.92}, "F1 lost"),
        ("tiny/openvino", {"f1": 0.9}, "share of the baseline's F1"),
    ],
)
def test_what_a_row_lacks_is_told(name, fields, missed):
    rows = [each.model_copy(update=fields) if each.name == name else each for each in good_rows()]
    found = [check.title for check in tokens.checks(rows) if not check.ok]
    assert any(missed in title for title in found)


def test_bundles_are_named():
    ((name, folder),) = pipelines.named(["int8=out"]).items()
    assert (name, folder.name) == ("int8", "out")
