"""How a job is followed over a connection that answers as a test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ssh_server import Device, host_of

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.remote.failures import UnreachableError
from edgeroberta.remote.job import Job, Runner
from edgeroberta.remote.shipping import Blob, Patience, ship
from edgeroberta.remote.ssh import Connection

JOB = Job({"steps": [{"name": "bench", "words": []}]}, {}, "me")
LOST = UnreachableError("lost", where="kitchen", hint=None, transient=True)


class Answering(Connection):
    """A connection whose requests a function answers."""

    def __init__(self, folder: Path, answer: Callable[[str], Any]) -> None:
        super().__init__(host_of(Device(folder), "kitchen"))
        self.asked: list[str] = []
        self.answer = answer

    def call(self, command: str, request: Mapping[str, Any], **others: Any) -> Any:
        self.asked.append(command)
        found = self.answer(command)
        if isinstance(found, Exception):
            raise found
        return found


def runner(connection: Connection, *delays: float) -> Runner:
    return Runner(connection, JOB, progress=Progress(), patience=Patience(delays))


def test_after_an_interrupt_nothing_is_asked_but_the_end_of_the_job(device: Device) -> None:
    before = len(device.commands)
    with Connection(host_of(device)) as connection:
        connection.interrupt()  # between two requests
        for command in ("hello", "start", "follow", "result"):
            with pytest.raises(UnreachableError, match="stopped"):
                connection.call(command, {"job": JOB.name, "blobs": {}, "offset": 0})
        assert len(device.commands) == before
        runner(connection).stop()
    assert len(device.commands) == before + 1


def test_an_interrupt_ends_the_wait_for_a_lost_connection(tmp_path: Path) -> None:
    connection = Answering(tmp_path, lambda command: LOST)
    timer = threading.Timer(0.2, connection.interrupt)
    begun = time.monotonic()
    timer.start()
    with connection, pytest.raises(UnreachableError):
        runner(connection, 60.0, 60.0).run()
    assert time.monotonic() - begun < 30
    assert connection.asked == ["start"]


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"start": {}}, "not an answer to 'start'"),
        ({"start": {"started": {"a": 1}}}, "not an answer to 'start'"),
        ({"follow": {"beat": 1}}, "not an answer to 'follow'"),
        ({"follow": {"exit": 3}}, "the job was killed"),
        ({"follow": {"exit": {"code": [], "step": {}}}}, "ended with exit code 1"),
        ({"result": {"result": 3}}, "not an answer to 'result'"),
        ({"result": {}}, "not an answer to 'result'"),
    ],
)
def test_an_odd_answer_is_an_error_of_that_host(
    tmp_path: Path, answers: dict[str, Any], complaint: str
) -> None:
    good = {"start": {"started": "started"}, "follow": {"exit": {"code": 0}}, "result": {"result": "x"}}
    with (
        Answering(tmp_path, lambda command: {**good, **answers}[command]) as connection,
        pytest.raises(EdgeRobertaError, match=complaint),
    ):
        runner(connection).run()


class Heard(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("code", "told"),
    [(2, ["bench: started"]), (0, ["bench: started", "error: no rows", "  next: give some"])],
    ids=["raised", "the job went on"],
)
def test_the_error_that_ends_a_job_is_not_said_as_progress_too(
    tmp_path: Path, code: int, told: list[str]
) -> None:
    good = {"start": {"started": "started"}, "follow": {"exit": {"code": code, "step": "bench"}}}
    heard = Heard()

    class Saying(Answering):
        def call(self, command: str, request: Mapping[str, Any], **others: Any) -> Any:
            if command == "follow":
                text = "bench: started\nerror: no rows\n  next: give some\n"
                others["on_event"]({"at": len(text), "text": text})
            return super().call(command, request)

    answers = {**good, "result": {"result": "x" if code == 0 else ""}}
    with Saying(tmp_path, lambda command: answers[command]) as connection:
        job = Runner(connection, JOB, progress=heard, patience=Patience(()))
        if code == 0:
            assert job.run().text == "x"
        else:
            with pytest.raises(EdgeRobertaError, match="no rows") as caught:
                job.run()
            assert caught.value.hint == "give some"
    assert heard.lines == told


@pytest.mark.parametrize("facts", [3, "x", None, []])
def test_odd_facts_are_an_error_of_that_host(tmp_path: Path, facts: Any) -> None:
    with (
        Answering(tmp_path, lambda command: {"missing": {}, "facts": facts}) as connection,
        pytest.raises(EdgeRobertaError, match="not an answer"),
    ):
        ship(connection, {"a": Blob("a", 0, b"")}, job=JOB.name, progress=Progress(), patience=Patience(()))
