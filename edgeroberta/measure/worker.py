"""The process that holds one model: ``python -m edgeroberta.measure.worker``, requests on stdin.

Requests, each with its answer:

``{"do": "time", "calls": [[0], [7], …], "limit_s": 10, "device": false, "through": false}``
    times of each call, see :class:`edgeroberta.measure.clock.TimedCalls`; the numbers are rows of the
    inputs; ends early after ``limit_s``; ``device`` asks the device's own clock, too; ``through`` sends texts
    through all tiers of a cascade
``{"do": "time_ids", "lengths": [128, 128, …], "batch": 8, "seed": 0, "limit_s": 10, "device": false}``
    the same, on random ids, a call per length
``{"do": "outputs", "rows": [0, 1], "way": "batched", "file": "x.npz"}``
    the outputs in the file, see :class:`edgeroberta.tasks.Outputs`; ``way`` is one of ``batched`` (as the
    model is used for many texts), ``asked`` (the same, and for the spec's ``targets``), ``alone`` (a call per
    text), and for a bundle ``padded-64`` and so on
    (each text padded to that length, or left at its own if it is longer)
``{"do": "beside", "folder": "…", "rows": [0, 7], "lengths": null, "vocab_size": 512, "limit_s": 2}``
    a bundle beside the graph of the folder on the same engine, see
    :class:`edgeroberta.measure.paired.PairedTimes`; on random ids as long as the rows' texts, or of the
    ``lengths`` given
``{"do": "memory"}``
    bytes of peak memory so far

Whatever the model's libraries print goes to stderr; stdout carries answers alone.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Protocol, cast

import numpy as np

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.measure.clock import peak_memory, time_calls
from edgeroberta.measure.mask_answers import Targets
from edgeroberta.measure.paired import PairedTimes
from edgeroberta.measure.protocol import Inputs, SubjectSpec, WorkerReady
from edgeroberta.measure.stopwatch import Stopwatch
from edgeroberta.tasks import Outputs


class Subject(Protocol):
    """A model that is measured.

    It may have an attribute ``watch``, a :class:`~edgeroberta.measure.stopwatch.Stopwatch` that tells where
    its calls' time went, and ``device_clock``, True when that can ask the device's own clock. A cascade has
    ``tiers``, their names.
    """

    engine: str
    version: str
    device: str
    bytes: int
    vocab_size: int

    def answer(self, inputs: Inputs) -> object:
        """Answer texts or pairs the way a user would ask: one call, tokenization and labels included."""

    def answer_ids(self, ids: np.ndarray) -> object:
        """Run the model on int64 ids ``[batch, length]``, all of them tokens."""

    def outputs(self, inputs: Inputs) -> Outputs:
        """Return what the model gives for each input."""


class AnsweringSubject(Subject, Protocol):
    """A bundle: it must answer alike whatever padding a text gets, and int8 is to be worth it."""

    tiers: Sequence[str]

    def answer_through(self, inputs: Inputs) -> object:
        """Answer as a user asks, but of a cascade always by the last tier, after all others."""

    def tier_of(self, answer: Any) -> int:
        """Tell which tier gave an answer, by its number."""

    def padded(self, inputs: Inputs, length: int) -> Outputs:
        """Return the same, each text padded to ``length`` tokens."""

    def beside(self, inputs: Inputs, request: dict[str, Any]) -> PairedTimes:
        """Time its engine beside the graph that the request names."""


class MaskSubject(Subject, Protocol):
    """A model that fills masks."""

    def outputs(self, inputs: Inputs, targets: Targets | None = None) -> Outputs:
        """Return what the model gives for each input, and for the true tokens of its masks."""


def main() -> None:
    """Serve requests until stdin ends."""
    # Engines print to file descriptor 1 as they like; keep a private copy of it for the answers.
    channel = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    def reply(value: dict[str, Any]) -> None:
        channel.write(json.dumps(value) + "\n")
        channel.flush()

    lines = iter(sys.stdin.buffer.readline, b"")
    try:
        spec = SubjectSpec.from_json(json.loads(next(lines)))
        subject, opened = _open(spec)
        reply(asdict(opened))
        for line in lines:
            reply(_serve(subject, spec, json.loads(line)))
    except EdgeRobertaError as error:
        reply({"error": error.to_json()})
        sys.exit(1)


def _open(spec: SubjectSpec) -> tuple[Subject, WorkerReady]:
    started = time.perf_counter()
    module, _, function = spec.subject.partition(":")
    subject: Subject = getattr(importlib.import_module(module), function)(spec)
    subject.answer(spec.inputs[:1])
    cold = time.perf_counter() - started
    opened = WorkerReady(
        engine=subject.engine,
        version=subject.version,
        device=subject.device,
        bytes=subject.bytes,
        cold_start_s=cold,
        vocab_size=subject.vocab_size,
        device_clock=getattr(subject, "device_clock", False),
        tiers=getattr(subject, "tiers", ()),
    )
    return subject, opened


def _serve(subject: Subject, spec: SubjectSpec, request: dict[str, Any]) -> dict[str, Any]:
    do = request["do"]
    if do == "time":
        calls = [[spec.inputs[row] for row in rows] for rows in request["calls"]]
        through = request.get("through", False)
        answer = cast("AnsweringSubject", subject).answer_through if through else subject.answer
        return _timed(subject, answer, calls, request)
    if do == "time_ids":
        rng = np.random.default_rng(request["seed"])
        # Ids below 5 are special tokens in this family of models; keep clear of them.
        shapes = [(request["batch"], length) for length in request["lengths"]]
        ids = [rng.integers(5, subject.vocab_size, shape, dtype=np.int64) for shape in shapes]
        return _timed(subject, subject.answer_ids, ids, request)
    if do == "outputs":
        inputs = [spec.inputs[row] for row in request["rows"]]
        targets = None
        if request["way"] == "asked" and spec.targets is not None:
            targets = [spec.targets[row] for row in request["rows"]]
        _outputs(subject, inputs, request["way"], targets).save(request["file"])
        return {"rows": len(inputs)}
    if do == "beside":
        inputs = [spec.inputs[row] for row in request["rows"]]
        return asdict(cast("AnsweringSubject", subject).beside(inputs, request))
    return {"peak_bytes": peak_memory()}


def _timed(
    subject: Subject, call: Callable[[Any], object], inputs: list[Any], request: dict[str, Any]
) -> dict[str, Any]:
    watch: Stopwatch | None = getattr(subject, "watch", None)
    if watch is not None:
        watch.ask_device = request["device"]
    tiers = getattr(subject, "tiers", ()) and request["do"] == "time"
    tier_of = cast("AnsweringSubject", subject).tier_of if tiers else None
    return asdict(time_calls(call, inputs, limit_s=request["limit_s"], watch=watch, tier_of=tier_of))


def _outputs(subject: Subject, inputs: Any, way: str, targets: Any) -> Outputs:
    if targets is not None:
        return cast("MaskSubject", subject).outputs(inputs, targets)
    if way == "alone":
        return Outputs.concatenate(subject.outputs([each]) for each in inputs)
    if way.startswith("padded-"):
        return cast("AnsweringSubject", subject).padded(inputs, int(way.partition("-")[2]))
    return subject.outputs(inputs)


if __name__ == "__main__":
    main()
