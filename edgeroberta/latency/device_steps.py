"""What measuring a latency table does elsewhere, or in a process of this machine: time a folder of probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeroberta import hardware
from edgeroberta.latency.grid import ProbePlan
from edgeroberta.latency.probe_timing import time_probes
from edgeroberta.progress import Progress
from edgeroberta.remote.step import Step
from edgeroberta.storage.strict import decode

STEP = "latency"


def latency(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Time the probes of ``plan`` in ``folder``."""
    plan = decode(ProbePlan, arguments["plan"], where="the plan of the probes")
    facts = hardware.machine_facts()
    folder = Path(arguments["folder"])
    return asdict(time_probes(plan, folder, progress=progress, device=facts.board or facts.cpu))


def step_for(plan: ProbePlan, folder: str) -> Step:
    """Return the step that times a folder of a plan's probes."""
    return Step.of(STEP, latency, {"folder": folder, "plan": asdict(plan)})
