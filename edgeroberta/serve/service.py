"""What is served at which path: answers, health, metrics."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict

from edgeroberta import __version__
from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.tokenizer import Input
from edgeroberta.serve import body, metrics
from edgeroberta.serve.messages import Answer, Head, Refusal, to_json
from edgeroberta.serve.pool import FullError, Job, Outcome, Pool
from edgeroberta.serve.settings import Settings

PREDICT, HEALTH, METRICS = "/predict", "/health", "/metrics"
#: Path to the methods it takes.
PATHS = {PREDICT: ("POST",), HEALTH: ("GET", "HEAD"), METRICS: ("GET", "HEAD")}
_OTHER = "other"
# A place in the queue is free again within the time of one answer, which is well under a second.
_RETRY = {"Retry-After": "1"}


class Service:
    """Answers requests; runs on the thread of the event loop and never waits.

    Attributes:
        settings: Its limits.
        metrics: What it counts.
        in_flight: Requests that were taken and not answered yet.
        connections: Connections that are open.
        stopping: True once it was told to stop.
    """

    def __init__(self, runtime: Runtime, pool: Pool, settings: Settings) -> None:
        self._runtime = runtime
        self._pool = pool
        self.settings = settings
        self.in_flight = 0
        self.connections = 0
        self.stopping = False
        self._facts = {
            "version": __version__,
            "engine": runtime.engine,
            "engine_version": runtime.engine_version,
            "bundle": runtime.manifest.digest if runtime.manifest is not None else "",
        }
        self.metrics = metrics.Metrics({**self._facts, "python": platform.python_version()})

    def check(self, head: Head) -> None:
        """Refuse what can be refused before the body has come.

        Raises:
            Refusal: The path, the method, the type or the size of the body is not taken.
        """
        methods = PATHS.get(head.path)
        if methods is None:
            near = did_you_mean(head.path, PATHS)
            raise Refusal(404, "there is nothing here", where="path", hint=near or f"try {', '.join(PATHS)}")
        if head.method not in methods:
            allowed = ", ".join(methods)
            raise Refusal(
                405, "this path does not take that method", where=head.path, hint=allowed,
                headers={"Allow": allowed},
            )  # fmt: skip
        if head.length > self.settings.max_bytes:
            raise Refusal(
                413, f"a body of more than {self.settings.max_bytes} bytes", where="Content-Length",
                hint="send the texts in several requests", close=True,
            )  # fmt: skip
        if head.method == "POST":
            body.check_content_type(head.headers)

    def look_up(self, path: str) -> Answer:
        """Answer a path that takes GET."""
        return self._health() if path == HEALTH else self._metrics()

    def predict(self, data: bytes, answered: Callable[[Answer], None]) -> Job:
        """Queue the inputs of a request.

        Args:
            data: The body.
            answered: Called with the answer later, unless the job is abandoned.

        Returns:
            The job.

        Raises:
            Refusal: The body is malformed, or there is no room.
        """
        inputs = body.read(data, pair=self._runtime.task.pair, max_batch=self.settings.max_batch)
        started = time.perf_counter()

        def done(outcome: Outcome) -> None:
            self.in_flight -= 1
            answer = self._answer(inputs, outcome)
            if answer.status == 200:
                self.metrics.request.observe(time.perf_counter() - started)
            answered(answer)

        try:
            job = self._pool.submit(inputs, done)
        except FullError:
            self.metrics.rejected["queue"] += 1
            waiting = f"{self.settings.queue} requests wait already"
            raise Refusal(503, waiting, hint="try again in a second", headers=_RETRY) from None
        self.in_flight += 1
        return job

    def abandon(self, job: Job) -> None:
        """Drop the answer of a job."""
        self._pool.abandon(job)
        self.in_flight -= 1
        self.metrics.abandoned += 1

    def count(self, head: Head | None, answer: Answer) -> None:
        """Count an answer that is sent; foreign paths count as one, or they could fill the memory."""
        path = head.path if head is not None and head.path in PATHS else _OTHER
        self.metrics.answers[path, answer.status] += 1

    def _answer(self, inputs: list[Input], outcome: Outcome) -> Answer:
        if outcome.predictions is None:
            if isinstance(outcome.error, UsageError):
                error = outcome.error
                return Refusal(400, error.what, where=error.where, hint=error.hint).answer()
            # What went wrong inside is in the log, not for whoever asks.
            hint = "see the log of this server, and edgeroberta doctor there"
            return Refusal(500, "the engine failed", hint=hint).answer()
        self.metrics.engine.observe(outcome.seconds)
        self.metrics.texts += len(inputs)
        self.metrics.truncated += sum(prediction.truncated for prediction in outcome.predictions)
        predictions = [
            {"input": item, **asdict(prediction)}
            for item, prediction in zip(inputs, outcome.predictions, strict=True)
        ]
        about = {name: self._facts[name] for name in ("bundle", "engine", "engine_version")}
        return Answer(200, to_json({**about, "predictions": predictions}))

    def stuck(self) -> bool:
        """Tell whether a worker has been at one request for longer than any may take."""
        return self._pool.busy_seconds > self.settings.timeout

    def _health(self) -> Answer:
        status = "stopping" if self.stopping else "stuck" if self.stuck() else "ready"
        ready = status == "ready"
        found = {"live": True, "ready": ready, "status": status, **self._facts}
        return Answer(200 if ready else 503, to_json(found))

    def _metrics(self) -> Answer:
        gauges: dict[str, tuple[str, float]] = {
            "queue_depth": ("Requests that wait for a worker.", self._pool.depth),
            "queue_limit": ("Requests that may wait.", self.settings.queue),
            "in_flight": ("Requests taken and not answered yet.", self.in_flight),
            "connections": ("Open connections.", self.connections),
        }
        return Answer(200, self.metrics.render(gauges), content_type=metrics.CONTENT_TYPE)
