"""A real SSH server on 127.0.0.1 that runs real commands in a home folder of its own.

It can drop its connections: after so many bytes of stdin, or when told to. What it is sent is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.remote.hosts import Host


@dataclass
class Device:
    """A pretended device.

    Attributes:
        folder: Holds its keys and its home.
        environment: What its commands see; ``PATH`` begins with ``bin`` of its home.
        drop_after: Bytes of stdin after which the connection is dropped, once; None never.
        received: Bytes of stdin of all commands so far.
        commands: What was run.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None
    received: int = 0
    commands: list[str] = field(default_factory=list)
    port: int = 0
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def root(self) -> Path:
        return self.home / ".cache" / "edgeroberta-remote"

    @property
    def config(self) -> Path:
        """Configuration for ``ssh -F`` that knows this server as ``device``."""
        return self.folder / "ssh_config"

    def drop(self) -> None:
        """Drop all connections now."""
        for connection in list(self.connections):
            self.loop.call_soon_threadsafe(connection.abort)

    def write_config(self, *, key: str = "user", known: str = "known_hosts") -> None:
        self.config.write_text(
            f"Host device\n  HostName 127.0.0.1\n  Port {self.port}\n  User me\n"
            f"  IdentityFile {self.folder / key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.folder / known}\n  GlobalKnownHostsFile /dev/null\n"
        )

    def shim(self, name: str, script: str) -> None:
        """Put a program before all others on the device's PATH."""
        file = self.home / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    @contextlib.contextmanager
    def hooked(self, code: str) -> Iterator[None]:
        """Run Python code when a Python of our environments on the device starts, as long as it is open."""
        file = self.home / "site" / "hook.py"
        file.write_text(code)
        try:
            yield
        finally:
            file.unlink()

    def write_hosts(self, file: Path, name: str = "kitchen", *others: str) -> Path:
        """Write a configuration of hosts that knows this device, with further lines for it."""
        lines = [
            f"[hosts.{name}]",
            'ssh = "device"',
            f'ssh_options = ["-F", "{self.config}"]',
            *(others or ('pip_args = ["--no-index", "--no-deps"]',)),
        ]
        file.write_text("\n".join(lines) + "\n")
        return file


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Device]:
    """Serve in a thread until left."""
    device = Device(folder)
    device.home.mkdir(parents=True)
    for name in ("host", "user", "stranger"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(folder / name))
        (folder / name).chmod(0o600)
        key.write_public_key(str(folder / f"{name}.pub"))
    device.environment = {
        "HOME": str(device.home),
        "PATH": f"{device.home / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        # The packages of the test environment, as a device has those of its system: no network.
        "PYTHONPATH": f"{device.home}/site:{sysconfig.get_paths()['purelib']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # pip is among those packages, and unpacking another one takes longer than all the rest.
    (device.home / "site").mkdir()
    (device.home / "site" / "sitecustomize.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "if 'venv' in sys.orig_argv:\n"
        "    import venv\n"
        "    venv.EnvBuilder._setup_pip = lambda *_: None\n"
        "hook = Path(__file__).with_name('hook.py')\n"
        "if 'edgeroberta-remote/venvs' in sys.prefix and hook.is_file():\n"
        "    exec(compile(hook.read_text(), str(hook), 'exec'), {'__name__': 'hook'})\n"
    )
    device.shim("python3", f'exec "{sys.executable}" "$@"')
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(device, ready, end)), daemon=True)
    end = threading.Event()
    thread.start()
    assert ready.wait(20)
    host = (folder / "host.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{device.port} {' '.join(host)}\n")
    other = (folder / "stranger.pub").read_text().split()[:2]
    (folder / "changed_hosts").write_text(f"[127.0.0.1]:{device.port} {' '.join(other)}\n")
    device.write_config()
    try:
        yield device
    finally:
        end.set()
        thread.join(20)


async def _serve(device: Device, ready: threading.Event, end: threading.Event) -> None:
    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            device.connections.append(conn)

    async def handle(process: asyncssh.SSHServerProcess) -> None:
        await _run(device, process)

    device.loop = asyncio.get_running_loop()
    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[str(device.folder / "host")],
        authorized_client_keys=str(device.folder / "user.pub"),
        process_factory=handle,
        encoding=None,
    )
    device.port = listener.get_port()
    ready.set()
    while not end.is_set():
        await asyncio.sleep(0.05)
    for connection in device.connections:
        connection.abort()
    listener.close()
    await listener.wait_closed()


async def _run(device: Device, process: asyncssh.SSHServerProcess) -> None:
    command = process.command or ""
    device.commands.append(command)
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=device.environment,
        cwd=device.home,
    )
    feeding = asyncio.create_task(_feed(device, process, child))
    pumps = [_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr)]
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionError, asyncssh.Error):
            await asyncio.gather(*pumps)
            code = await child.wait()
            process.exit(code)
    finally:
        # As sshd does when the client is gone: the pipes are closed, the process is left to notice. Also when
        # the server ends and cancels this: what is not closed warns later, within some other test.
        child._transport.close()  # type: ignore[attr-defined]
        feeding.cancel()


async def _feed(
    device: Device, process: asyncssh.SSHServerProcess, child: asyncio.subprocess.Process
) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionError, asyncssh.Error):
        while block := await process.stdin.read(4096):
            device.received += len(block)
            child.stdin.write(block)
            await child.stdin.drain()
            if device.drop_after is not None and device.received >= device.drop_after:
                device.drop_after = None
                for connection in device.connections:
                    connection.abort()
                break
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        child.stdin.close()


async def _pump(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter) -> None:
    while block := await source.read(1 << 16):
        target.write(block)
        await target.drain()


def available() -> bool:
    """Tell whether there is an ssh client to test with."""
    return shutil.which("ssh") is not None


def host_of(device: Device, name: str = "device", **changes: object) -> Host:
    """Return the host as a user's configuration gives it; pip gets nothing from an index."""
    fields = {"ssh_options": ("-F", str(device.config)), "pip_args": ("--no-index", "--no-deps"), **changes}
    return Host(name, "device", **fields)  # type: ignore[arg-type]


def answering(step: str, result: object) -> str:
    """Code that makes a step return this."""
    return printing(step, json.dumps({"result": result}), "", 0)


def failing(step: str, error: EdgeRobertaError) -> str:
    """Code that makes a step raise this."""
    return printing(step, json.dumps({"error": error.to_json()}), "", error.exit_code)


def printing(step: str, out: str, err: str, code: int) -> str:
    """Code that makes a step print this and end so."""
    return f"""
import os, sys
if {step!r} in sys.orig_argv:
    print({out!r}, flush=True)
    print({err!r}, file=sys.stderr, flush=True)
    os._exit({code})
"""
