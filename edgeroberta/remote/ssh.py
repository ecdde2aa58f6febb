"""The system's OpenSSH client, with the user's configuration, keys, agent and jump hosts."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

from edgeroberta.errors import UnavailableError
from edgeroberta.remote import failures
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.program import BOOTSTRAP, program
from edgeroberta.storage.strict import build, clean, loads

Answer = dict[str, Any]
T = TypeVar("T")
#: The longest line that a device may answer with: a whole result (16 MiB), written anew.
LINE_BYTES = 40 << 20
#: Never ask for a password: nobody may sit there, and several hosts would ask at once. A dead connection
#: is noticed within 15 seconds. What the user's configuration adds for people does not go with a command of
#: ours: a command of its own, or forwarded ports that another session may hold.
OPTIONS = (
    "BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=5", "ServerAliveCountMax=3",
    "RemoteCommand=none", "ClearAllForwardings=yes",
)  # fmt: skip
#: What is still asked when the user has given up.
_LAST_WORDS = ("stop", "clean")
#: sun_path takes 104 bytes on macOS and 108 on Linux; ssh appends 17 of its own while it binds.
_SOCKET_BYTES = 104 - 17


class SshConnection:
    """A host that can be asked; one login serves all requests where ssh can share it.

    ``stopped``: set when the user has given up: from then on nothing but the end of a job is asked. Raises
    UnavailableError: there is no ``ssh``.
    """

    def __init__(self, host: Host, stopped: threading.Event | None = None) -> None:
        self.host = host
        self.stopped = stopped or threading.Event()
        self.sent = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        ssh = shutil.which("ssh")
        if ssh is None:
            hint = "sudo apt install openssh-client, or copy the bundle to the device and run there"
            raise UnavailableError("there is no OpenSSH client on this machine", where="ssh", hint=hint)
        self._sockets = tempfile.mkdtemp(prefix="edgeroberta-")
        options = [word for option in OPTIONS for word in ("-o", option)]
        self._words = [ssh, "-T", *host.ssh_options, *options, *self._sharing()]

    def __enter__(self) -> SshConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(
        self,
        command: str,
        request: Mapping[str, Any],
        *,
        payload: Iterable[bytes] = (),
        on_line: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Ask the device.

        ``command``: what to do; see :mod:`edgeroberta.remote.device.main`. ``payload``: bytes that follow the
        request; :attr:`sent` counts them. Raises UnreachableError: ssh failed, the connection was lost, or
        the user has given up; EdgeRobertaError: what the device says is wrong, with its code; there is no
        Python on it (``device.no-python``), or the answer is none (``device.answer``).
        """
        token = secrets.token_hex(8)
        text = program().encode()
        remote = f"{self.host.python} -c '{BOOTSTRAP}' {len(text)} {token} {command} -"
        fields = json.dumps({"root": self.host.root, **request}).encode() + b"\n"
        with tempfile.TemporaryFile() as stderr:
            process = self._start(command, [*self._words, *self.host.destination, remote], stderr)
            failed: list[Exception] = []
            arguments = (process.stdin, text + fields, payload, failed)
            feeding = threading.Thread(target=self._feed, args=arguments, daemon=True)
            feeding.start()
            try:
                last = self._listen(process, token.encode() + b" ", on_line)
            except BaseException:
                process.kill()
                raise
            finally:
                code = process.wait()
                if process.stdout is not None:
                    process.stdout.close()
                feeding.join()
            if failed:
                raise failed[0]
            stderr.seek(0)
            said = stderr.read(1 << 16).decode("utf-8", errors="replace")
        return self._judge(last, code, said)

    def ask(self, kind: type[T], command: str, request: Mapping[str, Any], **others: Any) -> T:
        """Do as :meth:`call`, and read the answer strictly as a dataclass."""
        answer = self.call(command, request, **others)
        try:
            return build(kind, answer)
        except (TypeError, ValueError) as error:
            raise failures.answer_error(f"{command}: {clean(str(error))}", host=self.host.name) from error

    def interrupt(self) -> None:
        """Give up, from another thread: the request under way raises UnreachableError, as does a next one."""
        with self._lock:
            self.stopped.set()
            if self._process is not None:
                self._process.terminate()

    def close(self) -> None:
        """Leave the host; safe to call more than once."""
        if Path(self._sockets).is_dir():
            if any(Path(self._sockets).iterdir()):
                words = [*self._words, "-O", "exit", *self.host.destination]
                # The result is in hand; a connection that does not end goes by itself (ControlPersist).
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                    subprocess.run(words, capture_output=True, check=False, timeout=30)
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _sharing(self) -> list[str]:
        path = f"{self._sockets}/%C"  # %C is a sha1, 40 characters
        if os.name != "posix" or len(path) + 38 > _SOCKET_BYTES:
            return []
        return ["-o", "ControlMaster=auto", "-o", f"ControlPath={path}", "-o", "ControlPersist=60"]

    def _start(self, command: str, words: list[str], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        # stderr is a file: the process that shares the connection outlives this one and would keep a pipe
        # open. A session of its own: Ctrl-C is for us, who then stop the job over this very connection.
        with self._lock:  # so that no request begins behind the back of interrupt
            if self.stopped.is_set() and command not in _LAST_WORDS:
                raise failures.UnreachableError(
                    "stopped", where=self.host.name, hint="run the same command again", transient=False
                )
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
            return self._process

    def _feed(self, stdin: IO[bytes], head: bytes, payload: Iterable[bytes], failed: list[Exception]) -> None:
        """Write a request while its answer is read; ``failed`` takes what is wrong with its files."""
        # BrokenPipeError: nobody reads any more, and the device has said why, or ssh has.
        with contextlib.suppress(BrokenPipeError), stdin:
            try:
                stdin.write(head)
                stdin.flush()
                for block in payload:
                    stdin.write(block)
                    self.sent += len(block)
            except BrokenPipeError:
                raise
            except Exception as error:
                failed.append(error)

    def _listen(
        self, process: subprocess.Popen[bytes], token: bytes, on_line: Callable[[Answer], None] | None
    ) -> Answer | None:
        last: Answer | None = None
        while process.stdout is not None and (line := process.stdout.readline(LINE_BYTES)):
            if not line.startswith(token):  # what a login shell prints
                continue
            answer = loads(line[len(token) :].decode("utf-8", errors="replace"), where=self.host.name)
            last = answer if isinstance(answer, dict) else None
            if last is not None and on_line is not None:
                on_line(last)
        return last

    def _judge(self, last: Answer | None, code: int, said: str) -> Answer:
        name = self.host.name
        if last is not None and "error" in last:
            raise failures.relayed(last["error"], host=name)
        # A request that was interrupted or cut ends by a signal here, or by ssh's own code.
        if code == failures.SSH_FAILED or code < 0:
            raise failures.unreachable(said, self.host)
        if code in failures.NO_COMMAND:
            raise failures.no_python(self.host.python, host=name)
        if code or last is None:
            tail = " | ".join(clean(said).strip().splitlines()[-3:])[:500] or f"exit code {code}"
            raise failures.answer_error(tail, host=name)
        return last
