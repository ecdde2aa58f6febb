"""What a manifest says of a cascade."""

import pytest

from edgeroberta.runtime.tier_facts import CascadeFacts, TierFacts
from edgeroberta.tasks import Calibration

TIER = TierFacts("tiny", "tiers/tiny", "0" * 64, 0.9, Calibration(1.5), 0.75, "tiers/tiny/token_ids.npy")
CASCADE = CascadeFacts((TIER,), "int8", 0.99, 0.95, 2000)


def test_it_is_read_as_it_was_written():
    assert CascadeFacts.from_json(CASCADE.to_json()) == CASCADE
    assert CASCADE.names == ("tiny", "int8")
    assert CASCADE.escalated == pytest.approx(0.25)


@pytest.mark.parametrize(
    "change",
    [
        {"tiers": []},
        {"last": "tiny"},
        {"agreement": 1.5},
        {"rows": -1},
        {"tiers": [{**TIER.to_json(), "folder": "../tiny"}]},
        {"tiers": [{**TIER.to_json(), "folder": "tiers/../x"}]},
        {"tiers": [{**TIER.to_json(), "threshold": "0.9"}]},
        {"tiers": [{**TIER.to_json(), "folder": "tiers/other"}]},
        {"tiers": [{**TIER.to_json(), "folder": "tiers/tiny/"}]},
        {"tiers": [{**TIER.to_json(), "name": "a/b", "folder": "tiers/a/b"}]},
        {"tiers": [{**TIER.to_json(), "token_ids": "token_ids.npy"}]},
        {"tiers": [{**TIER.to_json(), "token_ids": "tiers/tiny/../../token_ids.npy"}]},
        {"tiers": [{**TIER.to_json(), "threshold": None}]},
        {"tiers": [{**TIER.to_json(), "threshold": float("inf")}]},
        {"tiers": [{**TIER.to_json(), "share": 2}]},
    ],
)
def test_what_is_none_is_refused(change):
    with pytest.raises((KeyError, TypeError, ValueError)):
        CascadeFacts.from_json({**CASCADE.to_json(), **change})
