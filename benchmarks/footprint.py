"""Measures the runtime from inside a fresh process; prints one JSON line. Started by benchmarks/runtime.py.

    python -m benchmarks.footprint import
    python -m benchmarks.footprint start BUNDLE ENGINE
    python -m benchmarks.footprint opening BUNDLE ENGINE [FOLDER]
    python -m benchmarks.footprint growth BUNDLE ENGINE TEXTS CALLS
    python -m benchmarks.footprint overhead BUNDLE ENGINE TEXTS ROUNDS

TEXTS is a JSON list of strings, FOLDER one in which the engine may keep what it compiles. Nothing is
imported at the top that a device program would not import, so another version can be measured as well:
``PYTHONPATH=CLONE python benchmarks/footprint.py opening BUNDLE openvino``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Calls before resident memory is taken as settled: engines grow arenas for each new length.
SETTLING_CALLS = 1000
TEXT = "a film that is never less than charming"


def import_runtime() -> dict[str, float]:
    """Time ``import edgeroberta.runtime``, the interpreter's own start left out."""
    started = time.perf_counter()
    import edgeroberta.runtime  # noqa: F401

    return {"import_ms": milliseconds(started)}


def start(bundle: str, engine: str) -> dict[str, float]:
    """Time what a program waits for until its first answer: import, open, one text."""
    started = time.perf_counter()
    from edgeroberta.runtime import Runtime

    imported = time.perf_counter()
    runtime = Runtime.open(bundle, engine=engine, threads=1)
    opened = time.perf_counter()
    runtime(TEXT)
    return {
        "open_ms": (opened - imported) * 1e3,
        "answer_ms": milliseconds(opened),
        "open_and_answer_ms": milliseconds(imported),
        "with_import_ms": milliseconds(started),
    }


def opening(bundle: str, engine: str, folder: str = "") -> dict[str, float]:
    """Measure what opening adds to a process that has imported the engine and nothing else of ours.

    Returns:
        Milliseconds and processor time of opening; the memory it takes in MB (10^6 bytes): resident, with the
        pages of mapped files that are read, and private, without; and the peak of the whole process.
    """
    importlib.import_module(engine)
    resident, private = resident_mb("VmRSS"), resident_mb("RssAnon")
    from edgeroberta.runtime import Runtime

    kept = {"engine_cache": folder} if folder else {}
    started, processor = time.perf_counter(), time.process_time()
    runtime = Runtime.open(bundle, engine=engine, threads=1, **kept)
    measured = {"open_ms": milliseconds(started), "open_cpu_ms": (time.process_time() - processor) * 1e3}
    found = {"resident_mb": resident_mb("VmRSS") - resident, "private_mb": resident_mb("RssAnon") - private}
    runtime.close()
    return {**measured, **found, "peak_mb": resident_mb("VmHWM")}


def growth(bundle: str, engine: str, texts: str, calls: str) -> dict[str, float]:
    """Measure resident memory after settling and after ``calls`` more calls, in MB (10^6 bytes)."""
    from edgeroberta.runtime import Runtime

    items = json.loads(Path(texts).read_text(encoding="utf-8"))
    runtime = Runtime.open(bundle, engine=engine, threads=1)
    for number in range(max(SETTLING_CALLS, len(items))):
        runtime(items[number % len(items)])
    settled = resident_mb("VmRSS")
    for number in range(int(calls)):
        runtime(items[number % len(items)])
    return {
        "resident_mb": resident_mb("VmRSS"),
        "peak_mb": resident_mb("VmHWM"),
        "growth_mb": resident_mb("VmRSS") - settled,
    }


