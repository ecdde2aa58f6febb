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


def test_a_result_is_written_with_its_checks(tmp_path, monkeypatch):
    monkeypatch.setattr(populations, "TEXTS", 3000)
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(cascade_coverage, "write", lambda found: results.write(found, folder=tmp_path))
    assert cascade_coverage.main(["--draws", "2", "--case", "cliff", "--machine", "here"]) == 0
    (found,) = [results.load(path) for path in tmp_path.rglob("*.json")]
    assert [row.name for row in found.rows] == ["a cliff"]
    assert len(found.checks) == 2


@pytest.mark.parametrize(
    "arguments", [["--case", "none such"], ["--tiers", "a", "b"], ["--data", "rows.tsv"]]
)
def test_what_cannot_be_measured_is_refused(arguments):
    with pytest.raises(SystemExit):
        cascade_coverage.main(arguments)
