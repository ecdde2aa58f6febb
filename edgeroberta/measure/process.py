"""The parent's half of a worker: start it, ask it, notice when it dies or hangs."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.measure.clock import TimedCalls
from edgeroberta.measure.paired import PairedTimes
from edgeroberta.measure.protocol import RowStatus, SubjectSpec, WorkerReady
from edgeroberta.tasks import Outputs

logger = logging.getLogger(__name__)

#: Longest wait for an answer, in seconds; see ``rounds.BLOCK`` for the longest answer there is.
TIMEOUT = 1800.0

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class WorkerError(EngineError):
    """A measured process failed; ``status`` says in which way."""

    code = "engine.process"

    def __init__(
        self, status: RowStatus, what: str, *, hint: str | None = None, code: str | None = None
    ) -> None:
        self.status = status
        super().__init__(what, hint=hint, code=code)


class MeasuredModel(Protocol):
    """A model that can be asked; the process behind it is one way to have one."""

    spec: SubjectSpec

    def open(self) -> WorkerReady:
        """Open the model and answer one text."""

    def time(
        self, calls: Sequence[Sequence[int]], *, limit_s: float, device: bool = False, through: bool = False
    ) -> TimedCalls:
        """Answer rows of the inputs, one call per group.

        ``device`` asks the device's own clock, too; ``through`` sends texts through all tiers of a cascade.
        """

    def time_ids(
        self, lengths: Sequence[int], *, batch: int, seed: int, limit_s: float, device: bool = False
    ) -> TimedCalls:
        """Run random ids ``[batch, length]``, a call per length."""

    def outputs(self, rows: Sequence[int], *, way: str = "batched") -> Outputs:
        """Return what the model gives for rows; ``way`` as in :mod:`edgeroberta.measure.worker`."""

    def beside(
        self,
        folder: Path,
        rows: Sequence[int],
        *,
        lengths: Sequence[int] | None,
        vocab_size: int,
        limit_s: float,
    ) -> PairedTimes:
        """Time it beside the graph of a folder, on ids as long as the rows' or of the given lengths."""

    def memory(self) -> int:
        """Return the peak memory so far, in bytes."""

    def close(self) -> None:
        """Free it; safe to call more than once."""


class Worker:
    """One model in one process of its own. ``timeout``: longest wait for an answer, in seconds."""

    def __init__(self, spec: SubjectSpec, *, timeout: float = TIMEOUT) -> None:
        self.spec = spec
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)

    def open(self) -> WorkerReady:
        """Start the process, open the model and answer one text; WorkerError if it dies or takes too long."""
        environment = dict(os.environ)
        path = [str(_PACKAGE_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
        threads = str(self.spec.threads)
        environment.update(
            PYTHONPATH=os.pathsep.join(path), OMP_NUM_THREADS=threads, TOKENIZERS_PARALLELISM="false"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeroberta.measure.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=environment,
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        ready = WorkerReady(**self._ask(self.spec.to_json()))
        logger.info(
            "process %d: %s on %s %s, first answer after %.2f s",
            self._process.pid, self.spec.path, ready.engine, ready.version, ready.cold_start_s,
        )  # fmt: skip
        return ready

    def time(
        self, calls: Sequence[Sequence[int]], *, limit_s: float, device: bool = False, through: bool = False
    ) -> TimedCalls:
        """See :class:`MeasuredModel`."""
        request = {
            "do": "time",
            "calls": [list(rows) for rows in calls],
            "limit_s": limit_s,
            "device": device,
            "through": through,
        }
        return TimedCalls(**self._ask(request))

    def time_ids(
        self, lengths: Sequence[int], *, batch: int, seed: int, limit_s: float, device: bool = False
    ) -> TimedCalls:
        """See :class:`MeasuredModel`."""
        request = {
            "do": "time_ids",
            "lengths": list(lengths),
            "batch": batch,
            "seed": seed,
            "limit_s": limit_s,
            "device": device,
        }
        return TimedCalls(**self._ask(request))

    def outputs(self, rows: Sequence[int], *, way: str = "batched") -> Outputs:
        """See :class:`MeasuredModel`."""
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder, "outputs.npz"))
            self._ask({"do": "outputs", "rows": [int(row) for row in rows], "way": way, "file": file})
            return Outputs.load(file)

    def beside(
        self,
        folder: Path,
        rows: Sequence[int],
        *,
        lengths: Sequence[int] | None,
        vocab_size: int,
        limit_s: float,
    ) -> PairedTimes:
        """See :class:`MeasuredModel`."""
        request = {
            "do": "beside",
            "folder": str(folder),
            "rows": [int(row) for row in rows],
            "lengths": None if lengths is None else [int(length) for length in lengths],
            "vocab_size": vocab_size,
            "limit_s": limit_s,
        }
        return PairedTimes(**self._ask(request))

    def memory(self) -> int:
        """See :class:`MeasuredModel`."""
        return self._ask({"do": "memory"})["peak_bytes"]

    def close(self) -> None:
        """Stop the process, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None
        self._complaints.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is not None:
            try:
                for line in iter(process.stdout.readline, b""):
                    self._answers.put(line)
            except ValueError:  # closed while it was read
                pass
        self._answers.put(b"")

    def _ask(self, request: dict[str, Any]) -> Any:
        if self._process is None or self._process.stdin is None:
            raise WorkerError(RowStatus.FAILED, "the worker is not running")
        try:
            self._process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; the answer that does not come tells how
        try:
            line = self._answers.get(timeout=self.timeout)
        except queue.Empty:
            self._process.kill()
            raise WorkerError(RowStatus.TIMED_OUT, f"no answer within {self.timeout:g} s") from None
        if not line.endswith(b"\n"):
            raise WorkerError(RowStatus.CRASHED, self._last_words(self._process.wait()))
        answer = json.loads(line)
        if "error" in answer:
            raise _as_error(answer["error"])
        return answer

    def _last_words(self, code: int) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", errors="replace").strip().splitlines()
        said = f": {lines[-1].strip()}" if lines else ""
        if code < 0:
            return f"killed by {signal.Signals(-code).name}{said}"
        return f"ended with exit code {code}{said}"


def _as_error(fields: dict[str, Any]) -> WorkerError:
    missing = fields["exit_code"] == UnavailableError.exit_code
    what = f"{fields['where']}: {fields['what']}" if fields["where"] else fields["what"]
    status = RowStatus.MISSING if missing else RowStatus.FAILED
    return WorkerError(status, what, hint=fields["hint"], code=fields["code"])
