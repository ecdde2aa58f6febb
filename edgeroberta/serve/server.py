"""Starts and stops a server: the address, the signals, the service manager."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.runtime import Runtime
from edgeroberta.serve.connection import Connection
from edgeroberta.serve.notify import notify, watchdog_seconds
from edgeroberta.serve.pool import Pool
from edgeroberta.serve.service import Service
from edgeroberta.serve.settings import Settings

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# More threads than this only wait for each other's turn in the interpreter.
_MOST_WORKERS = 4


class Server:
    """A server that runs until it is told to stop; belongs to one event loop.

    Attributes:
        settings: Its limits; ``port`` is the real one after :meth:`start`.
        address: ``http://host:port`` after :meth:`start`.
        service: What answers.
    """

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(
            runtime,
            workers=settings.workers or default_workers(runtime),
            queue=settings.queue,
            hand_over=self._loop.call_soon_threadsafe,
        )
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self.settings = settings
        self.address = ""
        self.service = Service(runtime, self._pool, settings)

    async def start(self) -> None:
        """Listen.

        Raises:
            EdgeRobertaError: The address is taken, not this machine's, or not allowed.
        """
        host, port = self.settings.host, self.settings.port
        try:
            self._listener = await self._loop.create_server(
                lambda: Connection(self.service, self._connections), host, port, backlog=128
            )
        except OSError as error:
            self._pool.close(0.0)
            raise EdgeRobertaError(
                f"cannot listen there ({error.strerror or error})",
                where=f"{host}:{port}",
                hint="choose another --port, or --port 0 for one that is free",
            ) from error
        port = self._listener.sockets[0].getsockname()[1]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        notify(f"READY=1\nSTATUS=Answering at {self.address}")
        if (interval := watchdog_seconds()) is not None:
            self._sign_of_life(interval)

    def stop(self) -> None:
        """Ask the server to stop; a second time, not to wait for what is under way."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> bool:
        """Wait until told to stop, finish what is under way, and close.

        Returns:
            False when a request did not finish within the grace period.
        """
        await self._stop.wait()
        notify("STOPPING=1")
        self.service.stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.stop()
        finished = await self._finish()
        if self._watchdog is not None:
            self._watchdog.cancel()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # lets the aborted connections say that they are lost
        return self._pool.close(1.0) and finished

    async def _finish(self) -> bool:
        """Wait for the answers under way and for requests that are half here."""
        end = self._loop.time() + self.settings.grace
        while self.service.in_flight or any(connection.unfinished for connection in self._connections):
            if self._hurry.is_set() or self._loop.time() > end:
                return self.service.in_flight == 0
            await asyncio.sleep(0.01)
        return True

    def _sign_of_life(self, interval: float) -> None:
        """Tell the watchdog that all is well; say nothing when the engine hangs, so that it acts."""
        if not self.service.stuck():
            notify("WATCHDOG=1")
        # Half of the interval, as sd_watchdog_enabled(3) recommends.
        self._watchdog = self._loop.call_later(interval / 2, self._sign_of_life, interval)


def default_workers(runtime: Runtime, threads: int | None = None) -> int:
    """Return how many calls of the runtime the processor has room for, 1 to 4.

    Args:
        runtime: What answers.
        threads: Threads of one call; None for what the bundle says.
    """
    threads = threads or (runtime.manifest.threads if runtime.manifest is not None else 1)
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return max(1, min(cores // threads, _MOST_WORKERS))


def serve(
    runtime: Runtime, settings: Settings | None = None, *, ready: Callable[[str], None] = logger.info
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and return.

    Args:
        runtime: What answers; it stays open.
        settings: Limits.
        ready: Called with the address once it listens.

    Raises:
        EdgeRobertaError: It cannot listen, or a request was still under way after the grace period.
        UsageError: Not called from the main thread, which is the one that gets signals.
    """
    settings = settings or Settings()
    if not settings.loopback:
        logger.warning(
            "%s can be reached from other machines, and there is neither a password nor encryption here: "
            "leave it to a proxy, a container or a firewall to say who may ask",
            settings.host,
        )
    if not asyncio.run(_serve(runtime, settings, ready)):
        raise EdgeRobertaError(
            f"stopped with requests under way, after {settings.grace:g} s of grace", where="serve"
        )


async def _serve(runtime: Runtime, settings: Settings, ready: Callable[[str], None]) -> bool:
    server = Server(runtime, settings)
    loop = asyncio.get_running_loop()
    try:
        for number in _SIGNALS:
            loop.add_signal_handler(number, server.stop)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise UsageError(f"signals cannot be received here ({error})", where="serve") from error
    await server.start()
    ready(server.address)
    return await server.run()
