"""Times probes on another machine: written here, sent by content hash, timed by ``edgeroberta latency``."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.latency.measuring import Timer, timings_from
from edgeroberta.latency.plan import Plan
from edgeroberta.latency.timing import Timings
from edgeroberta.progress import Progress
from edgeroberta.remote import hosts as known_hosts
from edgeroberta.remote import wheel, wheelhouse
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.job import Job, Runner
from edgeroberta.remote.shipping import Blob, Patience, ship
from edgeroberta.remote.ssh import Connection
from edgeroberta.runtime.session import ENGINES
from edgeroberta.runtime.tensorrt import FORMS

#: The job's one step, and folders in the job's folder on the device.
STEP, PROBES, WHEEL, WHEELHOUSE = "latency", "probes", "wheel", "wheelhouse"


def timer_on(host: str, *, wheelhouse: Path | None = None, patience: Patience | None = None) -> Timer:
    """Make what times probes on another machine.

    Args:
        host: Name from the user's configuration, or ``user@host``.
        wheelhouse: Folder of wheels, for a device without a package index.
        patience: How often a lost connection is tried again.

    Returns:
        A timer for :func:`edgeroberta.latency.measuring.measure`. A lost connection does not end the job
        there: the same measurement takes it up.

    Raises:
        UsageError: The configuration is wrong, or the name is none.
    """
    (found,) = known_hosts.find([host])

    def time(plan: Plan, folder: Path, progress: Progress) -> Timings:
        job, blobs = job_for(plan, folder, found, wheelhouse)
        return _run(plan, job, blobs, found, progress, patience or Patience())

    return time


def _run(
    plan: Plan, job: Job, blobs: Mapping[str, Blob], host: Host, progress: Progress, patience: Patience
) -> Timings:
    with Connection(host, threading.Event()) as connection:
        ship(connection, blobs, job=job.name, progress=progress, patience=patience)
        runner = Runner(connection, job, progress=progress, patience=patience)
        try:
            printed = runner.run()
        except KeyboardInterrupt:
            runner.stop()
            raise
        except EdgeRobertaError as error:
            if not getattr(error, "transient", False):  # a lost job goes on, to be taken up later
                runner.clean(keep=host.keep)
            raise
        runner.clean(keep=host.keep)
    if printed.error is not None:
        raise printed.error
    return timings_from(printed.text, plan, where=host.name)


def job_for(plan: Plan, folder: Path, host: Host, wheels: Path | None) -> tuple[Job, dict[str, Blob]]:
    """Make the job that times a folder of probes.

    Args:
        plan: What is in the folder.
        folder: The probes.
        host: Where they go.
        wheels: Folder of wheels; None for the one of the host's configuration, if any.

    Returns:
        The job, and the blobs that must be there before it starts, by sha256. The same probes make the same
        job, so that a lost one is found again.

    Raises:
        UsageError: The wheelhouse has no wheels.
    """
    made = wheel.build()
    blobs = {
        f"{PROBES}/{file.relative_to(folder).as_posix()}": Blob.of(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    blobs[f"{WHEEL}/{made.name}"] = Blob.of(made.content)
    house = wheels or (Path(host.wheelhouse) if host.wheelhouse else None)
    for each in wheelhouse.wheels(house) if house is not None else ():
        blobs[f"{WHEELHOUSE}/{each.name}"] = Blob.of(each)
    user = os.getuid() if hasattr(os, "getuid") else 0
    job = Job(
        spec={
            "environment": _environment(plan, made, host, blobs),
            "steps": [{"name": STEP, "words": [STEP, PROBES, "--json"]}],
        },
        files={name: blob.sha256 for name, blob in blobs.items()},
        owner=f"{user}@{platform.node()}",
    )
    return job, {blob.sha256: blob for blob in blobs.values()}


def _environment(plan: Plan, made: wheel.Wheel, host: Host, blobs: Mapping[str, Blob]) -> dict[str, Any]:
    """Say what must be installed there; TensorRT is the device's own."""
    engines = {probe.engine for probe in plan.probes}
    return {
        "wheel": made.name,
        "extras": sorted({ENGINES[name].extra for name in engines if name not in FORMS} & made.extras),
        "tensorrt": sorted({package for name in engines & set(FORMS) for package in ENGINES[name].packages}),
        "pip_args": list(host.pip_args),
        "content": {
            name: blob.sha256 for name, blob in blobs.items() if name.startswith((WHEEL, WHEELHOUSE))
        },
    }
