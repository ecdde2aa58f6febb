"""Answers texts over HTTP: ``POST /predict``, ``GET /about``, ``/health``, ``/metrics``, and a page at ``/``.

::

    from edgeroberta.runtime import Runtime
    from edgeroberta.serve import Settings, serve

    with Runtime.open("out/") as runtime:
        serve(runtime, Settings(port=8080))

Starlette answers, uvicorn carries the connections in one thread, and a few threads call the runtime (engines
release the interpreter while they compute). They come with the extra ``serve``, which only :func:`serve`
imports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeroberta import extras
from edgeroberta.runtime import Runtime
from edgeroberta.serve.settings import Settings

__all__ = ["Settings", "serve"]

logger = logging.getLogger(__name__)


def serve(
    runtime: Runtime, settings: Settings | None = None, *, ready: Callable[[str], None] = logger.info
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and return; the runtime stays open."""
    extras.require("serve", purpose="edgeroberta serve")
    from edgeroberta.serve.server import run

    run(runtime, settings or Settings(), ready)
