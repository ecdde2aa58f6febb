"""The schema of benchmarks/results/<machine>/<benchmark>.json, and how it is read and written."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.hardware import machine_facts
from edgeroberta.storage.artifact import write_json
from edgeroberta.version import __version__

RESULTS = Path(__file__).parent / "results"


class Frozen(BaseModel):
    """Base of the schema: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(Frozen):
    """Where it was measured. ``load`` is the one-minute load average before the first measurement."""

    name: str
    cpu: str
    flags: tuple[str, ...]
    cores: int
    memory_gb: float
    system: str
    python: str
    load: float | None


class Latency(Frozen):
    """Milliseconds per call, over all rounds; those of each round show how much the machine wavered.

    Results that are older than the mean have none.
    """

    n: int
    warm_up: int
    p50: float
    p90: float
    p99: float
    round_p50: tuple[float, ...]
    mean: float | None = None
    round_mean: tuple[float, ...] = ()


class Estimate(Frozen):
    """A number of which each seed gives another: their mean, and half the width of its 95 % interval.

    ``half_width`` is None of a single seed.
    """

    name: str
    mean: float
    half_width: float | None
    seeds: tuple[float, ...]


class Row(Frozen):
    """One contestant, or one measured thing. A crash is a row with status "failed" and its error.

    ``ratio`` is how many times faster than the baseline row of the same group, the median over rounds
    of p50 against p50, and ``mean_ratio`` that of mean against mean; ``same_answers`` is the share of
    answers equal to the baseline's; ``kept`` is the share of the baseline's metric, of each seed;
    ``values`` are further numbers by name, in the order they are shown; ``estimates`` those of several seeds,
    and ``words`` what is said of them, likewise.
    """

    name: str
    title: str
    group: str = ""
    status: Literal["ok", "failed"] = "ok"
    error: str | None = None
    versions: dict[str, str] = {}
    latency: Latency | None = None
    accuracy: float | None = None
    f1: float | None = None
    same_answers: float | None = None
    kept: tuple[float, ...] = ()
    ratio: float | None = None
    mean_ratio: float | None = None
    size_mb: float | None = None
    values: tuple[tuple[str, float], ...] = ()
    estimates: tuple[Estimate, ...] = ()
    words: tuple[tuple[str, str], ...] = ()


class Check(Frozen):
    """One number this project promised, and what was measured."""

    title: str
    value: float
    unit: str
    direction: Literal["at least", "at most"]
    bar: float

    @property
    def ok(self) -> bool:
        """Whether the promise holds."""
        return self.value >= self.bar if self.direction == "at least" else self.value <= self.bar


class Result(Frozen):
    """One run of one benchmark on one machine; ``version`` is this project's, filled in by :func:`write`."""

    schema_version: Literal[1] = 1
    version: str | None = None
    benchmark: str
    measured: str
    machine: Machine
    settings: dict[str, str | int | float | list[str]]
    rows: tuple[Row, ...]
    checks: tuple[Check, ...] = ()


def this_machine(name: str | None = None) -> Machine:
    """Describe the machine this runs on; ``name`` overrides the folder name made from the CPU's."""
    device = machine_facts()
    slug = re.sub(r"[^a-z0-9]+", "-", f"{device.cpu} {device.cores} cores".lower()).strip("-")
    return Machine(
        name=name or slug,
        cpu=device.cpu,
        flags=device.flags,
        cores=device.cores,
        memory_gb=round(device.memory_bytes / 1e9, 1),
        system=device.system,
        python=device.python,
        load=device.load,
    )


def write(result: Result, *, folder: Path = RESULTS) -> Path:
    """Write a result to ``<folder>/<machine>/<benchmark>.json`` and return that path."""
    path = folder / result.machine.name / f"{result.benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**result.model_dump(mode="json"), "version": result.version or __version__})
    return path


def load(path: Path) -> Result:
    """Read a result back.

    Raises:
        EdgeRobertaError: The file is missing or does not fit the schema.
    """
    try:
        return Result.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise EdgeRobertaError(
            f"not a benchmark result ({error})",
            where=str(path),
            hint="run the benchmark again; see benchmarks/README.md",
        ) from error


def now() -> str:
    """Return the time as results carry it: UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
