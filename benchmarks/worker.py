"""One contestant in its own process: JSON lines in, JSON lines out, until standard input closes.

Runs in foreign environments, so it needs the standard library only. Requests:

    {"open": "module:function", "arguments": {...}}        -> {"versions": {...}, "size_mb": 1.0}
    {"run": [item, ...], "untimed": 3}                     -> {"ms": [...], "answers": [...]}

A request that fails is answered with {"error": "..."}.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Contestant(Protocol):
    """What an opener returns: how one item is made ready, and the call that is timed."""

    packages: Sequence[str]
    size_mb: float

    def prepare(self, item: Any) -> Any:
        """Turn an item from the wire into the argument of ``answer``; not timed."""
        ...

    def answer(self, prepared: Any) -> Any:
        """Do the work that is timed; return a JSON value: the index of the label, entities, or None."""
        ...


def open_contestant(opener: str, arguments: dict[str, Any]) -> Contestant:
    """Import and call an opener given as ``module:function``."""
    module, _, name = opener.partition(":")
    function: Callable[..., Contestant] = getattr(importlib.import_module(module), name)
    return function(**arguments)


def run(contestant: Contestant, items: Sequence[Any], untimed: int) -> dict[str, Any]:
    """Time one call per item, after ``untimed`` calls that bring the caches back."""
    prepared = [contestant.prepare(item) for item in items]
    for item in prepared[:untimed]:
        contestant.answer(item)
    milliseconds, answers = [], []
    for item in prepared:
        started = time.perf_counter()
        answer = contestant.answer(item)
        milliseconds.append((time.perf_counter() - started) * 1e3)
        answers.append(answer)
    return {"ms": milliseconds, "answers": answers}


def serve() -> None:
    """Answer requests until standard input closes."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # engines and exporters print; the wire is ours
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # else what they print is lost where the process dies
    contestant: Contestant | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "open" in request:
                contestant = open_contestant(request["open"], request["arguments"])
                versions = {name: importlib.metadata.version(name) for name in contestant.packages}
                reply = {"versions": versions, "size_mb": contestant.size_mb}
            elif contestant is None:
                reply = {"error": "nothing is open"}
            else:
                reply = run(contestant, request["run"], request["untimed"])
        except Exception as error:  # whatever a peer raises becomes a row, not the end
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    serve()
