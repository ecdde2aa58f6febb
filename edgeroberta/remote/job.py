"""A job on the device: started once, followed over as many connections as it takes, then taken home."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.remote.failures import UnreachableError, relayed
from edgeroberta.remote.retrying import RetryPolicy
from edgeroberta.remote.ssh import SshConnection
from edgeroberta.remote.step import Event, Step
from edgeroberta.storage import artifact
from edgeroberta.storage.strict import build

T = TypeVar("T")
_AGAIN = "the job continues there; run the same command again to resume"
_LAST_LINES, _LONGEST = 3, 500


@dataclass(frozen=True)
class RemoteJob:
    """What is to run."""

    environment: Mapping[str, Any]  # see :func:`edgeroberta.remote.device.virtualenv.ensure`
    steps: Sequence[Step]  # what to do there; the last one's result is the job's
    files: Mapping[str, str]  # path in the job's folder to sha256
    owner: str  # who runs it: jobs of two workstations are two jobs

    @property
    def spec(self) -> dict[str, Any]:
        """What the device's runner is told."""
        return {"environment": dict(self.environment), "steps": [asdict(each) for each in self.steps]}

    @property
    def name(self) -> str:
        """The same for the same work, so that the same command finds its job again."""
        return artifact.digest_value([self.spec, dict(self.files), self.owner])[:32]


@dataclass(frozen=True)
class _Started:
    started: Literal["started", "running", "finished"]


@dataclass(frozen=True)
class _Ended:
    code: int
    step: str
    at: float
    error: Any = None
    result: Any = None


@dataclass(frozen=True)
class _Followed:
    exit: _Ended | None


@dataclass(frozen=True)
class _Lines:
    at: int
    lines: tuple[str, ...]


class RemoteRunner:
    """Runs a job on a connection. ``job``: what is to run; its blobs must be there."""

    def __init__(
        self, connection: SshConnection, job: RemoteJob, *, progress: Progress, retry: RetryPolicy
    ) -> None:
        self._connection, self._job = connection, job
        self._progress, self._retry = progress, retry
        self._host = connection.host.name
        self._offset = 0
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def run(self) -> Any:
        """Run the job, or resume it; return what its last step's function returned.

        Raises:
            UnreachableError: The connection was lost for good. The job continues. EdgeRobertaError: A step
            failed, with the code and exit code of its error; or the same command ran at
                the same time and ended the job (``device.job-gone``).
        """
        request = {"spec": self._job.spec, "files": self._job.files}
        found = self._insist(_Started, "start", **request).started
        if found != "started":
            state = "still running" if found == "running" else "done, and its result was not fetched"
            self._progress.line(f"an earlier run of this command is {state}: resuming it")
        ended = self._insist(_Followed, "follow").exit
        if ended is None:
            what = "the job was killed on the device (a restart, or no memory left)"
            raise EdgeRobertaError(what, where=self._host, code="device.job-killed")
        if ended.error is not None:
            raise relayed(ended.error, host=self._host)
        if ended.code:
            words = " | ".join(self._last) or "without a word"
            what = f"{ended.step} ended with exit code {ended.code}: {words}"
            raise EdgeRobertaError(what, where=self._host, code="device.step")
        return ended.result

    def stop(self) -> None:
        """End the job on the device and remove it."""
        self._connection.call("stop", {"job": self._job.name})

    def clean(self, *, keep: bool) -> None:
        """Remove the job's folder; without ``keep`` everything of ours on the device."""
        self._insist(dict[str, Any], "clean", keep=keep)

    def _insist(self, kind: type[T], command: str, **request: Any) -> T:
        while True:
            fields = {"job": self._job.name, "offset": self._offset, **request}
            try:
                return self._connection.ask(kind, command, fields, on_line=self._heard)
            except UnreachableError as error:
                self._retry.wait(error, hint=_AGAIN, stopped=self._connection.stopped)
                self._progress.line("connection lost, retrying; the job continues")

    def _heard(self, answer: dict[str, Any]) -> None:
        self._retry.reset()
        with contextlib.suppress(TypeError, ValueError):  # it is a heartbeat, or the end
            told = build(_Lines, answer)
            self._offset = max(self._offset, told.at)
            for event in filter(lambda each: each.text.strip(), map(Event.read, told.lines)):
                if event.code == "step-started":  # what an earlier step said is not why a later one failed
                    self._last.clear()
                self._last.append(event.text)
                self._progress.line(event.text[:_LONGEST])
