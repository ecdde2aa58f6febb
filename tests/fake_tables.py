"""A table as ``edgeroberta bench --json`` prints it, with everything that one can hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import fake_bundles

from edgeroberta.benchmark.comparison import Comparison
from edgeroberta.benchmark.row import BenchmarkRow
from edgeroberta.measure.clock import Breakdown, CallShape, summarise
from edgeroberta.measure.offline import Throughput
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.measure.rounds import RepetitionPlan
from edgeroberta.measure.validity import Environment, RunValidity, Validity


def printed() -> dict[str, Any]:
    """Return it read from its JSON."""
    return json.loads(json.dumps(comparison().to_json()))


def comparison() -> Comparison:
    """Return it as it was measured."""
    parts = Breakdown(0.1, 0.8, 0.1, 0.7)
    latency = replace(
        summarise([[0.001, 0.002] * 10] * 3, CallShape(warmup=20)), breakdown=parts, steady=False
    )
    offline = Throughput(500.0, 8, 256, ((1, 400.0), (8, 500.0)))
    row = BenchmarkRow(
        "bundle", "onnxruntime 1", "cpu", RowStatus.OK, metric=0.9, latency=latency, offline=offline,
        energy_mj=1.5, throttled=("hot",),
    )  # fmt: skip
    state = {"board": "Pi", "temperatures": [{"zone": "cpu", "celsius": 55.5}], "mode": None, "locked": False}
    around = Environment(0.5, 4, 0.0, before=state, after=state, warnings=("Clocks float",))
    plan = RepetitionPlan(rounds=2, tokens=(16, 32))
    data = {"source": "rows.jsonl", "rows": 3}
    validity = Validity(RunValidity.NOISY, ("Rounds differ.",))
    return Comparison((row,), plan, "accuracy", data, fake_bundles.DEVICE, (), "arm", around, validity)
