"""Drives Chromium over the DevTools protocol, through two pipes: no port, no package.

https://chromedevtools.github.io/devtools-protocol; messages are JSON, each with a zero byte at its end.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Names that the program has on Debian, and elsewhere.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: In a container its sandbox is not to be had; what is opened is our own page.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


class PageError(Exception):
    """The browser refused, or what was waited for did not come."""


def find() -> str | None:
    """Return the path of the program; None where there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Connection:
    """One browser: commands go in, answers and events come out."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing = reading, writing
        self.rest = b""
        self.number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and return its result. Raises PageError: the browser refused."""
        self.number += 1
        own = self.number
        message = {"id": own, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = self.receive(end - time.monotonic())
            if found is None:
                continue
            if found.get("id") == own:
                if "error" in found:
                    raise PageError(f"{method}: {found['error']}")
                return dict(found["result"])
            self.events.append(found)
        raise PageError(f"{method}: no answer")

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Return the next message; None where none comes in time."""
        while b"\0" not in self.rest:
            if not select.select([self.reading], [], [], max(0.0, seconds))[0]:
                return None
            data = os.read(self.reading, 1 << 20)
            if not data:
                raise PageError("the browser ended")
            self.rest += data
        first, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(first))

    def drain(self) -> None:
        """Take in all events that are there."""
        while (found := self.receive(0.0)) is not None:
            self.events.append(found)


class Page:
    """One tab, with all that it and its workers say and fetch."""

    def __init__(self, connection: Connection, session: str) -> None:
        self.connection, self.session = connection, session
        self.known = 0
        self.errors: list[str] = []  # what stands in the console as a warning or an error
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        # Workers wait until they are listened to.
        options = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        self.call("Target.setAutoAttach", **options)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send the tab a command."""
        return self.connection.call(method, self.session, **params)

    def run(self, script: str) -> Any:
        """Return what a JavaScript expression gives, its promise's value if it is one."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise PageError(f"{script}: {done['exceptionDetails']}")
        self.listen()
        return done["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> Any:
        """Wait until an expression is true, and return what it gives."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script):
                return found
            time.sleep(0.02)
        raise PageError(f"not in {seconds} s: {script}; console: {self.errors}")

    def open(self, address: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=address)

    def type(self, field: str, text: str) -> None:
        """Put a text into a field as the keyboard does."""
        self.run(f"document.getElementById({json.dumps(field)}).select()")
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key that writes nothing."""
        for kind in ("rawKeyDown", "keyUp"):
            code = {"Tab": 9, "Enter": 13, "Space": 32}.get(key, 0)
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def show(self, width: int, height: int, scheme: str) -> None:
        """Make the tab as wide as a device, light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, file: Path) -> None:
        """Write what the tab shows as PNG, all of its height."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def listen(self) -> None:
        """Read the events that came; what begins to run is listened to as well."""
        self.connection.drain()
        while self.known < len(self.connection.events):
            event = self.connection.events[self.known]
            self.known += 1
            if event.get("method") == "Target.attachedToTarget":
                self._attach(event["params"]["sessionId"])
            else:
                self._hear(event.get("method"), event.get("params", {}))

    def _attach(self, session: str) -> None:
        for domain in ("Runtime", "Log", "Network"):
            try:
                self.connection.call(f"{domain}.enable", session)
            except PageError:
                continue  # not every kind of worker has each of them
        options = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        self.connection.call("Target.setAutoAttach", session, **options)
        self.connection.call("Runtime.runIfWaitingForDebugger", session)

    def _hear(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(each.get("value", each)) for each in params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


@contextmanager
def opened(program: str, profile: Path, *flags: str) -> Iterator[Page]:
    """Start a browser with a folder of its own, and open an empty tab."""
    (to_browser, writing), (reading, from_browser) = os.pipe(), os.pipe()
    # The browser reads from 3 and writes to 4; a shell puts the pipes there.
    places = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
    shell = shutil.which("bash") or "sh"
    command = [shell, "-c", places, program, *FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"]
    with subprocess.Popen(
        command,
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(to_browser)
        os.close(from_browser)
        try:
            connection = Connection(reading, writing)
            tabs = connection.call("Target.getTargets")["targetInfos"]
            tab = next(each["targetId"] for each in tabs if each["type"] == "page")
            session = connection.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
            yield Page(connection, session)
            connection.call("Browser.close")
        finally:
            for end in (reading, writing):
                os.close(end)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.terminate()
