"""The page in a browser: when its first answer stands there, and how long one takes after a key.

    cd examples/web && npm ci --ignore-scripts && cd ../..
    edgeroberta compress --recipe int8-distill --target web -o out/
    python -m benchmarks.page out/ [--rounds 3] [--sentences 3]

Chromium, without a window, opens the page of examples/web with the model in WebAssembly, and the same page of
``edgeroberta serve``; the two take turns. The first visit of a new profile is the cold one, and each round is
another. Held-out sentences of the demo are then typed, a key every 120 ms. A first answer counts from the
beginning of the visit; with the server, whose page begins empty, a text is put in once there is a field.
Typing counts from a key to the answer, the page's pause of 30 ms included. Writes
benchmarks/results/<machine>/page.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import chromium, serve
from benchmarks.javascript import heldout
from benchmarks.results import Check, Result, Row, now, this_machine, write
from benchmarks.rounds import ROOT
from edgeroberta.errors import UsageError
from edgeroberta.runtime import manifest

logger = logging.getLogger(__name__)

EXAMPLE = ROOT / "examples" / "web"
WASM, SERVER = "wasm", "server"
TITLES = {WASM: "WebAssembly", SERVER: "`edgeroberta serve`"}
#: Seconds between two keys: 100 words a minute.
KEYS_APART = 0.12
#: Seconds of a first answer from a warm cache, and ms from a key to an answer, at most.
FIRST, TYPING = 3.0, 60.0

#: Seconds from the beginning of the visit to the first answer.
_FIRST = (
    "(({ startTime, duration }) => (startTime + duration) / 1000)(performance.getEntriesByName('answer')[0])"
)
_READY = "document.getElementById('answer')?.ariaBusy === 'false'"
_ANSWERED = f"{_READY} && performance.getEntriesByName('answer').length > 0"


@dataclass
class Measured:
    """What was found of one page: seconds, and milliseconds from keys and from sent texts to answers."""

    first: list[float] = field(default_factory=list)  # of each visit, the cold one first
    typed: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    keys: int = 0
    errors: list[str] = field(default_factory=list)


@contextmanager
def example(bundle: Path) -> Iterator[str]:
    """Serve the page of examples/web with a bundle; yields its address."""
    if not (EXAMPLE / "node_modules").is_dir():
        hint = f"npm ci --ignore-scripts, in {EXAMPLE}"
        raise UsageError("its packages are not installed", where=str(EXAMPLE), hint=hint)
    spec = importlib.util.spec_from_file_location("web_serve", EXAMPLE / "serve.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.make_server([bundle], 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{module.address_of(bundle.resolve().name)}"
        server.shutdown()


def visit(tab: chromium.Page, address: str, found: Measured) -> None:
    """Open a page and note when its first answer stood there."""
    tab.open("about:blank")
    tab.open(address)
    tab.wait("document.getElementById('text-0') !== null")
    if not tab.run("document.getElementById('text-0').value"):
        tab.type("text-0", "a film")
    tab.wait(_ANSWERED)
    found.first.append(float(tab.run(_FIRST)))


def type_sentences(tab: chromium.Page, sentences: Sequence[str], found: Measured) -> None:
    """Type sentences key by key, and note how long each answer took."""
    tab.run("performance.clearMeasures()")
    for sentence in sentences:
        tab.run("document.getElementById('text-0').select()")
        for key in sentence:
            tab.call("Input.insertText", text=key)
            time.sleep(KEYS_APART)
        tab.wait(_READY)
        found.keys += len(sentence)
    for name, times in (("typed", found.typed), ("answer", found.asked)):
        times += tab.run(f"performance.getEntriesByName('{name}').map((each) => each.duration)")


def measured(
    addresses: dict[str, str], sentences: Sequence[str], rounds: int
) -> tuple[dict[str, Measured], str]:
    """Measure pages in turns; returns what was found of each, and the browser's name."""
    program = chromium.find()
    if program is None:
        raise UsageError("Chromium is not installed", where="benchmarks.page", hint="apt install chromium")
    found = {name: Measured() for name in addresses}
    with tempfile.TemporaryDirectory() as folder, chromium.opened(program, Path(folder)) as tab:
        product = str(tab.connection.call("Browser.getVersion")["product"])
        for name, address in addresses.items():
            visit(tab, address, found[name])
        parts = [sentences[number::rounds] for number in range(rounds)]
        for number, part in enumerate(parts):
            for name in sorted(addresses, reverse=bool(number % 2)):
                visit(tab, addresses[name], found[name])
                type_sentences(tab, part, found[name])
                tab.listen()
                found[name].errors += tab.errors
                tab.errors.clear()
                logger.info("%s, round %d: %s", name, number + 1, row(name, found[name]).values)
    return found, product


def row(name: str, found: Measured) -> Row:
    """Lay out what was found of one page."""
    cold, *warm = found.first
    (typed, slow), (asked, slow_asked) = (
        map(float, np.percentile(times, (50, 90))) for times in (found.typed, found.asked)
    )
    values = {
        "first answer, first visit, s": cold,
        "first answer, later visits, s": float(np.median(warm)),
        "slowest of them, s": max(warm),
        "key to answer, p50 ms": typed,
        "key to answer, p90 ms": slow,
        "sending to answer, p50 ms": asked,
        "sending to answer, p90 ms": slow_asked,
        "keys": found.keys,
        "answers": len(found.typed),
        "errors in the console": len(found.errors),
    }
    rounded = tuple((key, float(f"{value:.4g}")) for key, value in values.items())
    return Row(name=name, title=TITLES[name], values=rounded)


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the page in WebAssembly to what is promised, and both to a quiet console."""
    promised = (
        (WASM, "slowest of them, s", "first answer from a warm cache", "s", FIRST),
        (WASM, "key to answer, p50 ms", "key to answer, p50", "ms", TYPING),
        (WASM, "errors in the console", "console", "errors", 0),
        (SERVER, "errors in the console", "console", "errors", 0),
    )
    values = {each.name: dict(each.values) for each in rows}
    return tuple(
        Check(
            title=f"{TITLES[name]}: {title}",
            value=values[name][value],
            unit=unit,
            direction="at most",
            bar=bar,
        )
        for name, value, title, unit, bar in promised
    )


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=3, help="in each round")
    parser.add_argument("--machine", help="name of the folder of results")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    machine = this_machine(options.machine)
    sentences = heldout(options.rounds * options.sentences)
    with example(options.bundle) as address, serve.server(options.bundle) as (_, port):
        addresses = {WASM: address, SERVER: f"http://127.0.0.1:{port}/"}
        found, product = measured(addresses, sentences, options.rounds)
    rows = tuple(row(name, each) for name, each in found.items())
    result = Result(
        benchmark="page",
        measured=now(),
        machine=machine,
        settings={
            "browser": product,
            "rounds": options.rounds,
            "sentences": len(sentences),
            "keys_apart_ms": int(1000 * KEYS_APART),
            "bundle_digest": manifest.read(options.bundle).digest,
        },
        rows=rows,
        checks=checks(rows),
    )
    for check in result.checks:
        logger.info("%s: %.3g, at most %g", check.title, check.value, check.bar)
    logger.info("written: %s", write(result))


if __name__ == "__main__":
    main()
