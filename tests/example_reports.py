"""Reports of every kind of task with all that a page can draw, of answers that are made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fake_bundles
import numpy as np

from edgeroberta import metrics
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation import compared_answers, flips
from edgeroberta.evaluation.limits import GateLimits, SliceLimits
from edgeroberta.evaluation.per_stage import PerStageMetrics, StageRow
from edgeroberta.evaluation.result import (
    EngineResult,
    GateVerdict,
    Invariance,
    Judgement,
    Report,
    SliceResult,
)
from edgeroberta.measure.clock import CallShape, summarise
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.metrics import Interval
from edgeroberta.tasks import AnswerSpans, MaskedTokens, Outputs, Problem, Task, WordTags
from edgeroberta.tasks.masked import pack
from edgeroberta.tasks.span_search import FIRST

WORDS = ("the", "film", "is", "a", "great", "and", "long", "story", "of", "silence")


def make(
    problem: Problem = Problem.SINGLE_LABEL,
    *,
    rows: int = 400,
    labels: tuple[str, ...] = ("negative", "positive"),
    name: str = "",
    wrong: float = 0.1,
    long: int = 12,
    listed: int = 5000,
) -> Report:
    """Make a report of so many rows.

    ``name``: put into every text and name that is somebody's. ``wrong``: part of the answers that change.
    ``long``: words of a text.
    """
    random = np.random.default_rng(0)
    whole = name.encode("utf-8", "replace").decode()  # what is half a character is in names alone
    texts = tuple(f"{row} {' '.join(random.choice(WORDS, long))} {whole}" for row in range(rows))
    named = tuple(f"{label}{name}" for label in labels)
    task, truth, full, ours = _answers(problem, named, rows, wrong, random, texts)
    pairs = texts if problem in (Problem.SPANS, Problem.EMBEDDING) else None
    data = Rows(texts, pairs, truth, f"reviews{name}.csv")
    reference = fake_bundles.fixed_reference(
        replace(data, labels=np.zeros(rows, np.int64)),
        np.zeros((rows, 2), np.float32),
        task=task,
        outputs=full,
        metrics=metrics.all_metrics(task, full, truth),
        model=f"model{name}",
        latency=_latency(random, 0.010),
    )
    score, told = (metrics.score(task, each, truth) for each in (full, ours))
    drop, gate = score - told, GateLimits(slices=SliceLimits(0.03))
    verdicts = (GateVerdict.PASS, GateVerdict.FAIL, GateVerdict.INCONCLUSIVE)
    sizes = zip(verdicts, (300, 80, 20), strict=True)
    engines = tuple(
        EngineResult(
            engine=engine,
            version="1.31.1",
            status=RowStatus.OK,
            judgement=Judgement(verdict, f"the drop is {drop:.3f}{name}"),
            metrics=metrics.all_metrics(task, ours, truth),
            drop=Interval(drop, drop - 0.01, drop + 0.012),
            agreement=0.95,
            flips=int((~metrics.agrees(task, full, ours)).sum()),
            latency=_latency(random, seconds),
            cold_start_s=0.4,
            peak_bytes=142_300_000,
            bytes=31_200_000,
            invariance=Invariance(32, ("batched", "padded-64"), 2.3e-7, 0),
            slices=tuple(_slice(f"{each}{name}", each, count) for each, count in sizes),
        )
        for engine, seconds, verdict in (
            ("onnxruntime", 0.001, GateVerdict.PASS),
            ("openvino", 0.0014, GateVerdict.INCONCLUSIVE),
        )
    )
    return Report(
        judgement=Judgement(GateVerdict.INCONCLUSIVE, f"openvino: the drop is {drop:.3f}{name}"),
        gate=gate,
        metric=task.metric,
        problem=problem.value,
        labels=task.labels,
        data={"source": data.source, "digest": "2" * 64, "rows": rows},
        baseline=reference.to_json(),
        engines=engines,
        flips=flips.examples(data, reference, ours, listed, texts=True),
        machine=fake_bundles.DEVICE,
        measured_at="2026-01-02T03:04:05+00:00",
        linear_ops=_linear_ops(name),
        lineage=({"stage": "distill", "config": {"teacher": f"full{name}/"}, "seed": 0, "seconds": 9.5},),
        per_stage=_per_stage(task.metric, name),
        warnings=(f"the labels are odd{name}",),
        answers=compared_answers.compare(task, "onnxruntime", full, ours, truth),
    )


def _latency(random: np.random.Generator, seconds: float) -> Any:
    rounds = [(seconds * random.lognormal(0, 0.2, 100)).tolist() for _ in range(3)]
    return summarise(rounds, CallShape(warmup=20))


def _slice(name: str, verdict: GateVerdict, rows: int) -> SliceResult:
    mean = {GateVerdict.PASS: 0.005, GateVerdict.FAIL: 0.08, GateVerdict.INCONCLUSIVE: 0.02}[verdict]
    wide = 0.2 / rows**0.5
    drop = Interval(mean, mean - wide, mean + wide)
    same = Interval(0.9, 0.85, 0.95)
    return SliceResult(
        "dialect", name, rows, rows, "accuracy", 0.9, 0.88, drop, mean + wide, same, 0.86, verdict
    )


def _linear_ops(name: str) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "linear_op": f"layer.{layer}.{part}{name}",
            "choice": "float" if (layer, part) == (1, "ffn.out") else "int8",
            "error": 0.0 if (layer, part) == (1, "ffn.out") else 1e-4 * (1 + layer) * (1 + number) ** 2,
            "minmax_error": 0.01,
            "reason": f"smaller{name}",
        }
        for layer in range(4)
        for number, part in enumerate(("attention.qkv", "attention.output", "ffn.in", "ffn.out"))
    )


def _per_stage(metric: str, name: str) -> PerStageMetrics:
    after = (("baseline", 0.86), ("distill", 0.85), ("prune", 0.852), ("quantize", 0.845), ("build", 0.845))
    rows, before = [], None
    for stage, value in after:
        drop = None if before is None else before - value
        rows.append(
            StageRow(stage + name, "graph", value, drop, 0.98, 12, 0.05, 30_000_000, 31_000_000, "e", 1.0)
        )
        before = value
    return PerStageMetrics(metric, 400, 400, 90, tuple(replace(row, speed_up=2.0) for row in rows))


def _answers(
    problem: Problem, labels: tuple[str, ...], rows: int, wrong: float, random: Any, texts: tuple[str, ...]
) -> tuple[Task, Any, Outputs, Outputs]:
    """Return the task, the truth, and what both models say."""
    count, other = len(labels), random.random(rows) < wrong
    if problem is Problem.SINGLE_LABEL:
        truth = random.integers(0, count, rows)
        said = np.where(random.random(rows) < 0.1, random.integers(0, count, rows), truth)
        ours = np.where(other, (said + 1) % count, said)
        return Task(problem, labels), truth, *(_logits(each, count, random) for each in (said, ours))
    if problem is Problem.MULTI_LABEL:
        truth = (random.random((rows, count)) < 0.3).astype(np.float32)
        full = (4 * truth - 2 + random.normal(0, 1.2, truth.shape)).astype(np.float32)
        changed = np.where(other[:, None], -full, full)
        return Task(problem, labels), truth, Outputs.of_texts(full), Outputs.of_texts(changed)
    if problem is Problem.REGRESSION:
        truth = random.normal(3, 1, rows).astype(np.float32)
        full, ours = (truth + random.normal(0, spread, rows) for spread in (0.3, 0.5))
        outputs = (Outputs.of_texts(each[:, None].astype(np.float32)) for each in (full, ours))
        return Task(problem, labels[:1]), truth, *outputs
    if problem is Problem.EMBEDDING:
        first, second = random.normal(size=(2, rows, 8))
        second = first * random.random((rows, 1)) + second
        near = [np.stack([first, second], 1) + random.normal(0, noise, (rows, 2, 8)) for noise in (0.01, 0.3)]
        truth = np.einsum("nh,nh->n", first, second)
        outputs = (Outputs.pack(list(each.astype(np.float32))) for each in near)
        return Task(problem, (), dimensions=8, pooling="mean"), truth, *outputs
    if problem is Problem.MASKED:
        true = random.integers(0, 50, rows)
        full, ours = (random.normal(0, 1, (rows, 50)) for _ in range(2))
        for each in (full, ours):
            each[np.arange(rows), true] += 4
        packed = []
        for each in (full, np.where(other[:, None], ours, full)):
            logs = each - np.log(np.exp(each).sum(axis=1, keepdims=True))
            packed.append(Outputs.pack(list(pack(logs.astype(np.float32), 10, true)[:, None])))
        masks = MaskedTokens(true, np.arange(rows + 1))
        return Task(problem, (), dimensions=20, mask_id=60), masks, *packed
    places = np.array([[0, 1, 0], [2, 4, 1], [5, 8, 2]], np.int64)
    if problem is Problem.TOKENS:
        tags = ("O", *(f"B-{label}" for label in labels))
        truth = random.integers(0, len(tags), (rows, 3))
        said = np.where(random.random((rows, 3)) < 0.1, 0, truth)
        ours = np.where(other[:, None], (said + 1) % len(tags), said)
        outputs = (
            Outputs.pack([_logits(row, len(tags), random).values for row in each], [places] * rows)
            for each in (said, ours)
        )
        return Task(problem, tags), WordTags.pack(list(truth), [places] * rows), *outputs
    places = np.concatenate([np.array([[0, 0, FIRST]], np.int64), places])
    spans = random.integers(1, 4, rows)
    ours = np.where(other, spans % 3 + 1, spans)
    outputs = (
        Outputs.pack(
            [np.repeat(8 * np.eye(4, dtype=np.float32)[row][:, None], 2, 1) for row in each], [places] * rows
        )
        for each in (spans, ours)
    )
    known = AnswerSpans(places[spans, :2], np.arange(rows + 1), contexts=texts, documents=texts)
    return Task(problem, ("start", "end")), known, *outputs


def _logits(said: Any, count: int, random: Any) -> Outputs:
    return Outputs.of_texts(
        (
            random.gamma(2, 1.5, (len(said), 1)) * np.eye(count)[said]
            + random.normal(0, 0.3, (len(said), count))
        ).astype(np.float32)
    )
