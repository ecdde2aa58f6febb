"""A bundle in JavaScript: its answers beside those of the runtime, and int8 beside the float graph.

    cd examples/web && npm ci --ignore-scripts && cd ../..
    edgeroberta compress --recipe int8-distill --target web --work work -o out/
    python -m benchmarks.javascript out/ work/01-export-KEY [--rows 500] [--stable FOLDER]

The second folder is that of the stage ``export`` of the same run: the same student in float. Texts are those
held out of the demo's; a model of one label is asked, in transformers.js, one thread, batch 1. The two graphs
answer each text in turns; the time is that of the process for a call of the model, without the tokenizer.
``--stable``: a folder of another version of ``onnxruntime-web``, which is measured as well. Writes
benchmarks/results/<machine>/javascript.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.results import Check, Latency, Result, Row, now, this_machine, write
from edgeroberta import demo
from edgeroberta.backends import web
from edgeroberta.data.readers import read
from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.runtime import Runtime, goldens, manifest
from edgeroberta.storage.cache import cache_dir
from edgeroberta.tasks import Problem

logger = logging.getLogger(__name__)

WORKER = Path(__file__).with_name("javascript_worker.mjs")
INT8, FLOAT = "int8", "float"
WARM_UP, ROUNDS = 10, 5
#: How many times faster int8 is than float in WebAssembly, at least.
FASTER = 1.5

#: Of a device: what its rows are called, and what its version is called by the library.
ENGINES = {"cpu": "Node, onnxruntime-node", "wasm": "WebAssembly, onnxruntime-web"}
VERSIONS = {"cpu": "node", "wasm": "web"}

OTHER = "texts with another label"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """Labels of one model in two engines."""

    flips: int  # texts with another label that are no near ties
    near_ties: int  # texts whose label leads by no more than the goldens allow numbers to differ
    tied_flips: int  # those of them with another label
    logit: float  # largest difference of a logit
    score: float  # largest difference of a probability
    equal: float  # share of texts whose logits are all within 1e-5

    @classmethod
    def of(cls, ours: Floats, theirs: Floats, *, atol: float) -> Agreement:
        """Compare logits [texts, labels]; ``atol``: the tolerance of the bundle's goldens."""
        first = np.sort(ours, axis=1)
        tied = first[:, -1] - first[:, -2] <= atol
        other = ours.argmax(axis=1) != theirs.argmax(axis=1)
        return cls(
            flips=int((other & ~tied).sum()),
            near_ties=int(tied.sum()),
            tied_flips=int((other & tied).sum()),
            logit=float(np.abs(ours - theirs).max()),
            score=float(np.abs(_softmax(ours) - _softmax(theirs)).max()),
            equal=float((np.abs(ours - theirs).max(axis=1) < 1e-5).mean()),
        )


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def heldout(count: int) -> list[str]:
    """Return held-out sentences of the demo, evenly spread."""
    file = Path(str(demo.prepare(cache_dir()).data.eval_data))
    texts = read(file, source=file.name).columns["text"]
    chosen = texts[:: max(1, len(texts) // count)][:count]
    return [str(text) for text in chosen]


def float_folder(export: Path, folder: Path) -> Path:
    """Lay the folder of the stage ``export`` out for the library."""
    for file in export.iterdir():
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    web.write(folder, precision="fp32", max_length=512)
    return folder


def ask(
    folders: dict[str, Path], texts: Sequence[str], *, device: str, library: Path | None = None
) -> dict[str, Any]:
    """Let JavaScript answer; ``library``: a folder of ``onnxruntime-web``, None for the library's own."""
    if shutil.which("node") is None:
        raise UsageError(
            "node is not installed", where="benchmarks.javascript", hint="nodejs.org, 20 or later"
        )
    graphs = {INT8: "onnx/model_quantized.onnx", FLOAT: "onnx/model.onnx"}
    request = {
        "folders": {
            name: {"folder": str(folder.resolve()), "graph": graphs[name]} for name, folder in folders.items()
        },
        "texts": list(texts),
        "device": device,
        "web": None if library is None else str(library.resolve()),
        "warmUp": WARM_UP,
    }
    done = subprocess.run(
        ["node", str(WORKER)], input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EdgeRobertaError(f"node failed: {done.stderr.strip()[-800:]}", where=WORKER.name)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def latency(ms: Sequence[float]) -> Latency:
    """Lay out times of calls, in as many rounds of following texts as there are."""
    rounds = [np.array(part) for part in np.array_split(np.array(ms), ROUNDS)]
    p50, p90, p99 = (round(float(np.percentile(ms, each)), 3) for each in (50, 90, 99))
    return Latency(
        n=len(ms),
        warm_up=WARM_UP,
        p50=p50,
        p90=p90,
        p99=p99,
        round_p50=tuple(round(float(np.median(each)), 3) for each in rounds),
        mean=round(float(np.mean(ms)), 3),
        round_mean=tuple(round(float(each.mean()), 3) for each in rounds),
    )


def rows_of(
    group: str, found: dict[str, Any], ours: dict[str, Floats], atol: float
) -> tuple[list[Row], Agreement]:
    """Make the rows of one engine; ``ours``: the runtime's logits of each graph."""
    times = {name: latency(each["ms"]) for name, each in found["found"].items()}
    agreed = {
        name: Agreement.of(ours[name], np.array(each["logits"]), atol=atol if name == INT8 else 1e-3)
        for name, each in found["found"].items()
    }
    faster = np.median(np.array(times[FLOAT].round_p50) / np.array(times[INT8].round_p50))
    mean_faster = np.median(np.array(times[FLOAT].round_mean) / np.array(times[INT8].round_mean))
    versions = {**found["versions"], "nodejs": found["node"]}
    rows = [
        Row(
            name=f"{group}/{name}",
            title=name,
            group=group,
            versions=versions,
            latency=times[name],
            ratio=round(float(faster), 3) if name == INT8 else 1.0,
            mean_ratio=round(float(mean_faster), 3) if name == INT8 else 1.0,
            values=_values(times[name], faster if name == INT8 else 1.0, agreed[name]),
        )
        for name in (FLOAT, INT8)
    ]
    return rows, agreed[INT8]


def _values(latency: Latency, faster: float, agreed: Agreement) -> tuple[tuple[str, float], ...]:
    found = {
        "p50 ms": latency.p50,
        "p90 ms": latency.p90,
        "mean ms": latency.mean or 0.0,
        "times as fast as float": faster,
        OTHER: agreed.flips,
        "near ties": agreed.near_ties,
        "near ties with another label": agreed.tied_flips,
        "texts with the same logits, %": 100 * agreed.equal,
        "largest difference of a logit": agreed.logit,
        "largest difference of a score, points": 100 * agreed.score,
    }
    return tuple((name, float(f"{value:.4g}")) for name, value in found.items())


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the rows of int8 to what is promised."""
    made = []
    for row in rows:
        if not row.name.endswith(f"/{INT8}"):
            continue
        flips = dict(row.values)[OTHER]
        made.append(
            Check(
                title=f"{row.group}: other labels than in Python",
                value=flips,
                unit="texts",
                direction="at most",
                bar=0,
            )
        )
        if row.group.startswith(ENGINES["wasm"]):
            made.append(
                Check(
                    title=f"{row.group}: int8 over float",
                    value=row.ratio or 0.0,
                    unit="times",
                    direction="at least",
                    bar=FASTER,
                )
            )
    return tuple(made)


def runtime_logits(bundle: Path, export: Path, texts: Sequence[str]) -> tuple[dict[str, Floats], str]:
    """Ask Python's ONNX Runtime both graphs; returns logits float64 [texts, labels] and its version."""
    from edgeroberta.quantization.ort import open_session

    with Runtime.open(bundle, engine="onnxruntime", threads=1) as runtime:
        int8 = runtime.logits(list(texts))
        ids = [each.ids for each in runtime.encode(list(texts))]
        version = runtime.session.version
    session = open_session(export / "model.onnx")
    logits = [
        session.run(["logits"], {"input_ids": one[None], "attention_mask": np.ones_like(one)[None]})[0][0]
        for one in ids
    ]
    return {INT8: np.asarray(int8, np.float64), FLOAT: np.asarray(logits, np.float64)}, version


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("export", type=Path)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--stable", type=Path, help="folder of another version of onnxruntime-web")
    parser.add_argument("--machine", help="name of the folder of results")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    facts = manifest.read(options.bundle)
    if facts.task.problem is not Problem.SINGLE_LABEL or facts.task.pair or facts.precision != "int8":
        raise UsageError("not an int8 bundle that gives single texts one label", where=str(options.bundle))
    machine = this_machine(options.machine)
    texts = heldout(options.rows)
    atol = goldens.load(options.bundle).atol
    ours, version = runtime_logits(options.bundle, options.export, texts)
    made: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        folders = {INT8: options.bundle, FLOAT: float_folder(options.export, Path(folder))}
        libraries: list[tuple[str, Path | None]] = [("cpu", None), ("wasm", None)]
        if options.stable is not None:
            libraries.append(("wasm", options.stable))
        for device, library in libraries:
            found = ask(folders, texts, device=device, library=library)
            group = f"{ENGINES[device]} {found['versions'][VERSIONS[device]]}"
            rows, agreed = rows_of(group, found, ours, atol)
            logger.info("%s: int8 %.2f times as fast as float, %s", group, rows[1].ratio, agreed)
            made.extend(rows)
    result = Result(
        benchmark="javascript",
        measured=now(),
        machine=machine,
        settings={
            "rows": len(texts),
            "threads": 1,
            "batch": 1,
            "goldens_atol": atol,
            "onnxruntime_python": version,
            "bundle_digest": facts.digest,
        },
        rows=tuple(made),
        checks=checks(made),
    )
    logger.info("written: %s", write(result))


if __name__ == "__main__":
    main()
