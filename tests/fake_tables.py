"""A table as ``edgeroberta bench --json`` prints it, with everything that one can hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import fake_bundles

from edgeroberta.bench.comparison import Comparison
from edgeroberta.bench.row import Row
from edgeroberta.measure.clock import Breakdown, Shape, summarise
from edgeroberta.measure.offline import Offline
from edgeroberta.measure.protocol import Status
from edgeroberta.measure.rounds import Plan
from edgeroberta.measure.validity import Surroundings, Validity, Verdict


def printed() -> dict[str, Any]:
    """Return it read from its JSON."""
    return json.loads(json.dumps(comparison().to_json()))


def comparison() -> Comparison:
    """Return it as it was measured."""
    parts = Breakdown(0.1, 0.8, 0.1, 0.7)
    latency = replace(summarise([[0.001, 0.002] * 10] * 3, Shape(warmup=20)), breakdown=parts, steady=False)
    offline = Offline(500.0, 8, 256, ((1, 400.0), (8, 500.0)))
    row = Row(
        "bundle", "onnxruntime 1", "cpu", Status.OK, metric=0.9, latency=latency, offline=offline,
        energy_mj=1.5, throttled=("hot",),
    )  # fmt: skip
    state = {"board": "Pi", "temperatures": [{"zone": "cpu", "celsius": 55.5}], "mode": None, "locked": False}
    around = Surroundings(0.5, 4, 0.0, before=state, after=state, warnings=("Clocks float",))
    plan = Plan(rounds=2, tokens=(16, 32))
    data = {"source": "rows.jsonl", "rows": 3}
    validity = Validity(Verdict.NOISY, ("Rounds differ.",))
    return Comparison((row,), plan, "accuracy", data, fake_bundles.DEVICE, (), "arm", around, validity)
