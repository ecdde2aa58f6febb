"""What ssh says when it fails, turned into what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeroberta.errors import EdgeRobertaError, GateError, UnavailableError, UsageError
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.untrusted import clean

#: What ssh exits with when it fails itself; other codes are the remote command's.
SSH_FAILED = 255
#: Shells: the command is not there, or may not be run.
NO_COMMAND = (126, 127)


class UnreachableError(UnavailableError):
    """The device did not answer over ssh.

    Attributes:
        transient: Trying again may help, as after a dropped connection.
    """

    def __init__(self, what: str, *, where: str, hint: str | None, transient: bool) -> None:
        self.transient = transient
        super().__init__(what, where=where, hint=hint)


class DeviceError(EdgeRobertaError):
    """What the device says is wrong, in its own words, with its own exit code.

    Attributes:
        kind: ``cut``, ``damaged``, ``gone`` or nothing; see :mod:`edgeroberta.remote.device.files`.
    """

    def __init__(self, fields: Mapping[str, Any], *, host: str) -> None:
        texts = {name: clean(str(fields.get(name, "")))[:2000] for name in ("what", "where", "hint", "kind")}
        code = fields.get("exit_code")
        self.exit_code = code if code in _CODES else 1
        self.kind = texts["kind"]
        where = f"{host}: {texts['where']}" if texts["where"] else host
        super().__init__(texts["what"] or "it failed without a word", where=where, hint=texts["hint"] or None)


_CODES = tuple(error.exit_code for error in (EdgeRobertaError, UsageError, GateError, UnavailableError))

#: What ssh's message contains: what it means, what to do (``{ssh}`` is what follows ``ssh``, ``{host}`` the
#: bare host, ``{known}`` its name among known hosts), and whether trying again may help. The first that fits
#: counts.
_MESSAGES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key is not the one that ssh knows: another machine answers, or it was set up anew",
        "if you know why: ssh-keygen -R {known}, then ssh {ssh} once to see and accept the new key",
        False,
    ),
    (
        "Host key verification failed",
        "its host key is not known yet",
        "ssh {ssh} once, to see and accept it",
        False,
    ),
    (
        "Permission denied",
        "refused the login: none of the keys that ssh offered is accepted",
        "ssh-copy-id {ssh}, or load the key into the agent: ssh-add",
        False,
    ),
    (
        "Too many authentication failures",
        "refused the login",
        "name one key: IdentityFile, IdentitiesOnly",
        False,
    ),
    ("Could not resolve hostname", "there is no host of this name", "check the name: ssh {ssh}", False),
    ("Bad configuration option", "ssh refuses its configuration", "check it: ssh -v {ssh}", False),
    ("Bad owner or permissions", "ssh refuses its configuration", "check it: ssh -v {ssh}", False),
    ("timed out", "does not answer (timed out)", "is it on, and in this network? ping {host}", True),
    ("No route to host", "does not answer (no route)", "is it on, and in this network? ping {host}", True),
    ("Network is unreachable", "does not answer (no network)", "is this machine in a network?", True),
    ("Connection refused", "refuses connections", "does sshd run there? sudo systemctl start ssh", True),
)


def unreachable(stderr: str, host: Host) -> UnreachableError:
    """Turn what ssh wrote into an error.

    Args:
        stderr: All it wrote.
        host: The host.
    """
    bare = host.destination[-1].rpartition("@")[2]
    names = {"ssh": host.typed, "host": bare, "known": host.known_as}
    for words, what, hint, transient in _MESSAGES:
        if words in stderr:
            return UnreachableError(what, where=host.name, hint=hint.format(**names), transient=transient)
    said = [line for line in clean(stderr).splitlines() if line.strip()]
    why = f" ({said[-1].strip()[:300]})" if said else ""
    return UnreachableError(
        f"the connection was lost{why}", where=host.name, hint=f"check it: ssh {host.typed}", transient=True
    )


def no_python(python: str, *, host: str) -> UnavailableError:
    """Make the error for a device without the Python that it is to have."""
    return UnavailableError(
        f"there is no {python!r} on the device",
        where=host,
        hint="on the device: sudo apt install python3 python3-venv; or name another one: "
        "python = … in the configuration of hosts",
    )
