"""Find out what works on this machine: one real inference per engine, and what is not installed.

The graph in ``doctor_graph/`` is int8 with explicit quantize and dequantize nodes, like the ones in
bundles, so an engine that computes int8 wrongly on this processor is found out, too. For TensorRT an engine
is built from it on the GPU, and kept; ``tensorrt-fp16`` runs the same numbers in half precision.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EdgeRobertaError, UnavailableError
from edgeroberta.extras import EXTRAS, missing
from edgeroberta.hardware import DeviceState, MachineFacts, for_json, machine_facts, read_state
from edgeroberta.runtime import processor
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import ENGINES, open_session
from edgeroberta.version import __version__

SCHEMA_VERSION = 1
GRAPH = Path(__file__).parent / "doctor_graph"

_IDS = (3, 1, 4, 1, 5, 9, 2, 6)
#: What the graph gives for these ids: products of multiples of 1/16, exact in float32.
EXPECTED = (118 / 256, 152 / 256)
TOLERANCE = 1e-4

OK, MISSING, WRONG, FAILED = "ok", "missing", "wrong", "failed"


@dataclass(frozen=True)
class EngineDiagnosis:
    """One engine."""

    engine: str  # its name
    status: str  # ``ok``, ``missing``, ``wrong`` (it ran, and its answer is not right) or ``failed``
    version: str | None  # its version, None when it could not be opened
    milliseconds: float | None  # time to open the graph and run it once
    detail: str  # what went wrong, and what to do; empty when ok


@dataclass(frozen=True)
class Diagnosis:
    """What was found."""

    version: str  # this package's version
    device: MachineFacts  # facts of the machine
    state: DeviceState  # how it is doing: power mode, clocks, temperatures, throttling, energy sensors
    engines: tuple[EngineDiagnosis, ...]  # one check per engine
    extras: dict[str, tuple[str, ...]]  # the other extras, each with the modules of it that are not installed
    int8_saturates: bool | None = None  # whether products of int8 pairs can saturate here; None when unknown

    @property
    def usable(self) -> bool:
        """True when a bundle can run on some engine here."""
        return any(check.status == OK for check in self.engines)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        fields = {**asdict(self), "state": for_json(self.state)}
        return {"schema_version": SCHEMA_VERSION, "usable": self.usable, **fields}


def examine(graph: Path = GRAPH) -> Diagnosis:
    """Look at this machine and run the graph on every engine; nothing here raises for a bad engine."""
    extras = {extra: missing(extra) for extra in EXTRAS if extra not in ENGINES}
    device, state = (
        machine_facts(),
        read_state(),
    )  # before the engines run: they would be the load that is seen
    engines = tuple(check_engine(name, graph) for name in ENGINES)
    return Diagnosis(__version__, device, state, engines, extras, processor.saturates())


def check_engine(name: str, graph: Path) -> EngineDiagnosis:
    """Run the graph once on one engine and compare its answer."""
    ids = np.array([_IDS], np.int64)
    started = time.perf_counter()
    try:
        session = open_session(name, graph, threads=1, lengths=Lengths((len(_IDS),), ()))
        logits = session.run(ids, np.ones_like(ids))
        version = session.version
        session.close()
    except UnavailableError as error:
        # What is built on a device may lack more than a package: the reason comes before the advice.
        told = "; ".join(filter(None, (error.what, error.hint))) if ENGINES[name].on_device else error.hint
        return EngineDiagnosis(name, MISSING, None, None, told or error.what)
    # An engine whose own libraries do not load says so by ImportError or OSError, not by ours.
    except (EdgeRobertaError, ImportError, OSError) as error:
        return EngineDiagnosis(name, FAILED, None, None, str(error).splitlines()[0])
    spent = round((time.perf_counter() - started) * 1000, 1)
    if np.allclose(logits, [EXPECTED], rtol=0, atol=TOLERANCE):
        return EngineDiagnosis(name, OK, version, spent, "")
    given = [round(float(logit), 4) for logit in logits[0]]
    detail = f"gave {given}, not {list(EXPECTED)}: do not trust it on this processor"
    return EngineDiagnosis(name, WRONG, version, spent, detail)
