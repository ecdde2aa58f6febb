"""Cascades on held-out rows, beside their last tier alone."""

from __future__ import annotations

from typing import Any

import fake_bundles
import fake_cascades
import numpy as np
import pytest
from fake_progress import Heard

from edgeroberta.data import Rows
from edgeroberta.evaluation import EvaluationOptions, cascades, verify
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.metrics import BootstrapOptions
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.tier_facts import CascadeFacts
from edgeroberta.tasks import Outputs

TASK = fake_bundles.TASK


def rows(count: int) -> Rows:
    texts = tuple(f"film {row}" for row in range(count))
    return Rows(texts, None, np.zeros(count, np.int64), "rows.csv")


def facts(**changes: Any) -> CascadeFacts:
    fields = {"tiers": (), "last": "int8", "agreement": 0.99, "confidence": 0.95, "rows": 1000}
    return CascadeFacts(**{**fields, **changes})  # type: ignore[arg-type]


def outputs(answers: list[int], tiers: list[int] | None = None) -> Outputs:
    found = Outputs.of_texts(np.eye(2, dtype=np.float32)[answers])
    return found if tiers is None else Outputs(found.values, found.offsets, None, np.array(tiers))


def test_every_tier_is_measured_on_what_it_answers(monkeypatch):
    monkeypatch.setattr(CascadeFacts, "names", ("tiny", "int8"))
    ours = outputs([0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 1, 1])
    last = outputs([0, 0, 0, 1, 0, 1])
    found = cascades.result(facts(), TASK, ours, last, rows(6), BootstrapOptions())
    assert found.agreement.mean == pytest.approx(5 / 6)
    tiny, large = found.tiers
    assert (tiny.name, tiny.texts, tiny.share) == ("tiny", 4, pytest.approx(2 / 3))
    assert (tiny.metric, tiny.agreement) == (0.5, 0.75)
    assert (large.name, large.texts, large.metric, large.agreement) == ("int8", 2, 0.5, 1.0)


def test_a_tier_that_answers_nothing_has_no_figures(monkeypatch):
    monkeypatch.setattr(CascadeFacts, "names", ("tiny", "int8"))
    ours = outputs([0, 1], [1, 1])
    tiny, _ = cascades.result(facts(), TASK, ours, ours, rows(2), BootstrapOptions()).tiers
    assert (tiny.texts, tiny.share, tiny.metric, tiny.agreement) == (0, 0.0, None, None)


@pytest.fixture
def held(tmp_path) -> tuple[Any, Rows]:
    """A cascade, and rows that both tiers answer."""
    bundle = fake_cascades.write(tmp_path / "bundle", thresholds=(0.6,))
    random = np.random.default_rng(0)
    texts = tuple(" ".join(random.choice(fake_bundles.WORDS, 4)) + f" {row}" for row in range(60))
    return bundle.folder, Rows(texts, None, np.arange(60) % 2, "rows.csv")


def test_verification_tells_of_a_cascade_who_answered_and_what_the_last_tier_says(held):
    folder, measured = held
    reference = fake_bundles.make_reference(folder, measured, wrong=0)
    options = EvaluationOptions(gate=GateLimits(), engines=("onnxruntime",), latency_rows=3)
    (result,) = verify(folder, measured, reference, options=options, progress=Heard()).engines
    assert result.cascade is not None
    with Runtime.open(folder) as runtime, Runtime.open(folder, tier="int8") as last:
        ours, alone = (each.outputs(list(measured.texts)) for each in (runtime, last))
    assert ours.tiers is not None
    assert [tier.texts for tier in result.cascade.tiers] == np.bincount(ours.tiers, minlength=2).tolist()
    assert 0 < result.cascade.tiers[0].texts < 60
    same = (ours.values.argmax(1) == alone.values.argmax(1)).mean()
    assert result.cascade.agreement.mean == pytest.approx(same)


def test_a_bundle_of_one_model_has_nothing_to_tell(tmp_path):
    folder = fake_bundles.write(tmp_path / "bundle")
    found = cascades.measure(
        folder,
        [],
        rows(4),
        TASK,
        threads=1,
        confidence=0.95,
        seed=0,
        start=None,  # type: ignore[arg-type]
        progress=Heard(),
    )
    assert found == {}
    assert cascades.warnings(folder, found.values()) == ()


def test_rows_that_contradict_the_promise_are_warned_of(held):
    folder, _ = held
    measured = rows(400)
    same, wrong = [0] * 400, [1] * 40 + [0] * 360
    tiers = [0] * 400
    promise = cascades.manifest.read(folder).cascade
    assert promise is not None

    def found(answers: list[int]) -> cascades.CascadeResult:
        return cascades.result(
            promise, TASK, outputs(answers, tiers), outputs(same), measured, BootstrapOptions()
        )

    assert cascades.warnings(folder, [found(same)]) == ()
    (warning,) = cascades.warnings(folder, [found(same), found(wrong)])
    assert warning.startswith("of the held-out rows 90.0% have the last tier's answer, and 99% were promised")


def test_a_promise_is_not_rounded_up_to_all_texts(tmp_path):
    facts = fake_cascades.write(tmp_path / "out", agreement=0.9995).cascade
    assert facts is not None
    found = cascades.result(
        facts,
        TASK,
        outputs([1] * 40 + [0] * 360, [0] * 400),
        outputs([0] * 400),
        rows(400),
        BootstrapOptions(),
    )
    (warning,) = cascades.warnings(tmp_path / "out", [found])
    assert "and 99.95% were promised" in warning
