"""``edgeroberta serve``: answer texts over HTTP."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import (
    Aggregation,
    Bundle,
    Debug,
    EngineCache,
    LongText,
    MaxAnswerTokens,
    NoAnswer,
    Quiet,
    Stride,
    TopK,
    Verbose,
)


def serve(
    bundle: Bundle,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 lets other machines ask."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for one that is free.")] = 8080,
    engine: Annotated[
        str | None, typer.Option(help="Engine to run on; else the bundle's first that is installed.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the engine; else what the bundle's target says.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Requests answered at once; else as the cores allow, up to 4.")
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; more are answered 503.")] = 64,
    max_batch: Annotated[int, typer.Option(min=1, help="Most texts in one request.")] = 32,
    max_bytes: Annotated[int, typer.Option(min=1, help="Most bytes in one request.")] = 1 << 20,
    timeout: Annotated[float, typer.Option(help="Seconds until a request is answered 504.")] = 10.0,
    no_page: Annotated[
        bool, typer.Option("--no-page", help="Leave out the page at / that asks for texts and shows answers.")
    ] = False,
    drift_window: Annotated[
        int, typer.Option(min=500, help="Last texts whose shares of a cascade's tiers are compared.")
    ] = 2000,
    drift_alarms: Annotated[
        float, typer.Option(help="Probability of a false warning in 200,000 texts; 0 for no warnings.")
    ] = 0.01,
    aggregation: Aggregation = None,
    long_text: LongText = None,
    stride: Stride = None,
    top_k: TopK = None,
    no_answer: NoAnswer = None,
    max_answer_tokens: MaxAnswerTokens = None,
    engine_cache: EngineCache = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the address as JSON once it can be asked.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Answer texts over HTTP, with a page to try them.

    The page is at /; programs ask POST /predict, GET /about, /health and /metrics.
    """
    from edgeroberta import extras
    from edgeroberta import serve as server
    from edgeroberta.serve.pool import default_workers

    extras.require("serve", purpose="edgeroberta serve")
    # First, so that a wrong number is said before an engine is built.
    settings = server.Settings(
        host=host, port=port, workers=workers, queue=queue, max_batch=max_batch, max_bytes=max_bytes,
        timeout=timeout, page=not no_page, drift_window=drift_window, drift_alarms=drift_alarms,
    )  # fmt: skip
    with api.load(
        bundle, engine=engine, threads=threads, aggregation=aggregation, long_text=long_text, stride=stride,
        top_k=top_k, no_answer=no_answer, max_answer_tokens=max_answer_tokens,
        engine_cache=engine_cache,
    ) as runtime:  # fmt: skip
        about = {"bundle": str(bundle), "engine": runtime.engine, "engine_version": runtime.engine_version}

        def ready(address: str) -> None:
            if json:
                console.out_json({"address": address, **about})
                sys.stdout.flush()  # whoever started this waits for it, perhaps at the end of a pipe
            else:
                engine_name = f"{runtime.engine} {runtime.engine_version}"
                console.say(f"serving {bundle} on {engine_name} at {address}")

        # Calls that have several threads each leave room for fewer at once.
        at_once = workers or default_workers(runtime, threads)
        server.serve(runtime, replace(settings, workers=at_once), ready=ready)
