"""Everything one machine answers, in one process: run here and on the emulated device, and compared.

``python answers.py REQUEST.json ANSWERS.json``. Standard library and ``edgeroberta`` only; no second
process is started, which emulation could not do.
"""

from __future__ import annotations

import contextlib
import io
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import edgeroberta
from edgeroberta.cli import main as command_line
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.runtime import Runtime, goldens


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer ``texts`` and ``odd`` on ``engine``; open the bundles in ``spoiled``; run ``commands``."""
    started = time.perf_counter()
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "engine": request["engine"],
        "package": str(Path(edgeroberta.__file__).parent),
        "spoiled": {bundle: _refusal(bundle, request["engine"]) for bundle in request["spoiled"]},
    }
    try:
        runtime = Runtime.open(request["bundle"], engine=request["engine"], threads=1)
    except EdgeRobertaError as error:
        return {**found, "refused": str(error)}
    with runtime:
        opened = time.perf_counter()
        wanted = goldens.load(Path(request["bundle"]))
        again = runtime.run_ids([_array(ids) for ids in wanted.ids])
        found |= {
            "engine_version": runtime.engine_version,
            "goldens": goldens.max_abs_difference(wanted, again),
            "goldens_atol": wanted.atol,
            "texts": [_one(runtime, text) for text in request["texts"]],
            "odd": {name: _one(runtime, text) for name, text in request["odd"].items()},
        }
    found["commands"] = {name: _command(words) for name, words in request["commands"].items()}
    found["seconds"] = {"open": opened - started, "all": time.perf_counter() - started}
    return found


def _array(ids: tuple[int, ...]) -> Any:
    import numpy as np

    return np.array(ids, np.int64)


def _one(runtime: Runtime, text: str) -> dict[str, Any]:
    try:
        encoding = runtime.encode([text])[0]
        outputs = runtime.run([encoding])
        (prediction,) = runtime.predictions([text], [encoding], outputs)
    except EdgeRobertaError as error:
        return {"refused": error.what}
    return {
        "ids": encoding.ids.tolist(),
        "label": prediction.label,
        "truncated": encoding.truncated,
        "logits": [float(logit) for logit in outputs.values[0]],
    }


def _refusal(bundle: str, engine: str) -> str | None:
    try:
        Runtime.open(bundle, engine=engine, threads=1).close()
    except EdgeRobertaError as error:
        return f"{type(error).__name__}: {error}"
    return None


def _command(words: list[str]) -> dict[str, Any]:
    """Run a command of the command line in this process; its standard output and exit code."""
    out = io.StringIO()
    code: Any = 0
    with contextlib.redirect_stdout(out):
        try:
            command_line(words)
        except SystemExit as ended:
            code = ended.code or 0
    return {"code": code, "out": out.getvalue()}


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps(answer(asked)), encoding="utf-8")
