"""The threads that call the runtime, and the bounded queue before them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from edgeroberta.runtime import Runtime
from edgeroberta.runtime.answers import Said
from edgeroberta.runtime.encoding import Input

logger = logging.getLogger(__name__)


# More threads than this only wait for each other's turn in the interpreter.
_MOST_WORKERS = 4


class FullError(Exception):
    """As many requests wait as may."""


class Result(NamedTuple):
    """The predictions of a job, one per input, and the seconds in the engine, tokenization left out."""

    predictions: Sequence[Said]
    seconds: float


class Job(NamedTuple):
    """The inputs of one request, and where its result is awaited."""

    inputs: Sequence[Input]
    prompt: str | None  # what is put in front of them, by its name
    future: asyncio.Future[Result]


class Pool:
    """Threads that answer jobs, each job by itself: an answer never depends on its neighbours.

    Made on the event loop's thread, which also awaits the results. ``concurrent.futures`` has neither a
    bounded queue nor threads that let the process end while an engine hangs. ``runtime``: what answers;
    called from several threads at once. ``queue``: jobs that may wait.
    """

    def __init__(self, runtime: Runtime, *, workers: int, queue: int) -> None:
        self._runtime = runtime
        self._limit = queue
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()  # guards the two beside it
        self._closed = False
        self._began: list[float | None] = [None] * workers
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"worker-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Jobs that wait."""
        return len(self._jobs)

    @property
    def busy_seconds(self) -> float:
        """How long the worker has been at its job that has been at it longest; 0 when all are idle."""
        now = time.monotonic()
        return max((now - began for began in list(self._began) if began is not None), default=0.0)

    def submit(self, inputs: Sequence[Input], prompt: str | None = None) -> Job:
        """Queue a job; a FullError where as many wait as may."""
        job = Job(inputs, prompt, self._loop.create_future())
        with self._changed:
            if len(self._jobs) >= self._limit:
                raise FullError
            self._jobs.append(job)
            self._changed.notify()
        return job

    def give_up(self, job: Job, error: Exception) -> None:
        """Have a job end with an error; if no worker has begun it, it gives its place to the next."""
        job.future.set_exception(error)
        with self._changed, contextlib.suppress(ValueError):
            self._jobs.remove(job)

    def close(self, timeout: float) -> bool:
        """End the threads once all is answered; False when one is still busy after ``timeout`` seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _next(self) -> Job | None:
        """Wait for a job; None once the pool is closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            return self._jobs.popleft() if self._jobs else None

    def _work(self, number: int) -> None:
        while (job := self._next()) is not None:
            self._began[number] = time.monotonic()
            result = self._answer(job.inputs, job.prompt)
            self._began[number] = None
            try:
                self._loop.call_soon_threadsafe(_deliver, job.future, result)
            except RuntimeError:  # the loop is closed: the process ends, and nobody waits
                return
            # Else it would be held until the next job comes, answer and all.
            del job, result

    def _answer(self, inputs: Sequence[Input], prompt: str | None) -> Result | Exception:
        try:
            encodings = self._runtime.encode(inputs, prompt=prompt)
            started = time.perf_counter()
            outputs = self._runtime.run(encodings)
            seconds = time.perf_counter() - started
            found = self._runtime.predictions(inputs, encodings, outputs)
        # Whatever it is, one request gets an error and the thread continues with the next.
        except Exception as error:
            logger.warning("a request failed: %s: %s", type(error).__name__, error)
            return error
        return Result(found, seconds)


def _deliver(future: asyncio.Future[Result], result: Result | Exception) -> None:
    if future.done():  # given up
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def default_workers(runtime: Runtime, threads: int | None = None) -> int:
    """Return how many calls of ``threads`` threads (else the bundle's) the processor has room for, 1 to 4."""
    threads = threads or (runtime.manifest.threads if runtime.manifest is not None else 1)
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return max(1, min(cores // threads, _MOST_WORKERS))
