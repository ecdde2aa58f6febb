from __future__ import annotations

import json

import pytest

from benchmarks import smaller
from benchmarks.results import Latency, Row
from edgeroberta import recipe

LATENCY = Latency(n=10, warm_up=5, p50=1.0, p90=2.0, p99=3.0, round_p50=(1.0, 1.0))


def rows(**kept: tuple[float, ...]) -> list[Row]:
    three = Row(name="three", title="3 of 6 layers", kept=kept.get("three", (1.0, 1.0)))
    return [
        three,
        *(
            Row(
                name=f"{case.name}/{engine}",
                title=f"{case.title}, {name}",
                kept=kept.get(case.name.replace("-", "_"), (1.0, 1.0)),
                ratio=3.0,
                size_mb=9.0,
            )
            for case in smaller.CASES
            for engine, name in smaller.ENGINES.items()
        ),
    ]


@pytest.mark.parametrize("case", smaller.CASES, ids=lambda case: case.name)
def test_every_case_is_a_recipe_whose_settings_exist(case):
    epochs = [f"{name}.epochs=1" for name in smaller.training_stages(case)]
    assert recipe.load(case.recipe, [*case.overrides, *smaller.OPEN, *epochs]).stages


def test_all_promises_are_kept_by_good_rows():
    found = smaller.checks(rows(three_alone=(0.9, 0.9)))
    assert len(found) == 2 * (len(smaller.KEPT) + 1) + 3
    assert all(check.ok for check in found)


def test_a_student_that_keeps_too_little_on_average_misses_its_promise():
    missed = [check for check in smaller.checks(rows(distill=(0.99, 0.97, 0.98))) if not check.ok]
    assert [check.value for check in missed] == [0.98, 0.98]
    assert "4 of 6 layers" in missed[0].title


def test_a_student_that_learns_no_better_than_alone_is_told():
    found = smaller.checks(rows(three=(0.97,), three_alone=(0.98,)))
    assert [check.value for check in found if "without a teacher" in check.title] == [-0.01]


def test_answers_of_all_seeds_stand_beside_the_time_of_the_first(tmp_path):
    case = next(each for each in smaller.CASES if each.name == "tiny")
    setting = smaller.Setting(tmp_path, tmp_path, tmp_path, tmp_path, 1)
    for seed, score in enumerate((0.8, 0.9)):
        folder = setting.bundle(case, seed) / "reports"
        folder.mkdir(parents=True)
        engines = [{"engine": "openvino", "metrics": {"accuracy": score}, "agreement": 0.95}]
        report = {"metric": "accuracy", "engines": engines, "baseline": {"metrics": {"accuracy": 1.0}}}
        (folder / "report.json").write_text(json.dumps(report))
    timed = Row(name="tiny/openvino", title="tiny, OpenVINO", latency=LATENCY, ratio=3.0)
    found = smaller.row(setting, case, "openvino", 2, timed)
    assert (found.kept, found.accuracy, found.same_answers) == ((0.8, 0.9), 0.85, 0.95)
    assert found.latency == LATENCY


def test_the_first_stage_of_a_recipe_is_read_from_its_per_stage_metrics(tmp_path):
    case = next(each for each in smaller.CASES if each.name == "tiny")
    setting = smaller.Setting(tmp_path, tmp_path, tmp_path, tmp_path, 1)
    folder = setting.bundle(case, 0) / "reports"
    folder.mkdir(parents=True)
    per_stage = [{"metric": 0.8}, {"metric": 0.6, "agreement": 0.7, "bytes": 2_000_000}, {"metric": 0.1}]
    (folder / "report.json").write_text(json.dumps({"per_stage": {"rows": per_stage}}))
    found = smaller.first_stage(setting, case, 1)
    assert (found.kept, found.same_answers, found.size_mb) == ((0.75,), 0.7, 2.0)
