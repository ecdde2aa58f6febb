"""Answers texts over HTTP: ``POST /predict``, ``GET /health``, ``GET /metrics``.

::

    from edgeroberta.runtime import Runtime
    from edgeroberta.serve import Settings, serve

    with Runtime.open("out/") as runtime:
        serve(runtime, Settings(port=8080))

The standard library's asyncio carries the connections in one thread, and a few threads call the runtime
(engines let go of the interpreter while they compute). ``http.server`` would give each connection a
thread, so that a client that sends a byte a second holds one for as long as it likes; here it costs a
buffer and a timer. The protocol class is used instead of asyncio's streams, which make several tasks and
futures per request. Nothing beyond the base install is needed.
"""

from __future__ import annotations

from edgeroberta.serve.server import Server, serve
from edgeroberta.serve.settings import Settings

__all__ = ["Server", "Settings", "serve"]
