"""What ssh and devices say when they fail, turned into errors of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import EdgeRobertaError, GateError, UnavailableError, UsageError
from edgeroberta.storage.strict import build, clean

if TYPE_CHECKING:
    from edgeroberta.remote.hosts import Host

#: What ssh exits with when it fails itself; other codes are the remote command's.
SSH_FAILED = 255
#: Shells: the command is not there, or may not be run.
NO_COMMAND = (126, 127)

_BY_EXIT_CODE = {kind.exit_code: kind for kind in (EdgeRobertaError, UsageError, GateError, UnavailableError)}
_CODE = re.compile(r"[a-z0-9.-]{1,60}")
_LONGEST = 2000


class UnreachableError(UnavailableError):
    """The device did not answer over ssh; ``transient``: trying again may help."""

    code = "device.unreachable"

    def __init__(self, what: str, *, where: str | None, hint: str | None, transient: bool) -> None:
        self.transient = transient
        super().__init__(what, where=where, hint=hint)


@dataclass(frozen=True)
class _Fields:
    code: str
    exit_code: int
    what: str
    where: str | None = None
    hint: str | None = None


def relayed(fields: Any, *, host: str | None = None) -> EdgeRobertaError:
    """Make an error of what another process says is wrong, with its code, in its words; they are not trusted.

    ``host``: the device that it is from; None for a process of this machine.
    """
    try:
        told = build(_Fields, fields)
    except (TypeError, ValueError) as error:
        return answer_error(clean(f"an error that is none: {error}"), host=host)
    kind = _BY_EXIT_CODE.get(told.exit_code, EdgeRobertaError)
    where = ": ".join(filter(None, (host, told.where and told.where[:_LONGEST])))
    return kind(
        told.what[:_LONGEST] or "it failed without a word",
        where=where or None,
        hint=told.hint and told.hint[:_LONGEST],
        code=told.code if _CODE.fullmatch(told.code) else None,
    )


def answer_error(what: str, *, host: str | None) -> EdgeRobertaError:
    """Make the error for an answer that is none."""
    return EdgeRobertaError(
        f"the device did not answer as it should: {what}", where=host, code="device.answer"
    )


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
    """Turn all that ssh wrote, which has no codes, into an error."""
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
        code="device.no-python",
    )
