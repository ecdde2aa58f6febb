"""Label texts as they come: lines on standard input, or messages of an MQTT topic.

    journalctl -f -o cat | python label_stream.py out/
    python label_stream.py http://127.0.0.1:8080 --mqtt localhost --from site/messages --to site/labels

The first argument is a bundle, opened in this process, or the address of ``edgeroberta serve``, asked over
one connection that is kept. Each text becomes one line, or one message, of JSON::

    {"label": "positive", "score": 0.98, "text": "great film"}

What cannot be labelled becomes ``{"error": …, "text": …}`` and the loop continues. A server or broker that is
away is waited for. Lines are read no faster than they are labelled, so a pipe holds its writer up; messages
cannot be held up, so the oldest of more than 64 that wait are dropped, and it is said how many. SIGTERM and
SIGINT end the loop after the text at hand, with exit code 0; so does a reader that has gone. MQTT needs
``pip install 'paho-mqtt>=2'``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

logger = logging.getLogger("label_stream")

Label = Callable[[str], dict[str, Any]]

MOST_WAITING = 64
#: Seconds between two attempts to reach a server, doubled up to the second.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
SECONDS_FOR_AN_ANSWER = 30.0


class Stop:
    """Becomes true at SIGTERM or SIGINT; interrupts a wait for input, but no text that is being labelled."""

    class NowError(Exception):
        """Raised out of a wait for input."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.waiting = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked)

    def _asked(self, *_: object) -> None:
        self.event.set()
        if self.waiting:
            raise Stop.NowError


class RemoteModel:
    """Asks ``edgeroberta serve``; waits for it while it is away or busy."""

    def __init__(self, address: str, stop: threading.Event) -> None:
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(
            parts.hostname or "127.0.0.1", parts.port, timeout=SECONDS_FOR_AN_ANSWER
        )
        self._stop = stop
        self._away = False

    def __call__(self, text: str) -> dict[str, Any]:
        """Label one text; a ValueError says why the server does not want to."""
        body = json.dumps({"text": text})
        pause = FIRST_PAUSE
        while True:
            try:
                self._connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                reply = self._connection.getresponse()
                data = reply.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem = f"cannot be asked ({error})"
            else:
                if reply.status == 200:
                    if self._away:
                        logger.warning("the server answers again")
                    self._away = False
                    return dict(json.loads(data)["predictions"][0])
                if reply.status != 503:
                    raise ValueError(json.loads(data)["error"]["message"])
                problem = "is busy"
            if not self._away:
                logger.warning("the server %s; trying again", problem)
            self._away = True
            if self._stop.wait(pause):
                raise ValueError(f"the server {problem}")
            pause = min(2 * pause, LONGEST_PAUSE)


def open_model(where: str, stop: threading.Event) -> Label:
    """Open what labels: the address of a server, or a bundle."""
    if where.startswith("http://"):
        return RemoteModel(where, stop)
    from edgeroberta.runtime import EdgeRobertaError, Runtime

    try:
        runtime = Runtime.open(where)
    except EdgeRobertaError as error:
        logger.error("error: %s", error)
        sys.exit(error.exit_code)

    def label(text: str) -> dict[str, Any]:
        answer = runtime(text)
        return {"label": answer.label, "score": answer.score}

    return label


def answer(label: Label, data: bytes) -> str:
    """Label one text as it came; return a line of JSON."""
    text = data.decode("utf-8", errors="replace").rstrip("\r\n")
    try:
        found = label(text)
        result = {"text": text, "label": found["label"], "score": found["score"]}
    # ValueError: the server refuses it. Anything of the runtime's own is an EdgeRobertaError.
    except Exception as error:
        result = {"text": text, "error": str(error)}
    return json.dumps(result, ensure_ascii=False, sort_keys=True)


def lines(stop: Stop) -> Iterator[bytes]:
    """Read standard input line by line until it ends or the program is told to stop."""
    while True:
        try:
            stop.waiting = True  # first: a signal from here on is either seen below or ends the wait
            if stop.event.is_set():
                return
            line = sys.stdin.buffer.readline()
            stop.waiting = False
        except Stop.NowError:
            return
        if not line:
            return
        yield line


class Topic:
    """The messages of an MQTT topic, and a way to publish; reconnects by itself.

    Args:
        host: Name or address of the broker.
        port: Its port.
        source: Topic to read.
        target: Topic to write.
    """

    def __init__(self, host: str, port: int, source: str, target: str) -> None:
        import paho.mqtt.client as mqtt

        self._messages: queue.Queue[bytes] = queue.Queue(MOST_WAITING)
        self._target = target
        self._source = source
        self._dropped = 0
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._received
        self._client.reconnect_delay_set(min_delay=1, max_delay=30)
        self._client.connect_async(host, port)  # so that a broker which is not up yet is waited for, too
        self._client.loop_start()

    def messages(self, stop: Stop) -> Iterator[bytes]:
        """Hand out messages until the program is told to stop."""
        while not stop.event.is_set():
            try:
                yield self._messages.get(timeout=0.2)
            except queue.Empty:
                continue

    def publish(self, line: str) -> None:
        """Send an answer; while the broker is away, paho keeps it."""
        self._client.publish(self._target, line.encode("utf-8"), qos=1)

    def close(self) -> None:
        """Send what is left, and leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(
        self, client: Any, userdata: object, flags: object, reason: Any, properties: object
    ) -> None:
        if reason.is_failure:
            logger.warning("the broker refuses: %s", reason)
            return
        # Here and not once: a subscription ends with its connection.
        client.subscribe(self._source, qos=1)
        logger.warning("connected; labelling %s", self._source)

    def _disconnected(
        self, client: object, userdata: object, flags: object, reason: object, properties: object
    ) -> None:
        logger.warning("disconnected from the broker: %s", reason)

    def _received(self, client: object, userdata: object, message: Any) -> None:
        while True:
            try:
                self._messages.put_nowait(message.payload)
                return
            except queue.Full:
                # Blocking here would stop the answers to the broker's pings, and with them the connection.
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        try:
            self._messages.get_nowait()
        except queue.Empty:
            return
        self._dropped += 1
        if self._dropped & (self._dropped - 1) == 0:  # at 1, 2, 4, 8, …: a flood must not fill the log
            logger.warning(
                "%d messages dropped so far: they come faster than they are labelled", self._dropped
            )


def print_line(line: str) -> None:
    """Print an answer at once: who reads it is another program."""
    print(line, flush=True)


def main() -> None:
    """Run the loop."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder of a bundle, or http://address:port of edgeroberta serve")
    parser.add_argument("--mqtt", metavar="HOST", help="broker; without it, standard input and output")
    parser.add_argument("--mqtt-port", type=int, default=1883)
    parser.add_argument("--from", dest="source", metavar="TOPIC", default="edgeroberta/texts")
    parser.add_argument("--to", dest="target", metavar="TOPIC", default="edgeroberta/labels")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    stop = Stop()
    label = open_model(arguments.model, stop.event)
    if arguments.mqtt is None:
        try:
            for data in lines(stop):
                print_line(answer(label, data))
        except BrokenPipeError:  # whoever read the answers has ended
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    try:
        topic = Topic(arguments.mqtt, arguments.mqtt_port, arguments.source, arguments.target)
    except ImportError:
        logger.error("error: MQTT needs the package 'paho-mqtt'\n  next: pip install 'paho-mqtt>=2'")
        sys.exit(4)
    try:
        for data in topic.messages(stop):
            topic.publish(answer(label, data))
    finally:
        topic.close()


if __name__ == "__main__":
    main()
