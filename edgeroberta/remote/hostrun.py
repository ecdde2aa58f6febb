"""Steps on another machine: what they need goes there, they run detached, and their result comes home."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.remote import wheel, wheelhouse
from edgeroberta.remote.failures import UnreachableError
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.job import RemoteJob, RemoteRunner
from edgeroberta.remote.retrying import RetryPolicy
from edgeroberta.remote.shipping import Blob, TransferResult, ship
from edgeroberta.remote.ssh import SshConnection
from edgeroberta.remote.step import Step
from edgeroberta.runtime.session import ENGINES
from edgeroberta.runtime.tensorrt import FORMS

#: Folders in the job's folder on the device that its environment is made from.
WHEEL, WHEELHOUSE = "wheel", "wheelhouse"


@dataclass(frozen=True)
class Workload:
    """What is to be done on a host."""

    files: Mapping[str, Blob]  # path in the job's folder to what lies there
    steps: Sequence[Step]  # what to call there, in the job's folder; the last one's result is wanted
    engines: Collection[str]  # engines that must run there


def job_for(work: Workload, host: Host, wheels: Path | None = None) -> tuple[RemoteJob, dict[str, Blob]]:
    """Make the job that does some work on a host.

    ``wheels``: folder of wheels for it; None for the one of its configuration, if any. Returns the job, and
    the blobs that must be there before it starts, by sha256. The same work makes the same job, so that a lost
    one is found again.
    """
    made = wheel.build()
    house = wheels or (Path(host.wheelhouse) if host.wheelhouse else None)
    brought = {f"{WHEEL}/{made.name}": Blob.of(made.content)}
    for each in wheelhouse.wheels(house) if house is not None else ():
        brought[f"{WHEELHOUSE}/{each.name}"] = Blob.of(each)
    engines = [(name, ENGINES[name]) for name in work.engines]
    environment = {
        "wheel": made.name,
        # TensorRT is the device's own; the device finds out what goes with it.
        "extras": sorted({each.extra for name, each in engines if name not in FORMS} & made.extras),
        "tensorrt": sorted({package for name, each in engines if name in FORMS for package in each.packages}),
        "pip_args": list(host.pip_args),
        "content": {place: blob.sha256 for place, blob in brought.items()},
    }
    blobs = {**work.files, **brought}
    files = {place: blob.sha256 for place, blob in blobs.items()}
    user = os.getuid() if hasattr(os, "getuid") else 0
    job = RemoteJob(environment, work.steps, files, owner=f"{user}@{platform.node()}")
    return job, {blob.sha256: blob for blob in blobs.values()}


class HostRun:
    """Some work on one host; it may run in a thread of its own.

    ``keep``: keep files and environment there; a host's own configuration may say no, too. ``shipped``: what
    was brought there; None before that. ``stopped``: set when the user has given up.
    """

    def __init__(
        self,
        host: Host,
        work: Workload,
        *,
        progress: Progress,
        wheels: Path | None = None,
        keep: bool = True,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.shipped: TransferResult | None = None
        self.stopped = threading.Event()
        self._host, self._work, self._progress, self._wheels = host, work, progress, wheels
        self._keep, self._retry = keep and host.keep, retry or RetryPolicy()
        self._connection: SshConnection | None = None

    def run(self) -> Any:
        """Do the work there, or resume what an earlier run of the same has left; return its result.

        Raises UnreachableError: the device is not reached; where the connection was lost, the job there goes
        on; EdgeRobertaError: a step failed, or the device refuses; KeyboardInterrupt: the user stopped it,
        and the job was stopped as well.
        """
        options: dict[str, Any] = {"progress": self._progress, "retry": self._retry}
        with SshConnection(self._host, self.stopped) as self._connection:
            job, blobs = job_for(self._work, self._host, self._wheels)
            self.shipped = ship(self._connection, blobs, job=job.name, **options)
            runner = RemoteRunner(self._connection, job, **options)
            try:
                result = runner.run()
            except KeyboardInterrupt:
                runner.stop()
                raise
            except EdgeRobertaError as error:
                if self.stopped.is_set():
                    runner.stop()
                elif not (isinstance(error, UnreachableError) and error.transient):
                    runner.clean(keep=self._keep)  # a lost job continues, to be resumed later
                raise
            runner.clean(keep=self._keep)
            return result

    def stop(self) -> None:
        """Give up, from another thread."""
        self.stopped.set()
        if self._connection is not None:
            self._connection.interrupt()
