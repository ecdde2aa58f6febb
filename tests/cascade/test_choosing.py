"""Thresholds are chosen so that the promise holds, or not at all."""

import json
from dataclasses import replace

import numpy as np
import pytest
from cascade.population import TASK, Population, logits
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgeroberta.cascade import TierEvidence, choose
from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.tasks import Outputs, Problem, Task

SEEDS = st.integers(0, 2**32 - 1)


def chosen(seed=0, population=None, rows=2000, fresh=2000, **options):
    tiers, labels, fresh_labels = (population or Population()).evidence(
        np.random.default_rng(seed), rows, fresh
    )
    return choose(TASK, tiers, labels=labels, fresh_labels=fresh_labels, **options)


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from([0.9, 0.95, 0.98, 0.99]), st.sampled_from([0.9, 0.95, 0.99]))
def test_what_is_kept_passes_an_exact_test_on_the_fresh_rows(seed, agreement, confidence):
    found = chosen(seed, agreement=agreement, confidence=confidence)
    changed = round((1 - found.measured) * found.rows)
    bound = stats.beta.ppf(1 - confidence, found.rows - changed, changed + 1)
    assert found.kept
    assert bound >= agreement - 1e-9
    for point in found.front:
        assert point.bound >= agreement - 1e-12 or not point.kept


@settings(deadline=None, max_examples=8)
@given(SEEDS)
def test_more_agreement_takes_no_less_time(seed):
    times = [chosen(seed, agreement=agreement).seconds for agreement in (0.9, 0.95, 0.98, 0.995)]
    assert times == sorted(times)


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_the_order_of_rows_makes_no_difference(seed):
    rng = np.random.default_rng(seed)
    tiers, labels, fresh_labels = Population((2.0, 1.0), (1.0, 3.0, 10.0)).evidence(rng, 600, 600)
    first, second = rng.permutation(600), rng.permutation(600)
    other = [replace(tier, calibration=tier.calibration[first], fresh=tier.fresh[second]) for tier in tiers]
    one = choose(TASK, tiers, labels=labels, fresh_labels=fresh_labels, agreement=0.95)
    two = choose(TASK, other, labels=labels[first], fresh_labels=fresh_labels[second], agreement=0.95)
    for a, b in zip(one.tiers, two.tiers, strict=True):
        assert (a.threshold is None) == (b.threshold is None)
        assert a.threshold is None or a.threshold == pytest.approx(b.threshold)
        assert (a.share, a.agreement, a.score) == pytest.approx((b.share, b.agreement, b.score))


def test_the_time_of_a_text_is_that_of_all_tiers_that_are_asked():
    found = chosen()
    first, last = found.tiers
    assert found.seconds == pytest.approx(1.0 + 3.0 * last.share)
    assert first.share + last.share == pytest.approx(1)
    assert found.escalated == last.share
    assert found.seconds < 3.0


def test_three_tiers_share_the_texts_and_cost_less_than_two():
    three = Population((2.0, 0.7), (1.0, 3.0, 10.0))
    found = chosen(1, three, agreement=0.98)
    tiers, labels, fresh_labels = three.evidence(np.random.default_rng(1))
    two = choose(TASK, [tiers[0], tiers[2]], labels=labels, fresh_labels=fresh_labels, agreement=0.98)
    assert all(tier.share > 0.05 for tier in found.tiers)
    assert found.seconds < two.seconds


def test_a_tier_that_does_not_pay_is_not_asked():
    found = chosen(1, Population((2.0, 1.9), (1.0, 9.8, 10.0)), agreement=0.98)
    assert found.tiers[0].threshold is not None
    assert found.tiers[1].threshold is None
    assert [tier.name for tier in found.asked] == ["tier0", "tier2"]
    assert found.tiers[1].share == 0
    assert found.seconds == pytest.approx(1.0 + 10.0 * found.escalated)


def test_too_few_rows_promise_nothing_and_say_how_many_would_do():
    same = Population((0.0,))
    found = chosen(population=same, fresh=298)
    assert not found.kept
    assert found.rows_needed == 299
    assert "299" in found.reason
    assert [tier.threshold for tier in found.tiers] == [None, None]
    assert (found.measured, found.escalated, found.seconds) == (1.0, 1.0, 3.0)
    assert chosen(population=same, fresh=299).kept


def test_what_is_within_reach_can_be_promised_with_the_same_rows():
    found = chosen(fresh=150)
    assert not found.kept
    assert 0.9 < found.within_reach < 0.99
    least = np.floor(found.within_reach * 1000) / 1000
    assert f"{least:g}" in found.reason
    assert chosen(fresh=150, agreement=least).kept
    assert not chosen(fresh=150, agreement=found.within_reach + 1e-6).kept


def test_a_tier_that_answers_at_random_is_never_asked():
    rng = np.random.default_rng(0)
    (last, *_), labels = Population().draw(rng, 2000)
    random = logits(3 * rng.normal(size=2000))
    tiers = [TierEvidence("random", random, random, 1.0), TierEvidence("last", last, last, 3.0)]
    found = choose(TASK, tiers, labels=labels)
    assert not found.kept
    assert found.rows_needed is None


