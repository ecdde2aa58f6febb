"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from edgeroberta.runtime.answers import Said
from edgeroberta.tasks import TokenPrediction

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds in seconds: from a small model on a server to a long text on a small board.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# One more series per counter, with the time of its start: Prometheus' text format has no use for it.
disable_created_metrics()


class Metrics:
    """The counters of one server; two servers in a process do not share them. ``tiers``: of a cascade."""

    def __init__(
        self,
        facts: Mapping[str, str],
        gauges: Mapping[str, tuple[str, Callable[[], float]]],
        tiers: Sequence[str] = (),
    ) -> None:
        self._registry = registry = CollectorRegistry()
        Info("edgeroberta_build", "What is served, and by what.", registry=registry).info(dict(facts))
        self.answers = Counter(
            "edgeroberta_requests", "Answers sent, by path and status.", ("path", "code"), registry=registry
        )
        rejected = Counter(
            "edgeroberta_rejected",
            "Requests and connections turned away unanswered, by reason.",
            ("reason",),
            registry=registry,
        )
        self.rejected = {reason: rejected.labels(reason) for reason in ("queue", "connections")}
        self.texts = Counter("edgeroberta_texts", "Texts answered.", registry=registry)
        self.truncated = Counter(
            "edgeroberta_truncated",
            "Texts longer than the model takes that were cut, of those answered.",
            registry=registry,
        )
        self.windowed = Counter(
            "edgeroberta_windowed",
            "Texts longer than the model takes that were read in windows.",
            registry=registry,
        )
        self._entities = Counter(
            "edgeroberta_entities", "Entities found, by label.", ("label",), registry=registry
        )
        self.abandoned = Counter(
            "edgeroberta_abandoned", "Requests timed out, or whose client had gone.", registry=registry
        )
        self.request = Histogram(
            "edgeroberta_request_seconds",
            "Seconds from a whole request to its answer, where that is 200.",
            buckets=BOUNDS,
            registry=registry,
        )
        self.engine = Histogram(
            "edgeroberta_engine_seconds",
            "Seconds in the engine per request, tokenization left out.",
            buckets=BOUNDS,
            registry=registry,
        )
        self._by_tier: dict[str, Counter] = {}
        if tiers:
            by_tier = Counter(
                "edgeroberta_texts_by_tier", "Texts answered, by tier.", ("tier",), registry=registry
            )
            self._by_tier = {name: by_tier.labels(name) for name in tiers}
        for name, (meaning, value) in gauges.items():
            Gauge(f"edgeroberta_{name}", meaning, registry=registry).set_function(value)
        ProcessCollector(registry=registry)

    def count_entities(self, answers: Sequence[Said]) -> None:
        """Count the entities of answers that have any; of their texts nothing is kept."""
        for answer in answers:
            if isinstance(answer, TokenPrediction):
                for entity in answer.entities:
                    self._entities.labels(entity.label).inc()

    def count_tiers(self, tiers: Iterable[str]) -> None:
        """Count which tiers of a cascade answered texts."""
        for name in tiers:
            self._by_tier[name].inc()

    def render(self) -> bytes:
        """Write everything in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
