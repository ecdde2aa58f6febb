"""The threads that call the runtime, and the bounded queue before them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeroberta.runtime import Prediction, Runtime
from edgeroberta.runtime.postprocess import interpret
from edgeroberta.runtime.tokenizer import Input

logger = logging.getLogger(__name__)


class FullError(Exception):
    """As many requests wait as may."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its predictions, or what went wrong.

    Attributes:
        predictions: One per input; None when it failed.
        error: What the runtime raised.
        seconds: Time in the engine.
    """

    predictions: list[Prediction] | None
    error: Exception | None
    seconds: float


class Job:
    """Inputs on their way through a worker; ``done`` is called on the thread of the event loop."""

    def __init__(self, inputs: Sequence[Input], done: Callable[[Outcome], None]) -> None:
        self.inputs = inputs
        self._done: Callable[[Outcome], None] | None = done

    def abandon(self) -> None:
        """Drop the answer."""
        self._done = None

    def finish(self, outcome: Outcome) -> None:
        """Hand the outcome on, unless nobody waits for it."""
        done, self._done = self._done, None
        if done is not None:
            done(outcome)


class Pool:
    """Threads that answer jobs, each job by itself: an answer never depends on its neighbours.

    Args:
        runtime: What answers; called from several threads at once.
        workers: Threads.
        queue: Jobs that may wait.
        hand_over: Runs a function on the thread of the event loop (``loop.call_soon_threadsafe``).
    """

    def __init__(
        self, runtime: Runtime, *, workers: int, queue: int, hand_over: Callable[..., object]
    ) -> None:
        self._runtime = runtime
        self._limit = queue
        self._hand_over = hand_over
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()  # guards the two beside it
        self._closed = False
        self._began: list[float | None] = [None] * workers
        # Daemons: an engine that hangs must not keep a process alive that was told to end.
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

    def submit(self, inputs: Sequence[Input], done: Callable[[Outcome], None]) -> Job:
        """Queue a job.

        Raises:
            FullError: As many wait as may.
        """
        job = Job(inputs, done)
        with self._changed:
            if len(self._jobs) >= self._limit:
                raise FullError
            self._jobs.append(job)
            self._changed.notify()
        return job

    def abandon(self, job: Job) -> None:
        """Drop the answer of a job; one that no worker has begun gives its place to the next."""
        job.abandon()
        with self._changed, contextlib.suppress(ValueError):
            self._jobs.remove(job)

    def close(self, timeout: float) -> bool:
        """End the threads once they are through with what is queued.

        Args:
            timeout: Seconds to wait for them, together.

        Returns:
            False when one is still busy then.
        """
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
            outcome = self._answer(job.inputs)
            self._began[number] = None
            try:
                self._hand_over(job.finish, outcome)
            except RuntimeError:  # the loop is closed: the process ends, and nobody waits
                return
            # Else it would be held until the next job comes, answer and all.
            del job, outcome

    def _answer(self, inputs: Sequence[Input]) -> Outcome:
        seconds = 0.0
        try:
            encodings = self._runtime.encode(inputs)
            started = time.perf_counter()
            rows = self._runtime.run_ids([encoding.ids for encoding in encodings])
            seconds = time.perf_counter() - started
            found = [
                interpret(self._runtime.task, row, truncated=encoding.truncated)
                for row, encoding in zip(rows, encodings, strict=True)
            ]
        # Whatever it is, one request gets an error and the thread goes on with the next.
        except Exception as error:
            logger.warning("a request failed: %s: %s", type(error).__name__, error)
            return Outcome(None, error, seconds)
        return Outcome(found, None, seconds)
