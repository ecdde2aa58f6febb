"""The loop of examples/ as a process of its own: on lines, on a real server, on a real broker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fake_bundles
import pytest
import served

from edgeroberta.runtime import Runtime

SCRIPT = served.ROOT / "examples" / "label_stream.py"
TEXTS = ["film plot", "music actor scene", "Zwölf 😀", ""]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return fake_bundles.write(tmp_path_factory.mktemp("stream") / "bundle")


@pytest.fixture(scope="module")
def wanted(bundle):
    with Runtime.open(bundle) as runtime:
        return [str(answer.label) for answer in runtime(TEXTS)]


@contextmanager
def loop(*words: object) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": f"{served.ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", env=environment,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(process: subprocess.Popen[str], text: str) -> dict[str, Any]:
    process.stdin.write(text + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_lines_are_labelled_as_they_come(bundle, wanted):
    with loop(bundle) as process:
        answers = [ask(process, text) for text in TEXTS]
        assert [answer["text"] for answer in answers] == TEXTS
        assert [answer["label"] for answer in answers] == wanted
        out, said = process.communicate(timeout=20)
        assert (process.returncode, out, said) == (0, "", "")


def test_bytes_that_are_no_utf_8_are_labelled_all_the_same(bundle):
    process = subprocess.run(
        [sys.executable, str(SCRIPT), str(bundle)],
        input=b"film \xff plot\n\xed\xa0\x80\n", capture_output=True, timeout=20,
        env={**os.environ, "PYTHONPATH": str(served.ROOT)},
    )  # fmt: skip
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    assert [sorted(answer) for answer in answers] == [["label", "score", "text"]] * 2
    assert answers[0]["text"] == "film � plot"


def test_a_reader_that_has_gone_ends_the_loop_without_a_word(bundle):
    with loop(bundle) as process:
        ask(process, "film")
        process.stdout.close()
        process.stdin.write("film\n")
        process.stdin.flush()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_a_line(bundle, number):
    with loop(bundle) as process:
        ask(process, "film")
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (0, "")


def test_a_bundle_that_is_not_there_ends_the_loop_with_its_error_and_no_traceback(tmp_path):
    with loop(tmp_path / "nowhere") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith(f"error: {tmp_path / 'nowhere'}: there is no such folder\n  next: ")


def test_a_server_is_asked_and_waited_for_when_it_is_away(bundle, wanted):
    with served.command(bundle) as first, loop(f"http://127.0.0.1:{first.port}") as process:
        assert ask(process, TEXTS[0])["label"] == wanted[0]
        assert first.terminate()[0] == 0
        found: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: found.append(ask(process, TEXTS[1])))
        asking.start()
        assert "cannot be asked" in process.stderr.readline()
        with served.command(bundle, "--port", first.port):
            asking.join(served.WAIT)
            assert found[0]["label"] == wanted[1]
            assert process.stderr.readline() == "the server answers again\n"


def test_what_a_server_refuses_is_an_error_and_the_loop_goes_on(bundle, wanted):
    with (
        served.command(bundle, "--max-bytes", 100) as server,
        loop(f"http://127.0.0.1:{server.port}") as process,
    ):
        assert ask(process, "a" * 200) == {"error": "a body of more than 100 bytes", "text": "a" * 200}
        assert ask(process, TEXTS[0])["label"] == wanted[0]


@contextmanager
def broker(port: int, folder: Path) -> Iterator[None]:
    """A real broker on loopback, until the block ends."""
    config = folder / "broker.yaml"
    config.write_text(
        f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
        "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(config)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        served.wait_until(lambda: reachable(port))
        yield
    finally:
        process.terminate()
        process.wait(served.WAIT)


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def listening(port: int, topic: str) -> Iterator[tuple[Callable[[str], None], list[dict[str, Any]]]]:
    """Another client of the broker: a function that publishes texts, and the labels that came."""
    import paho.mqtt.client as mqtt

    came: list[dict[str, Any]] = []
    ready = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe(topic, qos=1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _, __, message: came.append(json.loads(message.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert ready.wait(served.WAIT)
        yield lambda text: client.publish("texts", text.encode(), qos=1).wait_for_publish(served.WAIT), came
    finally:
        client.disconnect()
        client.loop_stop()


def test_messages_of_a_topic_are_labelled_also_after_the_broker_was_away(bundle, wanted, tmp_path):
    pytest.importorskip("paho.mqtt")
    pytest.importorskip("amqtt")
    port = free_port()
    words = (bundle, "--mqtt", "127.0.0.1", "--mqtt-port", port, "--from", "texts", "--to", "labels")
    with loop(*words) as process:
        with broker(port, tmp_path):
            assert process.stderr.readline() == "connected; labelling texts\n"
            with listening(port, "labels") as (publish, came):
                for text in TEXTS:
                    publish(text)
                served.wait_until(lambda: len(came) == len(TEXTS))
                assert [(answer["text"], answer["label"]) for answer in came] == list(
                    zip(TEXTS, wanted, strict=True)
                )
        assert "disconnected from the broker" in process.stderr.readline()
        with broker(port, tmp_path):
            assert process.stderr.readline() == "connected; labelling texts\n"
            with listening(port, "labels") as (publish, came):
                publish(TEXTS[0])
                served.wait_until(lambda: len(came) == 1)
                assert came[0]["label"] == wanted[0]
            process.send_signal(signal.SIGTERM)
            assert process.wait(served.WAIT) == 0


def test_of_too_many_messages_the_oldest_are_dropped(monkeypatch, caplog):
    pytest.importorskip("paho.mqtt")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import label_stream
    from paho.mqtt.client import MQTTMessage

    topic = label_stream.Topic("127.0.0.1", free_port(), "texts", "labels")
    try:
        for number in range(label_stream.MOST_WAITING + 2):
            message = MQTTMessage()
            message.payload = str(number).encode()
            topic._received(None, None, message)
        assert topic._messages.get_nowait() == b"2"
        assert topic._messages.qsize() == label_stream.MOST_WAITING - 1
        assert "2 messages dropped so far" in caplog.text
    finally:
        topic.close()