def overhead(bundle: str, engine: str, texts: str, rounds: str) -> dict[str, float]:
    """Compare a call of the runtime with tokenizer plus engine called directly, text by text.

    The engine of a cascade is that of each tier that the text is asked of.

    Returns:
        p50 in ms of the whole call, of ``tokenizers`` alone and of the engine alone, and the
        overhead: the median over texts of (call - tokenizer - engine), relative to the engine's p50.
    """
    from tokenizers import Tokenizer

    from edgeroberta.runtime import Runtime

    items = json.loads(Path(texts).read_text(encoding="utf-8"))
    runtime = Runtime.open(bundle, engine=engine, threads=1)
    tokenizer = Tokenizer.from_file(str(Path(bundle) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(runtime.max_length)
    calls = [(item, bare_call(parts)) for item, parts in zip(items, bare_parts(runtime, engine, items))]  # noqa: B905
    whole, tokens, engines, differences = [], [], [], []
    for number in range(int(rounds) + 1):
        for text, call in calls:
            total, encode, run = timed(runtime, text), timed(tokenizer.encode, text), timed(call)
            if number == 0:  # the first round warms up
                continue
            whole.append(total)
            tokens.append(encode)
            engines.append(run)
            differences.append(total - encode - run)
    engine_p50 = median(engines)
    return {
        "call_p50_ms": median(whole),
        "tokenizer_p50_ms": median(tokens),
        "engine_p50_ms": engine_p50,
        "overhead_percent": 100 * median(differences) / engine_p50,
    }


def bare_parts(runtime: Any, engine: str, items: list[str]) -> Iterator[list[Callable[[], Any]]]:
    """Give the bare engine calls that each text takes: one, or one of each tier that it is asked of."""
    bare = {"onnxruntime": bare_onnxruntime, "openvino": bare_openvino}[engine]
    models = [runtime.tier(name) for name in runtime.tiers] or [runtime]
    make = [bare(str(model.manifest.folder), model) for model in models]
    for item, encoding in zip(items, runtime.encode(items)):  # noqa: B905
        asked = len(models) if not runtime.tiers else runtime.tiers.index(runtime(item).tier) + 1
        read = [*encoding.tiers, encoding][:asked]
        yield [one(own.ids) for one, own in zip(make, read) if own is not None]  # noqa: B905


def bare_call(parts: list[Callable[[], Any]]) -> Callable[[], Any]:
    """Make one call of several."""
    return parts[0] if len(parts) == 1 else lambda: [part() for part in parts]


def bare_onnxruntime(bundle: str, runtime: Any) -> Callable[[Any], Callable[[], Any]]:
    """Return a function that makes the bare ONNX Runtime call for some ids."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(Path(bundle) / "model.onnx"), options, providers=providers)

    def make(ids: Any) -> Callable[[], Any]:
        feed = {"input_ids": ids[None], "attention_mask": np.ones_like(ids)[None]}
        return lambda: session.run(["logits"], feed)

    return make


def bare_openvino(bundle: str, runtime: Any) -> Callable[[Any], Callable[[], Any]]:
    """Return a function that makes the bare OpenVINO call, at the length the runtime pads to."""
    import numpy as np
    import openvino

    from edgeroberta.runtime import lengths

    core = openvino.Core()
    own = Path(bundle) / "openvino_model.xml"
    graph = own if own.is_file() else Path(bundle) / "model.onnx"  # engines may share one file of weights
    known = lengths.choose(runtime.manifest.lengths, runtime.max_length)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": "1",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    requests: dict[int, Any] = {}

    def make(ids: Any) -> Callable[[], Any]:
        length = known.padded(len(ids))
        if length not in requests:
            model = core.read_model(str(graph))
            model.reshape({name: [1, length] for name in ("input_ids", "attention_mask")})
            requests[length] = core.compile_model(model, "CPU", settings).create_infer_request()
        padded = np.full((1, length), 1, np.int64)
        padded[0, : len(ids)] = ids
        mask = (np.arange(length) < len(ids)).astype(np.int64)[None]
        feed = {"input_ids": padded, "attention_mask": mask}
        return lambda: requests[length].infer(feed, share_inputs=True, share_outputs=True)[0]

    return make


def timed(call: Callable[..., Any], *arguments: Any) -> float:
    """Return how long a call takes, in milliseconds."""
    started = time.perf_counter()
    call(*arguments)
    return milliseconds(started)


def milliseconds(started: float) -> float:
    """Return the milliseconds since ``started``."""
    return (time.perf_counter() - started) * 1e3


def median(values: list[float]) -> float:
    """Return the middle value (``statistics`` costs an import that would count as memory)."""
    return sorted(values)[len(values) // 2]


def resident_mb(field: str) -> float:
    """Read a field of /proc/self/status: VmRSS is resident now, RssAnon without files, VmHWM its peak."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


MEASUREMENTS: dict[str, Callable[..., dict[str, float]]] = {
    "import": import_runtime,
    "start": start,
    "opening": opening,
    "growth": growth,
    "overhead": overhead,
}

if __name__ == "__main__":
    print(json.dumps(MEASUREMENTS[sys.argv[1]](*sys.argv[2:])))
