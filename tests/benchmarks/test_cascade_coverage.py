"""The benchmark that counts cascades which keep less than they promise can fail."""

import pytest

from benchmarks import cascade_coverage, populations, results
from benchmarks.cascade_coverage import HOPED, KNOWN, WRONG, checks, measure, split
from benchmarks.results import Row
from edgeroberta.cascade.fresh import Fresh
from edgeroberta.tasks import Outputs


@pytest.fixture
def cliff(monkeypatch):
    monkeypatch.setattr(populations, "TEXTS", 4000)
    (found,) = [each for each in populations.made_up() if each.name == "a cliff"]
    return found


def test_populations_are_told_apart_and_have_the_agreement_that_they_were_made_with(monkeypatch):
    monkeypatch.setattr(populations, "TEXTS", 4000)
    made = populations.made_up()
    assert len({each.name for each in made}) == len(made) > 8
    for each in made:
        assert {len(tier) for tier in each.tiers} == {4000}
        assert len(each.tiers) == len(each.seconds)
    (cliff,) = [each for each in made if each.name == "a cliff"]
    first, last = (each.task.decide(tier) for each in (cliff,) for tier in cliff.tiers)
    assert (first != last)[:1600].mean() == pytest.approx(0.3, abs=0.04)
    assert (first != last)[1600:].mean() < 0.01


def test_the_truth_of_a_choice_is_that_of_the_whole_population(cliff):
    values = dict(measure(cliff, 3).values)
    assert values["promised %"] == 100
    assert values[WRONG] == 0
    assert 99 <= values["true agreement %, median"] <= 100
    assert 1 < values["times as fast, median"] < 3.5


def test_thresholds_without_a_bound_are_found_wrong(monkeypatch):
    monkeypatch.setattr(populations, "TEXTS", 4000)
    smooth = populations.made_up()[0]
    monkeypatch.setattr(Fresh, "keeps", lambda self, thresholds, agreement: self.changed(thresholds) <= 15)
    values = dict(measure(smooth, 12).values)
    assert values[WRONG] >= 25
    row = Row(name="a", title="a", group=KNOWN, values=tuple(values.items()))
    kept, _ = checks([row], 12)
    assert kept.ok == (values[WRONG] <= kept.bar)


def test_a_check_of_five_percent_allows_for_the_error_of_the_draws():
    rows = [Row(name="a", title="a", group=KNOWN, values=((WRONG, 6.0), (HOPED, 50.0)))]
    few, hoped = checks(rows, 400)
    many, _ = checks(rows, 100_000)
    assert few.ok
    assert hoped.ok
    assert not many.ok


def test_splits_are_measured_on_the_rest_and_on_other_texts(cliff):
    first, last = (tier[3000:3700] for tier in cliff.tiers)
    other = populations.Population(
        "other", cliff.task, [first, Outputs.of_texts(-last.values)], cliff.seconds
    )
    values = dict(split(cliff, 2, other).values)
    assert values["rows that it is measured on"] == 4000 - 2500
    assert values["other texts"] == 700
    assert values["agreement %, mean"] > 99
    assert values["agreement on other texts %, mean"] < 50
    assert values["of other texts below the promise %"] == 100
    assert "other texts" not in dict(split(cliff, 1, None).values)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(populations, "TEXTS", 3000)
    monkeypatch.setattr(cascade_coverage, "RESULTS", tmp_path)

    def found():
        (path,) = tmp_path.rglob("*.json")
        return results.load(path)

    return found


def test_each_population_is_kept_beside_those_that_are_there(kept):
    for case in ("cliff", "five levels"):
        assert cascade_coverage.main(["--draws", "2", "--case", case, "--machine", "here"]) == 0
    assert [row.name for row in kept().rows] == ["a cliff", "five levels of confidence"]
    assert len(kept().checks) == 2
    cascade_coverage.main(["--draws", "3", "--case", "cliff", "--machine", "here"])
    assert [row.name for row in kept().rows] == ["a cliff"]  # of other draws than the former ones


def test_bundles_are_asked_the_rows_of_files(kept, cliff, monkeypatch, tmp_path):
    asked = []

    def of_bundles(bundles, data):
        asked.append((tuple(bundles), data))
        return populations.Population(data.name, cliff.task, cliff.tiers, cliff.seconds)

    monkeypatch.setattr(cascade_coverage, "of_bundles", of_bundles)
    files = ["--tiers", "a", "b", "--data", "rows.tsv", "--shifted", "others.tsv"]
    assert cascade_coverage.main(["--draws", "2", "--machine", "here", *files]) == 0
    assert [data.name for _, data in asked] == ["rows.tsv", "others.tsv"]
    assert [row.group for row in kept().rows] == [KNOWN, cascade_coverage.SPLITS]
    assert len(kept().checks) == 3


@pytest.mark.parametrize(
    "arguments", [["--case", "none such"], ["--tiers", "a", "b"], ["--data", "rows.tsv"]]
)
def test_what_cannot_be_measured_is_refused(arguments):
    with pytest.raises(SystemExit):
        cascade_coverage.main(arguments)