def test_no_thresholds_are_tried_where_none_saves_time():
    found = chosen(population=Population(seconds=(3.0, 3.0)))
    assert not found.kept
    assert found.within_reach is None
    assert len(found.front) == 1


def test_thresholds_that_save_no_time_on_the_fresh_rows_are_not_taken():
    tiers, labels, _ = Population().evidence(np.random.default_rng(0), 2000, 2000)
    unsure = replace(tiers[0], fresh=Outputs.of_texts(tiers[0].fresh.values * np.float32(1e-3)))
    found = choose(TASK, [unsure, tiers[1]], labels=labels)
    assert not found.kept
    assert found.tiers[0].threshold is None
    assert found.seconds == tiers[1].seconds
    assert "save no time on the 2,000 fresh texts" in found.reason


def test_a_tier_that_always_agrees_answers_everything():
    found = chosen(population=Population((0.0,)))
    assert found.kept
    assert found.tiers[0].share > 0.99
    assert found.measured == 1


def test_equal_texts_count_once():
    tiers, labels, fresh_labels = Population((0.0,)).evidence(np.random.default_rng(0), fresh=200)
    twice = [replace(tier, fresh=Outputs.concatenate([tier.fresh, tier.fresh])) for tier in tiers]
    doubled = np.concatenate([fresh_labels, fresh_labels])
    groups = np.tile(np.arange(200), 2)
    assert choose(TASK, twice, labels=labels, fresh_labels=doubled).kept
    found = choose(TASK, twice, labels=labels, fresh_labels=doubled, groups=groups)
    assert found.rows == 200
    assert not found.kept


def test_of_texts_with_equal_confidence_all_or_none_are_answered():
    margins = np.repeat([4.0, 1.0], 1000)
    last = logits(margins * np.where(np.arange(2000) % 10 == 9, np.where(margins < 2, -1, 1), 1))
    tier = logits(margins)
    found = choose(
        TASK, [TierEvidence("a", tier, tier, 1.0), TierEvidence("b", last, last, 3.0)], labels=None
    )
    assert found.tiers[0].share == 0.5
    sure = TASK.kind.confidence(TASK, tier, found.tiers[0].calibration)
    assert sure.min() < found.tiers[0].threshold < sure.max()


def test_a_choice_is_written_as_json():
    found = chosen()
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json() | {
        "tiers": json.loads(json.dumps(found.to_json()["tiers"])),
        "front": json.loads(json.dumps(found.to_json()["front"])),
    }


def test_numbers_that_are_not_finite_are_refused():
    tiers, labels, _ = Population().evidence(np.random.default_rng(0), 50, 50)
    broken = logits(np.full(50, np.nan))
    with pytest.raises(EdgeRobertaError, match="not finite"):
        choose(TASK, [replace(tiers[0], fresh=broken), tiers[1]], labels=labels)


@pytest.mark.parametrize("options", [{"agreement": 1.0}, {"agreement": 0.0}, {"confidence": 1.0}])
def test_promises_of_nothing_and_of_everything_are_refused(options):
    with pytest.raises(UsageError):
        chosen(fresh=50, rows=50, **options)


def test_tiers_of_other_rows_without_times_or_names_are_refused():
    tiers, labels, _ = Population().evidence(np.random.default_rng(0), 50, 50)
    for bad in (
        [tiers[0]],
        [tiers[0], replace(tiers[1], name="tier0")],
        [replace(tiers[0], seconds=0.0), tiers[1]],
        [replace(tiers[0], seconds=float("nan")), tiers[1]],
        [replace(tiers[0], fresh=tiers[0].fresh[:-1]), tiers[1]],
    ):
        with pytest.raises(EdgeRobertaError):
            choose(TASK, bad, labels=labels)
    with pytest.raises(UsageError, match="groups"):
        choose(TASK, tiers, labels=labels, groups=np.arange(49))


def test_embeddings_have_no_cascade():
    task = Task(Problem.EMBEDDING, (), dimensions=2, pooling="mean")
    tiers, labels, _ = Population().evidence(np.random.default_rng(0), 50, 50)
    with pytest.raises(UsageError) as refused:
        choose(task, tiers, labels=labels)
    assert refused.value.code == "usage.no-cascade"


def test_a_tier_answers_no_text_that_it_passes_on_for_its_length():
    """The first tier is sure and wrong of every second text, which it does not get to read."""
    rng = np.random.default_rng(0)
    last = logits(rng.normal(size=2000) * 3)
    takes = np.arange(2000) % 2 == 0
    first = logits(np.where(takes, 1, -1) * (last.values[:, 1] - last.values[:, 0]))
    tiers = [TierEvidence("first", first, first, 1.0, takes, takes), TierEvidence("last", last, last, 9.0)]
    found = choose(TASK, tiers, labels=None)
    assert found.kept
    assert (found.tiers[0].share, found.measured) == (0.5, 1.0)
    assert sum(line.texts for line in found.tiers[0].reliability) == 1000
    assert not choose(TASK, [replace(tiers[0], takes_fresh=None), tiers[1]], labels=None).kept
    with pytest.raises(UsageError, match="'first' takes or passes on 3 of 2000 texts"):
        choose(TASK, [replace(tiers[0], takes_fresh=takes[:3]), tiers[1]], labels=None)
