"""Whether ``edgeroberta serve`` keeps its memory and loses no answer under load.

    python -m benchmarks.serve BUNDLE [--requests 200000] [--clients 4]

The server and each client are processes of their own; clients keep their connection, compare every answer
with what the runtime gives for that text alone, to the last digit of its scores and with the tier of a
cascade, and send something malformed every twentieth time (serve_client.py). Memory is looked at every
second, and compared between the end of the warm-up and the end. Writes
benchmarks/results/<machine>/serve.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import watch
from benchmarks.results import Check, Latency, Result, Row, now, this_machine, write
from benchmarks.rounds import ROOT
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.hardware import versions
from edgeroberta.runtime import Runtime, answers

logger = logging.getLogger(__name__)

TEXTS = 500
WORDS = ("a", "the", "film", "plot", "music", "was", "is", "not", "never", "always", "good", "dull", "loud")
# Engines and allocators grow to their working size first; the same 1,000 calls per client settle the runtime.
WARM_UP = 10_000
#: MB of growth that is none: a leak of 100 bytes a request would be 20 MB in 200,000.
GROWTH_BAR = 4.0


def wanted_answers(bundle: Path) -> tuple[list[dict[str, Any]], str]:
    """Make texts and have the runtime answer each by itself: predictions as JSON, and the engine's name."""
    rng = np.random.default_rng(0)
    texts = [f"{' '.join(rng.choice(WORDS, size=int(rng.integers(1, 30))))} {row}" for row in range(TEXTS)]
    with Runtime.open(bundle) as runtime:
        return [answers.to_json(text, runtime(text)) for text in texts], runtime.engine


@contextmanager
def server(bundle: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the command on a free port; yields the process and the port.

    Raises:
        EdgeRobertaError: It does not start.
    """
    command = [sys.executable, "-m", "edgeroberta", "serve", str(bundle), "--port", "0"]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    assert process.stderr is not None
    drain = threading.Thread(target=process.stderr.read)
    try:
        said = []
        for line in process.stderr:
            said.append(line.strip())
            if found := re.search(r" at http://\S+:(\d+)$", said[-1]):
                break
        else:
            raise EdgeRobertaError(f"the server does not start: {' '.join(said)}", where=str(bundle))
        # A full pipe would stop a server that has much to say.
        drain.start()
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if drain.ident is not None:
            drain.join()
        process.stderr.close()


def load(
    process: subprocess.Popen[str], port: int, wanted: Path, *, clients: int, requests: int
) -> dict[str, Any]:
    """Send requests from several clients at once.

    Returns:
        What the clients found, ``seconds`` it took, and ``memory``: MB of the server, once a second.
    """
    share, started = requests // clients, time.monotonic()
    command = [sys.executable, "-m", "benchmarks.serve_client", str(port), str(wanted), str(share)]
    memory: list[float] = []
    looked = 0.0
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.json" for number in range(clients)]
        running = []
        for number, file in enumerate(files):
            with file.open("w", encoding="utf-8") as output:
                # Apart, so that the clients do not ask the same at the same time.
                words = [*command, str(number * 997)]
                running.append(subprocess.Popen(words, cwd=ROOT, stdout=output))
        while any(client.poll() is None for client in running):
            if time.monotonic() - looked >= 1:
                looked = time.monotonic()
                memory.append(watch.resident_bytes(process.pid) / 1e6)
            time.sleep(0.02)
        seconds = time.monotonic() - started
        found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    totals = {name: sum(one[name] for one in found) for name in found[0] if name not in ("ms", "tiers")}
    totals["tiers"] = dict(sum((Counter(one["tiers"]) for one in found), Counter()))
    return {"ms": [one["ms"] for one in found], "seconds": seconds, "memory": memory, **totals}


def make_row(
    found: dict[str, Any], *, warm: float, end: float, code: int, stop_seconds: float, engine: str
) -> Row:
    """Put what was measured into a row of the results."""
    values = np.array([value for client in found["ms"] for value in client])
    p50, p90, p99 = (round(float(value), 3) for value in np.percentile(values, (50, 90, 99)))
    latency = Latency(
        n=len(values), warm_up=WARM_UP, p50=p50, p90=p90, p99=p99,
        round_p50=tuple(round(float(np.median(client)), 3) for client in found["ms"]),
    )  # fmt: skip
    figures = {
        "requests": len(values) + found["lost"] + found["malformed"],
        "requests/s": (len(values) + found["malformed"]) / found["seconds"],
        "p50 ms": p50,
        "p99 ms": p99,
        "answers lost": found["lost"],
        "answers wrong": found["wrong"],
        **{f"answered by {name} %": 100 * count / len(values) for name, count in found["tiers"].items()},
        "malformed requests": found["malformed"],
        "of these not answered as they should be": found["malformed_mistaken"],
        "resident MB after the warm-up": warm,
        "resident MB at the end": end,
        "most resident MB": max(found["memory"], default=end),
        "growth MB": end - warm,
        "exit code after SIGTERM": code,
        "seconds from SIGTERM to the end": stop_seconds,
    }
    return Row(
        name="serve",
        title="edgeroberta serve",
        versions=versions(("edgeroberta", *engine.split(","), "tokenizers", "numpy")),
        latency=latency,
        values=tuple((name, round(float(value), 3)) for name, value in figures.items()),
    )


def checks(row: Row) -> tuple[Check, ...]:
    """Hold the row to the promises."""
    values = dict(row.values)
    zero = (
        "answers lost",
        "answers wrong",
        "of these not answered as they should be",
        "exit code after SIGTERM",
    )
    titles = {zero[2]: "malformed requests not answered with their 4xx"}
    found = [
        Check(
            title=f"serve: {titles.get(name, name)}", value=values[name], unit="", direction="at most", bar=0
        )
        for name in zero
    ]
    title = f"serve: growth of its memory over {values['requests']:,.0f} requests"
    return (
        *found,
        Check(title=title, value=values["growth MB"], unit="MB", direction="at most", bar=GROWTH_BAR),
    )


def measure(bundle: Path, *, clients: int, requests: int, warm_up: int) -> Row:
    """Start a server, warm it up, load it, stop it."""
    predictions, engine = wanted_answers(bundle)
    with tempfile.TemporaryDirectory() as folder, server(bundle) as (process, port):
        wanted = Path(folder) / "wanted.json"
        wanted.write_text(json.dumps(predictions), encoding="utf-8")
        load(process, port, wanted, clients=clients, requests=warm_up)
        warm = watch.resident_bytes(process.pid) / 1e6
        found = load(process, port, wanted, clients=clients, requests=requests)
        end = watch.resident_bytes(process.pid) / 1e6
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
        stopped = time.monotonic() - started
    return make_row(found, warm=warm, end=end, code=code, stop_seconds=stopped, engine=engine)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--requests", type=int, default=200_000, help="requests of all clients together")
    parser.add_argument("--clients", type=int, default=4, help="clients at once")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    machine = this_machine(arguments.machine)
    bundle = arguments.bundle.resolve()
    row = measure(bundle, clients=arguments.clients, requests=arguments.requests, warm_up=WARM_UP)
    settings = {"requests": arguments.requests, "clients": arguments.clients, "texts": TEXTS}
    result = Result(
        benchmark="serve", measured=now(), machine=machine, settings=settings, rows=(row,), checks=checks(row)
    )
    for check in result.checks:
        logger.info("%s  %s: %g %s", "ok  " if check.ok else "FAIL", check.title, check.value, check.unit)
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
