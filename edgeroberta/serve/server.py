"""Starts and stops a server: the address, the signals, the service manager.

uvicorn's own ``Server`` is not used: it ends the process when the address is taken, dies of the signal that
stopped it, cancels what is under way with a traceback, and looks for its end ten times a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import time
from collections.abc import Callable
from email.utils import formatdate

from uvicorn import Config
from uvicorn.server import ServerState

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.runtime import Runtime
from edgeroberta.serve.app import Service
from edgeroberta.serve.connection import Connection
from edgeroberta.serve.notify import notify, watchdog_seconds
from edgeroberta.serve.pool import Pool, default_workers
from edgeroberta.serve.settings import Settings

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Server:
    """A server that runs until it is told to stop, at ``address``; belongs to one event loop."""

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        runtime.prepare()  # before there is a request that would wait for it
        workers = settings.workers or default_workers(runtime)
        self._pool = Pool(runtime, workers=workers, queue=settings.queue)
        self._state = ServerState()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.address = ""
        self.service = Service(runtime, self._pool, settings, lambda: len(self._state.connections))
        self._config = Config(
            self.service, interface="asgi3", http=Connection, ws="none", lifespan="off",
            log_config=None, log_level="error", access_log=False, proxy_headers=False, server_header=False,
            headers=[("Cache-Control", "no-store")], timeout_keep_alive=math.ceil(settings.idle_timeout),
        )  # fmt: skip
        self._config.load()

    async def start(self) -> None:
        """Listen; an EdgeRobertaError where the address is taken, not this machine's, or not allowed."""
        host, port = self._settings.host, self._settings.port
        try:
            self._listener = await self._loop.create_server(
                lambda: Connection(self._config, self._state, {}), host, port, backlog=128
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
        self._repeat(self._set_date, 1.0)
        if (interval := watchdog_seconds()) is not None:
            # Half of the interval, as sd_watchdog_enabled(3) recommends.
            self._repeat(self._sign_of_life, interval / 2)

    def stop(self) -> None:
        """Ask the server to stop; a second time, not to wait for what is under way."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> bool:
        """Wait until told to stop, finish what is under way, close; False when the grace was too short."""
        await self._stop.wait()
        notify("STOPPING=1")
        self.service.stopping = True
        if self._listener is not None:
            self._listener.close()
        for connection in self.connections:
            connection.shutdown()
        finished = await self._finish()
        for task in self._tasks:
            task.cancel()
        for connection in self.connections:
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=1.0)
        return self._pool.close(1.0) and finished

    @property
    def connections(self) -> list[Connection]:
        """Those that are open."""
        return [connection for connection in self._state.connections if isinstance(connection, Connection)]

    async def _finish(self) -> bool:
        """Wait for the answers under way and for requests that are half here."""
        end = self._loop.time() + self._settings.grace
        while self.service.in_flight or any(connection.unfinished for connection in self.connections):
            if self._hurry.is_set() or self._loop.time() > end:
                return self.service.in_flight == 0
            await asyncio.sleep(0.01)
        return True

    def _repeat(self, do: Callable[[], None], seconds: float) -> None:
        async def repeat() -> None:
            while True:
                do()
                await asyncio.sleep(seconds)

        self._tasks.append(self._loop.create_task(repeat()))

    def _set_date(self) -> None:
        date = formatdate(time.time(), usegmt=True).encode()
        self._state.default_headers = [(b"date", date), *self._config.encoded_headers]

    def _sign_of_life(self) -> None:
        """Tell the watchdog that all is well; say nothing when the engine hangs, so that it acts."""
        if not self.service.stuck():
            notify("WATCHDOG=1")


def run(runtime: Runtime, settings: Settings, ready: Callable[[str], None]) -> None:
    """Do what :func:`edgeroberta.serve.serve` says."""
    if not settings.loopback:
        logger.warning(
            "%s can be reached from other machines, and there is neither a password nor encryption here: "
            "leave it to a proxy, a container or a firewall to say who may ask",
            settings.host,
        )
    if not asyncio.run(_run(runtime, settings, ready)):
        raise EdgeRobertaError(
            f"stopped with requests under way, after {settings.grace:g} s of grace", where="serve"
        )


async def _run(runtime: Runtime, settings: Settings, ready: Callable[[str], None]) -> bool:
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
