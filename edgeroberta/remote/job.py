"""A job on the device: started once, followed over as many connections as it takes, then taken home."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.remote.failures import DeviceError, UnreachableError
from edgeroberta.remote.shipping import Patience
from edgeroberta.remote.ssh import Connection
from edgeroberta.remote.untrusted import clean
from edgeroberta.storage import artifact

_AGAIN = "the job goes on there; run the same command again to take it up"
_GONE = (
    "the job is no longer there: the same command, run at the same time, took its result home or stopped it"
)
_GONE_HINT = "its table is where that command put it; run this one again to measure anew"
_LAST_LINES = 200


@dataclass(frozen=True)
class Job:
    """What is to run.

    Attributes:
        spec: ``environment`` and ``steps``; see :mod:`edgeroberta.remote.device.runner`.
        files: Path in the job's folder to sha256.
        owner: Who runs it: jobs of two workstations are two jobs.
    """

    spec: Mapping[str, Any]
    files: Mapping[str, str]
    owner: str

    @property
    def name(self) -> str:
        """The same for the same work, so that the same command finds its job again."""
        return artifact.digest_value([self.spec, dict(self.files), self.owner])[:32]


@dataclass(frozen=True)
class Printed:
    """What the last step of a job wrote to stdout.

    Attributes:
        text: All of it; not checked yet.
        error: How the step ended, if not well: a measurement that is not valid prints its table and then
            says so.
    """

    text: str
    error: DeviceError | None = None


class Runner:
    """Runs a job on a connection.

    Args:
        connection: The device.
        job: What is to run; its blobs must be there.
        progress: Where the job's own progress goes.
        patience: How often a lost connection is tried again.
    """

    def __init__(
        self,
        connection: Connection,
        job: Job,
        *,
        progress: Progress,
        patience: Patience,
    ) -> None:
        self._connection, self._job = connection, job
        self._progress, self._patience = progress, patience
        self._offset = 0
        self._rest = ""
        self._lines: list[str] = []
        self._held: list[str] = []
        self._starts = {f"{step['name']}: started" for step in job.spec["steps"]}

    def run(self) -> Printed:
        """Run the job, or take it up where it is.

        Returns:
            What its last step printed, also where that step ended with an error.

        Raises:
            DeviceError: A step failed and printed nothing, or it was not the last; the exit code is that of
                the step. Or the same command ran at the same time and ended the job.
            UnreachableError: The connection was lost for good. The job goes on.
        """
        try:
            return self._run()
        finally:
            self._release()

    def _run(self) -> Printed:
        request = {"job": self._job.name, "spec": self._job.spec, "files": self._job.files}
        found = self._insist(lambda: self._connection.call("start", request)).get("started")
        if found not in ("started", "running", "finished"):
            raise self._odd("start")
        if found != "started":
            state = "still running" if found == "running" else "done, and nobody came for it"
            self._progress.line(f"an earlier run of this command is {state}: taking it up")
        last = self._insist(self._follow)
        if "exit" not in last:
            raise self._odd("follow")
        ended = last["exit"]
        if not isinstance(ended, dict):
            raise self._error(1, "the job was killed on the device (a restart, or no memory left)", "")
        if isinstance(ended.get("error"), dict):
            raise DeviceError(ended["error"], host=self._connection.host.name)
        step, failed = self._job.spec["steps"][-1]["name"], ended.get("code") != 0
        if failed and ended.get("step") != step:
            raise self._failed(ended)
        answer = self._insist(lambda: self._connection.call("result", {"job": self._job.name, "step": step}))
        printed = answer.get("result")
        if failed and not (isinstance(printed, str) and printed.strip()):
            raise self._failed(ended)
        if not isinstance(printed, str):
            raise self._odd("result")
        return Printed(printed, self._failed(ended) if failed else None)

    def stop(self) -> None:
        """End the job on the device and remove it."""
        self._connection.call("stop", {"job": self._job.name})

    def clean(self, *, keep: bool) -> None:
        """Remove the job's folder; without ``keep`` everything of ours on the device."""
        self._insist(lambda: self._connection.call("clean", {"job": self._job.name, "keep": keep}))

    def _insist(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        while True:
            try:
                return ask()
            except DeviceError as error:
                if error.kind != "gone":
                    raise
                raise self._error(1, _GONE, _GONE_HINT) from error
            except UnreachableError as error:
                self._patience.wait(error, hint=_AGAIN, stopped=self._connection.stopped)
                self._progress.line("connection lost, trying again; the job goes on")

    def _follow(self) -> dict[str, Any]:
        request = {"job": self._job.name, "offset": self._offset}
        return self._connection.call("follow", request, on_event=self._heard)

    def _heard(self, event: dict[str, Any]) -> None:
        self._patience.reset()
        at, text = event.get("at"), event.get("text")
        if type(at) is int and isinstance(text, str):
            self._offset = max(self._offset, at)
            *lines, self._rest = (self._rest + text)[-(1 << 20) :].split("\n")
            for line in lines:
                if line := clean(line).rstrip():
                    self._tell(line)
                    # What an earlier step said is not why a later one failed.
                    before = [] if line in self._starts else self._lines[1 - _LAST_LINES :]
                    self._lines = [*before, line]

    def _tell(self, line: str) -> None:
        """Say a line; an error is held back, since it will be raised unless the job goes on after it."""
        starts = line.startswith("error: ")
        if starts or not (self._held and line.startswith("  ")):
            self._release()
        if starts or self._held:
            self._held.append(line)
        else:
            self._progress.line(line[:500])

    def _release(self) -> None:
        held, self._held = self._held, []
        for line in held:
            self._progress.line(line[:500])

    def _failed(self, ended: Mapping[str, Any]) -> DeviceError:
        """Take the error that the step printed; without one its last words."""
        self._held = []
        starts = [index for index, line in enumerate(self._lines) if line.startswith("error: ")]
        code = ended.get("code") if isinstance(ended.get("code"), int) else 1
        if not starts:
            words = " | ".join(self._lines[-3:]) or "without a word"
            return self._error(1, f"{clean(str(ended.get('step')))} ended with exit code {code}: {words}", "")
        what, *more = self._lines[starts[-1] :]
        hint = next((line.strip().removeprefix("next: ") for line in more if line.startswith("  next: ")), "")
        return self._error(code, what.removeprefix("error: "), hint)

    def _odd(self, request: str) -> EdgeRobertaError:
        what = f"the device sent something that is not an answer to {request!r}"
        return EdgeRobertaError(what, where=self._connection.host.name)

    def _error(self, code: Any, what: str, hint: str) -> DeviceError:
        fields = {"what": what, "hint": hint, "exit_code": code, "where": ""}
        return DeviceError(fields, host=self._connection.host.name)
