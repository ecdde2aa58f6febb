"""How a job is followed over a connection that answers as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_progress import Heard
from ssh_server import Device, host_of

from edgeroberta.errors import DataError, EdgeRobertaError, UsageError
from edgeroberta.progress import Progress
from edgeroberta.remote.failures import UnreachableError
from edgeroberta.remote.job import RemoteJob, RemoteRunner
from edgeroberta.remote.retrying import RetryPolicy
from edgeroberta.remote.shipping import Blob, ship
from edgeroberta.remote.ssh import SshConnection
from edgeroberta.remote.step import Step

JOB = RemoteJob({}, [Step("bench", "module:function")], {}, "me")
ENDED = {"code": 0, "step": "bench", "at": 1.5, "error": None, "result": "x"}
GOOD = {"start": {"started": "started"}, "follow": {"exit": ENDED}}
LOST = UnreachableError("lost", where="kitchen", hint=None, transient=True)


class Answering(SshConnection):
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


def runner(connection: SshConnection, *delays: float) -> RemoteRunner:
    return RemoteRunner(connection, JOB, progress=Progress(), retry=RetryPolicy(delays))


def test_after_an_interrupt_nothing_is_asked_but_the_end_of_the_job(device):
    before = len(device.commands)
    with SshConnection(host_of(device)) as connection:
        connection.interrupt()  # between two requests
        for command in ("hello", "start", "follow"):
            with pytest.raises(UnreachableError, match="stopped"):
                connection.call(command, {"job": JOB.name, "blobs": {}, "offset": 0})
        assert len(device.commands) == before
        runner(connection).stop()
    assert len(device.commands) == before + 1


def test_an_interrupt_ends_the_wait_for_a_lost_connection(tmp_path):
    connection = Answering(tmp_path, lambda command: LOST)
    timer = threading.Timer(0.2, connection.interrupt)
    begun = time.monotonic()
    timer.start()
    with connection, pytest.raises(UnreachableError):
        runner(connection, 60.0, 60.0).run()
    assert time.monotonic() - begun < 30
    assert connection.asked == ["start"]


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"start": {}}, "device.answer"),
        ({"start": {"started": {"a": 1}}}, "device.answer"),
        ({"follow": {"beat": 1}}, "device.answer"),
        ({"follow": {"exit": 3}}, "device.answer"),
        ({"follow": {"exit": {"code": [], "step": {}}}}, "device.answer"),
        ({"follow": {"exit": None}}, "device.job-killed"),
        ({"follow": {"exit": {**ENDED, "code": 9}}}, "device.step"),
        ({"follow": {"exit": {**ENDED, "code": 9, "error": "no"}}}, "device.answer"),
    ],
)
def test_an_odd_answer_is_an_error_of_that_host(tmp_path, answers, code):
    with (
        Answering(tmp_path, lambda command: {**GOOD, **answers}[command]) as connection,
        pytest.raises(EdgeRobertaError) as caught,
    ):
        runner(connection).run()
    assert (caught.value.code, caught.value.where) == (code, "kitchen")


def test_events_and_what_libraries_print_are_told_and_the_last_of_a_step_say_why_it_died(tmp_path):
    events = [
        {"event": "progress", "code": "step-started", "text": "build: started"},
        {"event": "log", "text": "warning: old"},
        {"event": "progress", "code": "step-started", "text": "bench: started"},
        {"event": "progress", "text": "halfway"},
    ]
    lines = [
        *map(json.dumps, events),
        "[TRT] \x1b[31mno\x1b[0m memory",
        '{"event": "shout", "text": "x"}',
        "",
    ]

    class Saying(Answering):
        def call(self, command: str, request: Mapping[str, Any], **others: Any) -> Any:
            if command == "follow":
                others["on_line"]({"beat": 0})
                others["on_line"]({"at": 99, "lines": lines})
            return super().call(command, request)

    ended = {"follow": {"exit": {**ENDED, "code": 137}}}
    heard = Heard()
    with Saying(tmp_path, lambda command: {**GOOD, **ended}[command]) as connection:
        job = RemoteRunner(connection, JOB, progress=heard, retry=RetryPolicy(()))
        with pytest.raises(EdgeRobertaError) as caught:
            job.run()
    last = ["bench: started", "halfway", "[TRT] no memory", '{"event": "shout", "text": "x"}']
    assert heard.lines == ["build: started", "warning: old", *last]
    assert caught.value.what == f"bench ended with exit code 137: {' | '.join(last[1:])}"


def test_the_error_that_ends_a_step_is_raised_with_its_code(tmp_path):
    error = DataError("no rows", where="rows.csv", hint="give some", code="data.not-found")
    ended = {"follow": {"exit": {**ENDED, "code": 2, "error": error.to_json()}}}
    with (
        Answering(tmp_path, lambda command: {**GOOD, **ended}[command]) as connection,
        pytest.raises(UsageError) as caught,
    ):
        runner(connection).run()
    assert caught.value.to_json() == {**error.to_json(), "where": "kitchen: rows.csv"}


@pytest.mark.parametrize("facts", [3, "x", None, []])
def test_odd_facts_are_an_error_of_that_host(tmp_path, facts):
    with (
        Answering(tmp_path, lambda command: {"missing": {}, "facts": facts}) as connection,
        pytest.raises(EdgeRobertaError, match=r"hello: \.facts is not an object"),
    ):
        ship(connection, {"a": Blob("a", 0, b"")}, job=JOB.name, progress=Progress(), retry=RetryPolicy(()))
