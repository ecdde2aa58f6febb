"""What measuring a latency table does elsewhere, or in a process of this machine: time a folder of probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeroberta import hardware
from edgeroberta.latency import plan
from edgeroberta.latency.timing import time_probes
from edgeroberta.progress import Progress


def latency(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Time the probes of ``folder`` where it is."""
    folder = Path(arguments["folder"])
    facts = hardware.here()
    found = time_probes(plan.read(folder), folder, progress=progress, device=facts.board or facts.cpu)
    return asdict(found)
