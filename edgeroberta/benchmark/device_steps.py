"""What ``edgeroberta bench --host`` does there: build the engines of TensorRT, and measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.lineup import NO_MODEL
from edgeroberta.benchmark.run import benchmark
from edgeroberta.check.ondevice import engine_build as engines
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.storage.strict import decode

#: Instead of the advice to name it with an option that does not go with --host.
NO_MODEL_THERE = "The baseline is not on the device, so there is no speed-up over it there."


def build(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Build the engines of ``bundle`` for ``target``; fail where none can be kept."""
    bundle = arguments["bundle"]
    found = engines.build(engines.BuildRequest(Path(bundle), target=arguments["target"]), progress=progress)
    if found.kept is None:
        raise EdgeRobertaError(found.why, where=bundle)
    return found.to_json()


def bench(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Measure as a :class:`BenchRequest` asks; the bundle there goes with the job's folder."""
    table = benchmark(decode(BenchRequest, dict(arguments), where="the request"), progress=progress)
    notes = tuple(NO_MODEL_THERE if note == NO_MODEL else note for note in table.notes)
    return replace(table, notes=notes).to_json()
