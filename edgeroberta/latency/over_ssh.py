"""Times probes on another machine: they are written here, sent by content hash, and timed there."""

from __future__ import annotations

from pathlib import Path

from edgeroberta.latency.device_steps import step_for
from edgeroberta.latency.grid import ProbePlan
from edgeroberta.latency.measurement import Timer, timings_from
from edgeroberta.latency.probe_timing import ProbeTimings
from edgeroberta.progress import Progress
from edgeroberta.remote import hosts as known_hosts
from edgeroberta.remote.hostrun import HostRun, Workload
from edgeroberta.remote.retrying import RetryPolicy
from edgeroberta.remote.shipping import Blob

#: Folder of the probes in the job's folder on the device.
PROBES = "probes"


def timer_on(host: str, *, wheelhouse: Path | None = None, retry: RetryPolicy | None = None) -> Timer:
    """Make what times probes on another machine.

    ``host``: name from the user's configuration, or ``user@host``. ``wheelhouse``: folder of wheels, for a
    device without a package index. Returns a timer for :func:`edgeroberta.latency.measurement.measure`. A
    lost connection does not end the job there: the same measurement resumes it.
    """
    (found,) = known_hosts.find([host])

    def time(plan: ProbePlan, folder: Path, progress: Progress) -> ProbeTimings:
        files = {
            f"{PROBES}/{file.relative_to(folder).as_posix()}": Blob.of(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        work = Workload(files, [step_for(plan, PROBES)], {probe.engine for probe in plan.probes})
        run = HostRun(found, work, progress=progress, wheels=wheelhouse, retry=retry)
        return timings_from(run.run(), plan, where=found.name)

    return time
