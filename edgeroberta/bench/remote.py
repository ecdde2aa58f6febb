"""``edgeroberta bench --host``: the same table, measured on other machines, several side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta.bench.benchmark import Request
from edgeroberta.bench.comparison import SCHEMA_VERSION as TABLE_VERSION
from edgeroberta.bench.comparison import Comparison
from edgeroberta.bench.lineup import NO_MODEL
from edgeroberta.bench.payload import BUNDLE, Payload, gather, job_for
from edgeroberta.errors import EdgeRobertaError, UnavailableError
from edgeroberta.measure.validity import Verdict
from edgeroberta.progress import PLAIN_SECONDS, PlainProgress, Progress
from edgeroberta.remote import hosts as known_hosts
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.job import Printed, Runner
from edgeroberta.remote.shipping import Patience, ship
from edgeroberta.remote.ssh import Connection
from edgeroberta.remote.untrusted import decode, loads
from edgeroberta.storage.publishing import name_of
from edgeroberta.targets import matching

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
KIND = "edgeroberta-bench-hosts"
#: Instead of the device's own advice to name it with an option that does not go with --host.
_NO_MODEL_THERE = "The full-size model is not on the device, so there is no speed-up over it there."
#: What ``bench`` says on the device of files in the job's folder and of a choice kept in ours: neither is
#: what the user's own commands there will find.
_GONE_WITH_THE_JOB = (f"written to {BUNDLE}/", "this device runs the bundle on it from now on")


@dataclass(frozen=True)
class DeviceFacts:
    """What a device says of itself before anything is measured.

    Attributes:
        python: Version of its own Python.
        system: Operating system, kernel, machine type.
        root: Our folder there.
        free_bytes: Room in that folder's file system.
    """

    python: str
    system: str
    root: str
    free_bytes: int


@dataclass(frozen=True)
class HostResult:
    """What became of one host.

    Attributes:
        host: What the user calls it.
        comparison: Its table; None when it failed.
        device: What it says of itself; None when it was not reached.
        shipped_files: Files that were sent, because they were not there.
        shipped_bytes: Bytes that were sent.
        error: Why it failed.
    """

    host: str
    comparison: Comparison | None = None
    device: DeviceFacts | None = None
    shipped_files: int = 0
    shipped_bytes: int = 0
    error: EdgeRobertaError | None = None

    @property
    def status(self) -> str:
        """``ok``, ``failed``, or ``invalid`` where it was measured and the times are not to be used."""
        if self.comparison is None:
            return "failed"
        return "invalid" if self.comparison.validity.verdict is Verdict.INVALID else "ok"

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        error = self.error
        return {
            "host": self.host,
            "status": self.status,
            "device": vars(self.device) if self.device else None,
            "shipped": {"files": self.shipped_files, "bytes": self.shipped_bytes},
            "bench": self.comparison.to_json() if self.comparison else None,
            "error": error
            and {"what": error.what, "where": error.where, "hint": error.hint, "exit_code": error.exit_code},
        }


def to_json(results: Sequence[HostResult]) -> dict[str, Any]:
    """Return the results of all hosts as one JSON object."""
    return {"schema_version": SCHEMA_VERSION, "kind": KIND, "hosts": [each.to_json() for each in results]}


def run_remote(
    request: Request,
    hosts: Sequence[str],
    *,
    progress: Progress,
    wheelhouse: Path | None = None,
    keep: bool = True,
    patience: Callable[[], Patience] = Patience,
) -> tuple[HostResult, ...]:
    """Measure a bundle on other machines at the same time.

    Args:
        request: What to measure.
        hosts: Names from the user's configuration, or ``user@host``.
        progress: Where to report.
        wheelhouse: Folder of wheels, for devices without a package index.
        keep: Keep files and environments there; a host's own configuration may say no, too.
        patience: Makes one host's patience with lost connections.

    Returns:
        One result per host, in that order; a host that failed is one with an error.

    Raises:
        EdgeRobertaError: The bundle, the data, the configuration or an option is unusable.
        KeyboardInterrupt: The user stopped it; the jobs on the devices have been stopped.
    """
    found = known_hosts.find(hosts)
    payload = gather(request)
    for note in payload.notes:
        progress.line(note)
    shared = threading.Lock()
    visits = [
        _Visit(
            host,
            payload,
            wheelhouse,
            keep and host.keep,
            _HostProgress(host.name, progress, shared),
            patience(),
        )
        for host in found
    ]
    with ThreadPoolExecutor(len(visits)) as pool:
        futures = [pool.submit(visit.run) for visit in visits]
        try:
            return tuple(future.result() for future in futures)
        except KeyboardInterrupt:
            progress.line("stopping the jobs on the devices")
            for visit in visits:
                visit.stop()
            raise  # leaving the pool waits for the visits, which stop their jobs


class _Visit:
    """One host, in one thread."""

    def __init__(
        self,
        host: Host,
        payload: Payload,
        wheelhouse: Path | None,
        keep: bool,
        progress: Progress,
        patience: Patience,
    ) -> None:
        self._host, self._payload, self._wheelhouse, self._keep = host, payload, wheelhouse, keep
        self._progress, self._patience = progress, patience
        self._stopped = threading.Event()
        self._connection: Connection | None = None

    def run(self) -> HostResult:
        """Measure there; an error is part of the result."""
        result = HostResult(self._host.name)
        try:
            with Connection(self._host, self._stopped) as self._connection:
                return self._measure(self._connection, result)
        except EdgeRobertaError as error:
            return replace(result, error=error)
        except OSError as error:  # of this machine: a file that cannot be read, no room for a socket
            what = f"{error.strerror or error}"
            return replace(result, error=EdgeRobertaError(what, where=str(error.filename or self._host.name)))
        except Exception as error:  # the tables of the other hosts must not go with it
            logger.exception("unexpected error with %s", self._host.name)
            what = f"unexpected {type(error).__name__}: {error}"
            return replace(result, error=EdgeRobertaError(what, where=self._host.name))

    def stop(self) -> None:
        """Give up, from another thread."""
        self._stopped.set()
        if self._connection is not None:
            self._connection.interrupt()

    def _measure(self, connection: Connection, result: HostResult) -> HostResult:
        job, blobs = job_for(self._payload, self._host, self._wheelhouse)
        shipped = ship(connection, blobs, job=job.name, progress=self._progress, patience=self._patience)
        facts = decode(DeviceFacts, shipped.facts, where=self._host.name)
        result = replace(result, device=facts, shipped_files=shipped.files, shipped_bytes=shipped.sent)
        runner = Runner(connection, job, progress=self._progress, patience=self._patience)
        try:
            printed = runner.run()
        except EdgeRobertaError as error:
            if self._stopped.is_set():
                runner.stop()
            elif not getattr(error, "transient", False):  # a lost job goes on, to be taken up later
                runner.clean(keep=self._keep)
            return replace(result, error=self._seen_from_here(error))
        runner.clean(keep=self._keep)
        found = _table(printed, where=self._host.name)
        if found.data is not None and self._payload.source is not None:
            found = replace(found, data={**found.data, "source": name_of(self._payload.source)})
        return replace(result, comparison=found)

    def _seen_from_here(self, error: EdgeRobertaError) -> EdgeRobertaError:
        """Tell a target that the device is not of as one of this command; the device advises to use ssh."""
        option, _, facts = error.what.partition(matching.ANOTHER)
        name = self._payload.request.target or self._host.target
        if not facts or name is None or option != f"--target: the target {name!r}":
            return error
        other = "--target" if self._payload.request.target else "target in the configuration of hosts"
        article, facts = "an" if name[0] in "aeiou" else "a", facts.replace(matching.HERE, "; there: ")
        return UnavailableError(
            f"is not {article} {name}: {facts}",
            where=self._host.name,
            hint=f"name another --host, or another {other}; without a target the bundle is measured as it is",
        )


def _table(printed: Printed, *, where: str) -> Comparison:
    """Read what the last step printed; where it failed, only a table that says why counts."""
    if printed.error is None:
        return comparison_from(printed.text, where=where)
    try:
        found = comparison_from(printed.text, where=where)
    except EdgeRobertaError:
        raise printed.error from None
    if found.validity.verdict is not Verdict.INVALID:
        raise printed.error
    return found


def comparison_from(text: str, *, where: str) -> Comparison:
    """Read the table that a device printed; it is not trusted.

    Raises:
        EdgeRobertaError: It is not a table of this version.
    """
    fields = loads(text, where=where)
    if not isinstance(fields, dict) or fields.pop("kind", None) != "edgeroberta-bench":
        raise EdgeRobertaError("the device sent something that is not a table", where=where)
    if (version := fields.pop("schema_version", None)) != TABLE_VERSION:
        what = f"the device sent a table of schema {version!r:.20}, this version reads {TABLE_VERSION}"
        raise EdgeRobertaError(what, where=where, hint="pip install --upgrade edgeroberta")
    for row in fields["rows"] if isinstance(fields.get("rows"), list) else ():
        if isinstance(row, dict):
            row.pop("noisy", None)  # it follows from the rest, see Row
    found = decode(Comparison, fields, where=where)
    notes = tuple(_NO_MODEL_THERE if note == NO_MODEL else note for note in found.notes)
    return replace(found, notes=notes)


class _HostProgress(PlainProgress):
    """Plain lines with the host's name before them; bars of several hosts cannot share a terminal."""

    def __init__(self, name: str, progress: Progress, lock: threading.Lock) -> None:
        self.seconds = PLAIN_SECONDS
        self._name, self._progress, self._lock = name, progress, lock

    def line(self, text: str) -> None:
        """Say one sentence, unless it is about what goes with the job's folder."""
        if any(words in text for words in _GONE_WITH_THE_JOB):
            return
        with self._lock:
            self._progress.line(f"{self._name}: {text}")
