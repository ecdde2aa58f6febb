"""A server of a cascade says which tier answered, counts them, and warns when that changes."""

from __future__ import annotations

import fake_cascades
import pytest
from served import get, post

from edgeroberta.runtime import Runtime

TEXTS = ["The film was great.", "It was the worst story.", "a fine cast", "dull and slow, and long besides"]


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    """A cascade on texts of which ``TEXTS`` has some that each tier answers."""
    folder = tmp_path_factory.mktemp("cascade") / "bundle"
    fake_cascades.write(folder, thresholds=(0.8,))
    with Runtime.open(folder) as runtime:
        yield runtime


def test_answers_tell_their_tier_and_are_counted_by_it(cascade, start):
    server = start(cascade)
    answered = [each["tier"] for each in server.ask(post({"texts": TEXTS})).json["predictions"]]
    assert answered == [each.tier for each in cascade(TEXTS)]
    counts = [server.metric(f'edgeroberta_texts_by_tier_total{{tier="{name}"}}') for name in cascade.tiers]
    assert counts == [answered.count(name) for name in cascade.tiers]
    assert min(counts) > 0
    assert server.metric("edgeroberta_escalated_share") == counts[1] / 4
    assert server.metric("edgeroberta_escalated_share_expected") == 0.5
    assert server.metric("edgeroberta_escalation_drift") == 0


def test_texts_that_have_changed_are_warned_of_where_one_looks(cascade, start, caplog):
    (easy,) = [each.tier for each in cascade(TEXTS[:1])]
    server = start(cascade, drift_window=500, max_batch=500)
    assert server.ask(get("/health")).json["cascade"] == {
        "escalated": None, "expected": 0.5, "texts": 0, "warning": None,
    }  # fmt: skip
    server.ask(post({"texts": TEXTS[:1] * 500}))
    health = server.ask(get("/health"))
    assert (health.status, health.json["status"]) == (200, "ready")
    found = health.json["cascade"]
    assert (found["escalated"], found["texts"]) == (float(easy == "int8"), 500)
    assert found["warning"].startswith("the texts have changed: tiny passed on")
    assert found["warning"] in caplog.messages
    assert server.metric("edgeroberta_escalation_drift") == 1


def test_a_model_that_is_no_cascade_says_nothing_of_tiers(start):
    server = start()
    assert "tier" not in server.ask(post({"text": "great"})).json["predictions"][0]
    assert "cascade" not in server.ask(get("/health")).json
    assert not server.has_metric("edgeroberta_escalated_share")


def test_a_fake_with_tiers_counts_them_and_expects_nothing(start):
    server = start(Runtime.fake(tiers={"tiny": ["great"], "int8": []}))
    server.ask(post({"texts": ["great", "dull", "long"]}))
    assert server.metric('edgeroberta_texts_by_tier_total{tier="tiny"}') == 1
    assert server.metric('edgeroberta_texts_by_tier_total{tier="int8"}') == 2
    assert not server.has_metric("edgeroberta_escalation_drift")
