"""``edgeroberta bench --host``: the same table, measured on other machines, several side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.comparison import SCHEMA_VERSION as TABLE_VERSION
from edgeroberta.benchmark.comparison import Comparison, require_measured
from edgeroberta.benchmark.payload import Payload, gather, work_for
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.measure.validity import RunValidity
from edgeroberta.progress import PLAIN_SECONDS, PlainProgress, Progress
from edgeroberta.remote import hosts as known_hosts
from edgeroberta.remote.hostrun import HostRun
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.retrying import RetryPolicy
from edgeroberta.remote.shipping import DeviceFacts
from edgeroberta.storage.publishing import name_of
from edgeroberta.storage.strict import decode

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
KIND = "edgeroberta-bench-hosts"


@dataclass(frozen=True)
class HostResult:
    """What became of one host."""

    host: str  # what the user calls it
    comparison: Comparison | None = None  # its table; None when it failed
    device: DeviceFacts | None = None  # what it says of itself; None when it was not reached
    shipped_files: int = 0  # files that were sent, because they were not there
    shipped_bytes: int = 0
    error: EdgeRobertaError | None = None  # why it failed

    @property
    def status(self) -> str:
        """``ok``, ``failed``, or ``invalid`` where it was measured and the times are not to be used."""
        if self.comparison is None:
            return "failed"
        return "invalid" if self.comparison.validity.verdict is RunValidity.INVALID else "ok"

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "host": self.host,
            "status": self.status,
            "device": asdict(self.device) if self.device else None,
            "shipped": {"files": self.shipped_files, "bytes": self.shipped_bytes},
            "bench": self.comparison.to_json() if self.comparison else None,
            "error": self.error.to_json() if self.error else None,
        }


def to_json(results: Sequence[HostResult]) -> dict[str, Any]:
    """Return the results of all hosts as one JSON object."""
    return {"schema_version": SCHEMA_VERSION, "kind": KIND, "hosts": [each.to_json() for each in results]}


def run_remote(
    request: BenchRequest,
    hosts: Sequence[str],
    *,
    progress: Progress,
    wheelhouse: Path | None = None,
    keep: bool = True,
    retry: Callable[[], RetryPolicy] = RetryPolicy,
) -> tuple[HostResult, ...]:
    """Measure a bundle on other machines at the same time.

    ``hosts``: names from the user's configuration, or ``user@host``. ``wheelhouse``: folder of wheels, for
    devices without a package index. ``keep``: keep files and environments there; a host's own configuration
    may say no, too. Returns one result per host, in that order; a host that failed is one with an error.
    """
    found = known_hosts.find(hosts)
    payload = gather(request)
    for note in payload.notes:
        progress.line(note)
    shared = threading.Lock()
    runs = []
    for host in found:
        run = HostRun(
            host,
            work_for(payload, request.target or host.target),
            progress=_HostProgress(host.name, progress, shared),
            wheels=wheelhouse,
            keep=keep,
            retry=retry(),
        )
        runs.append(run)
    with ThreadPoolExecutor(len(runs)) as pool:
        futures = [pool.submit(_measure, *each, payload) for each in zip(runs, found, strict=True)]
        try:
            return tuple(future.result() for future in futures)
        except KeyboardInterrupt:
            progress.line("stopping the jobs on the devices")
            for run in runs:
                run.stop()
            raise  # leaving the pool waits for the runs, which stop their jobs


def _measure(run: HostRun, host: Host, payload: Payload) -> HostResult:
    """Measure on one host, in a thread; an error is part of the result, and takes no other host along."""
    table, error = None, None
    try:
        table = comparison_from(run.run(), where=host.name)
        if table.validity.verdict is not RunValidity.INVALID:
            require_measured(table, where=f"{host.name}: --engines")
        if table.data is not None and payload.source is not None:
            table = replace(table, data={**table.data, "source": name_of(payload.source)})
    except Exception as raised:
        if not isinstance(raised, EdgeRobertaError | OSError):
            logger.exception("unexpected error with %s", host.name)
        table, error = None, _seen_from_here(EdgeRobertaError.of(raised), host, payload.request.target)
    if run.shipped is None:
        return HostResult(host.name, table, error=error)
    return HostResult(host.name, table, run.shipped.facts, run.shipped.files, run.shipped.sent, error)


def _seen_from_here(error: EdgeRobertaError, host: Host, target: str | None) -> EdgeRobertaError:
    """Say what to change here where the device advises what to do there."""
    if error.code == "unavailable.other-machine":
        other = "--target" if target else "target in the configuration of hosts"
        error.hint = f"name another --host, or another {other}; without a target the bundle is measured as is"
        error.where = host.name
    error.where = error.where or host.name
    return error


def comparison_from(fields: Any, *, where: str) -> Comparison:
    """Read the table that a device sent; it is not trusted."""
    if not isinstance(fields, dict):
        raise EdgeRobertaError("the device sent something that is not a table", where=where)
    fields = dict(fields)
    kind, version = fields.pop("kind", None), fields.pop("schema_version", None)
    if (kind, version) != ("edgeroberta-bench", TABLE_VERSION):
        what = f"the device sent {kind!r:.40} of schema {version!r:.20}, not one of schema {TABLE_VERSION}"
        raise EdgeRobertaError(what, where=where, code="failed.malformed")
    for row in fields["rows"] if isinstance(fields.get("rows"), list) else ():
        if isinstance(row, dict):
            for name in ("noisy", "escalated"):  # they follow from the rest, see BenchmarkRow
                row.pop(name, None)
    return decode(Comparison, fields, where=where)


class _HostProgress(PlainProgress):
    """Plain lines with the host's name before them; bars of several hosts cannot share a terminal."""

    def __init__(self, name: str, progress: Progress, lock: threading.Lock) -> None:
        self.seconds = PLAIN_SECONDS
        self._name, self._progress, self._lock = name, progress, lock

    def line(self, text: str) -> None:
        """Say one sentence."""
        with self._lock:
            self._progress.line(f"{self._name}: {text}")
