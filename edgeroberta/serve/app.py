"""What is served at which path: answers, what answers, health, metrics, and the page."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.runtime import Runtime, answers
from edgeroberta.runtime.encoding import Input
from edgeroberta.serve import body, head, page
from edgeroberta.serve.about import about
from edgeroberta.serve.drift import DriftMonitor
from edgeroberta.serve.metrics import CONTENT_TYPE, Metrics
from edgeroberta.serve.pool import FullError, Job, Pool, Result
from edgeroberta.serve.refusal import Refusal
from edgeroberta.serve.settings import Settings
from edgeroberta.version import __version__

PREDICT, ABOUT, HEALTH, METRICS = PATHS = ("/predict", "/about", "/health", "/metrics")
_OTHER = "other"
# Status and code of texts that the runtime refuses, by its own code; all others are no valid texts.
_REFUSED = {
    "usage.text-too-long": (413, "text-too-long"),
    "usage.question-too-long": (413, "question-too-long"),
    "usage.prompt-unknown": (400, "unknown-prompt"),
}
# A place in the queue is free again within the time of one answer, which is well under a second.
_RETRY = {"Retry-After": "1"}
# To watch for a client that leaves costs a task, which is more than most answers take altogether.
_UNWATCHED_SECONDS = 0.05


class Service:
    """The ASGI application; runs on the thread of the event loop and never blocks it.

    ``in_flight``: requests that were taken and not answered yet. ``stopping``: True once it was told to stop.
    """

    def __init__(
        self, runtime: Runtime, pool: Pool, settings: Settings, connections: Callable[[], int]
    ) -> None:
        self._form = body.form_of(runtime.task)
        self._pool = pool
        self.settings = settings
        self.in_flight = 0
        self.stopping = False
        self._facts = {
            "version": __version__,
            "engine": runtime.engine,
            "engine_version": runtime.engine_version,
            "bundle": runtime.manifest.digest if runtime.manifest is not None else "",
        }
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "queue_depth": ("Requests that wait for a worker.", lambda: pool.depth),
            "queue_limit": ("Requests that may wait.", lambda: settings.queue),
            "in_flight": ("Requests taken and not answered yet.", lambda: self.in_flight),
            "connections": ("Open connections.", connections),
        }
        self._about = {**self._facts, **about(runtime, settings)}
        self._drift: DriftMonitor | None = None
        cascade = runtime.manifest.cascade if runtime.tiers and runtime.manifest is not None else None
        if cascade is not None:
            window, alarms = settings.drift_window, settings.drift_alarms
            self._drift = DriftMonitor(cascade, window=window, false_alarms=alarms)
            gauges |= self._drift.gauges()
        build = {**self._facts, "python": platform.python_version()}
        self.metrics = Metrics(build, gauges, runtime.tiers)
        handlers: dict[Any, Any] = {HTTPException: _refused, ClientDisconnect: _nobody, Exception: _failed}
        routes = [
            Route(PREDICT, self._predict, methods=["POST"]),
            Route(ABOUT, self._tell),
            Route(HEALTH, self._health),
            Route(METRICS, self._metrics),
            *(page.routes() if settings.page else ()),
        ]
        self._paths = frozenset(route.path for route in routes)
        self._app = Starlette(routes=routes, exception_handlers=handlers)
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.count(scope["path"], message["status"])
            await send(message)

        try:
            head.check(scope, self.settings)
        except Refusal as refusal:
            await _respond(refusal)(scope, receive, counted)
        else:
            await self._app(scope, receive, counted)

    def count(self, path: str, status: int) -> None:
        """Count an answer that is sent; foreign paths count as one, or they could fill the memory."""
        self.metrics.answers.labels(path if path in self._paths else _OTHER, status).inc()

    def stuck(self) -> bool:
        """Tell whether a worker has been at one request for longer than any may take."""
        return self._pool.busy_seconds > self.settings.timeout

    async def _predict(self, request: Request) -> Response:
        body.check_content_type(request.headers)
        asked = body.read(await request.body(), form=self._form, max_batch=self.settings.max_batch)
        started = time.perf_counter()
        try:
            job = self._pool.submit(asked.inputs, asked.prompt)
        except FullError:
            self.metrics.rejected["queue"].inc()
            waiting = f"{self.settings.queue} requests wait already"
            raise Refusal(503, "queue-full", waiting, hint="try again in a second", headers=_RETRY) from None
        self.in_flight += 1
        loop = asyncio.get_running_loop()
        timer = loop.call_later(min(_UNWATCHED_SECONDS, self.settings.timeout), self._watch, job, request)
        try:
            result = await job.future
        except (Refusal, ClientDisconnect):
            self.metrics.abandoned.inc()
            raise
        except UsageError as error:
            status, code = _REFUSED.get(error.code, (400, "invalid-text"))
            raise Refusal(status, code, error.what, where=error.where, hint=error.hint) from None
        except Exception:
            # What went wrong inside is in the log, not for whoever asks.
            hint = "see the log of this server, and edgeroberta doctor there"
            raise Refusal(500, "engine-failed", "the engine failed", hint=hint) from None
        finally:
            timer.cancel()
            self.in_flight -= 1
        answer = self._answer(asked.inputs, result)
        self.metrics.request.observe(time.perf_counter() - started)
        return answer

    def _watch(self, job: Job, request: Request) -> None:
        """Give a job up once its client has gone or it has taken too long."""

        async def watch() -> None:
            limit = self.settings.timeout
            error: Exception = ClientDisconnect()
            try:
                # After the body, nothing else can come than that the client has gone.
                await asyncio.wait_for(request.receive(), limit - _UNWATCHED_SECONDS)
            except asyncio.TimeoutError:
                what, hint = f"no answer within {limit:g} s", "send fewer or shorter texts"
                error = Refusal(504, "answer-timeout", what, hint=hint)
            if not job.future.done():
                self._pool.give_up(job, error)

        watcher = asyncio.ensure_future(watch())
        job.future.add_done_callback(lambda _: watcher.cancel())

    def _answer(self, inputs: list[Input], result: Result) -> Response:
        self.metrics.engine.observe(result.seconds)
        self.metrics.texts.inc(len(inputs))
        self.metrics.truncated.inc(sum(prediction.truncated for prediction in result.predictions))
        self.metrics.windowed.inc(sum(prediction.windows > 1 for prediction in result.predictions))
        self.metrics.count_entities(result.predictions)
        tiers = [tier for each in result.predictions if (tier := getattr(each, "tier", None)) is not None]
        self.metrics.count_tiers(tiers)
        if self._drift is not None:
            self._drift.add(tiers)
        predictions = [
            answers.to_json(item, prediction)
            for item, prediction in zip(inputs, result.predictions, strict=True)
        ]
        about = {name: self._facts[name] for name in ("bundle", "engine", "engine_version")}
        return JSONResponse({**about, "predictions": predictions})

    async def _tell(self, _: Request) -> Response:
        return JSONResponse(self._about)

    async def _health(self, _: Request) -> Response:
        status = "stopping" if self.stopping else "stuck" if self.stuck() else "ready"
        ready = status == "ready"
        found = {"live": True, "ready": ready, "status": status, **self._facts}
        if self._drift is not None:
            found["cascade"] = self._drift.to_json()
        return JSONResponse(found, 200 if ready else 503)

    async def _metrics(self, _: Request) -> Response:
        return Response(self.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def _respond(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    headers = {**(refusal.headers or {}), **(headers or {})}
    return Response(refusal.body(), refusal.status_code, headers, "application/json")


async def _refused(request: Request, error: HTTPException) -> Response:
    """Answer with a refusal; what the router itself raises is a path or a method that is not taken."""
    path = request.scope["path"]
    if isinstance(error, Refusal):
        refusal = error
    elif error.status_code == 404:
        hint = did_you_mean(path, PATHS) or f"try {', '.join(PATHS)}"
        refusal = Refusal(404, "not-found", "there is nothing here", where="path", hint=hint)
    else:
        what, allowed = "this path does not take that method", (error.headers or {}).get("Allow")
        refusal = Refusal(405, "method-not-allowed", what, where=path, hint=allowed, headers=error.headers)
    # Whether a client that asked before its body now sends it or another request cannot be known.
    return _respond(refusal, {"Connection": "close"} if "expect" in request.headers else None)


async def _nobody(request: Request, error: Exception) -> None:
    """Answer nothing to a client that has gone."""


async def _failed(request: Request, error: Exception) -> Response:
    return _respond(Refusal(500, "internal-error", "this server failed; its log says how"))
