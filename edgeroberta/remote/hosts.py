"""Which machines there are: ``user@host``, or a name from the user's configuration file.

::

    # ~/.config/edgeroberta/config.toml
    [hosts.kitchen]
    ssh = "user@jetson"            # as OpenSSH takes it; its own configuration counts as well
    target = "jetson"              # the default of --target
    python = "python3"             # on the device
    root = "~/.cache/edgeroberta-remote"
    wheelhouse = "wheels/"         # for a device without a package index
    pip_args = ["--index-url", "https://…"]
    ssh_options = ["-o", "ProxyJump=gate"]
    keep = true                    # keep files and environment on the device for the next time
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.storage import paths

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VARIABLE = "EDGEROBERTA_CONFIG"

_ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s:]+)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@\s:\[\]]+)(?::(?P<port>\d{1,5}))?"
)
# It stands unquoted in the command line on the device, so that ~ means the home folder there.
_PYTHON = re.compile(r"[A-Za-z0-9_./~+-]+")


@dataclass(frozen=True)
class Host:
    """A machine that is reached over ssh."""

    name: str  # what the user calls it
    ssh: str  # ``user@host``, ``user@host:port``, or an alias of the user's ssh configuration
    python: str = "python3"  # Python on the device, a name or a path
    target: str | None = None  # target to measure there when none is named
    root: str = "~/.cache/edgeroberta-remote"  # our folder on the device
    wheelhouse: str | None = None  # folder of wheels here, for a device without a package index
    pip_args: tuple[str, ...] = ()  # further words for ``pip install`` on the device
    ssh_options: tuple[str, ...] = ()  # further words for ``ssh``
    keep: bool = True  # keep files and environment on the device

    @property
    def destination(self) -> tuple[str, ...]:
        """What ssh is told: a port, if one is named, and the destination."""
        match = _ADDRESS.fullmatch(self.ssh)
        if match is None or self.ssh.startswith("-") or match["host"].startswith("-"):
            raise UsageError(
                f"{self.ssh!r} is not a host", where="--host", hint="write user@host or user@host:port"
            )
        host = match["host"].strip("[]")
        port = ("-p", match["port"]) if match["port"] else ()
        return (*port, "--", f"{match['user']}@{host}" if match["user"] else host)

    @property
    def typed(self) -> str:
        """What a user types after ``ssh`` or ``ssh-copy-id``, neither of which takes ``user@host:port``."""
        return " ".join(word for word in self.destination if word != "--")

    @property
    def known_as(self) -> str:
        """What ``ssh-keygen -R`` finds the host by, quoted for a shell."""
        *port, _, last = self.destination
        name = last.rpartition("@")[2]
        return f"'[{name}]:{port[-1]}'" if port and port[-1] != "22" else name


_LISTS = ("pip_args", "ssh_options")
_KNOWN = tuple(each.name for each in fields(Host) if each.name != "name")


def config_file() -> Path | None:
    """Return the user's configuration file; it need not exist.

    Returns ``$EDGEROBERTA_CONFIG``, else ``$XDG_CONFIG_HOME/edgeroberta/config.toml``, else the one below
    ``~/.config``; None for a user without a home folder.
    """
    if own := os.environ.get(VARIABLE):
        return paths.named(own)
    shared = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    try:
        # The XDG base directory specification: a relative path is invalid and must be ignored.
        folder = shared if shared.is_absolute() else Path.home() / ".config"
    except RuntimeError:  # as in a container: no HOME, and a user id without an account
        return None
    return folder / "edgeroberta" / "config.toml"


def find(names: Sequence[str]) -> list[Host]:
    """Look up what the user wrote after each ``--host``, in that order."""
    known = read(config_file())
    found = [known.get(name) or Host(name, name) for name in names]
    for host in found:
        _ = host.destination  # a wrong one is refused before anything is done
        if names.count(host.name) > 1:
            raise UsageError(f"{host.name!r} is named twice", where="--host")
    return found


def read(file: Path | None) -> dict[str, Host]:
    """Read the hosts of a configuration file; a file that is not there has none."""
    if file is None or (VARIABLE not in os.environ and not file.exists()):
        return {}
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot be read ({why})", where=str(file)) from error
    _refuse_unknown(content, ("hosts",), str(file))
    hosts = content.get("hosts", {})
    if not isinstance(hosts, dict) or not all(isinstance(each, dict) for each in hosts.values()):
        raise UsageError("must be tables like [hosts.kitchen]", where=f"{file}: hosts")
    return {name: _host(name, given, f"{file}: hosts.{name}", file.parent) for name, given in hosts.items()}


def _host(name: str, given: Mapping[str, Any], where: str, folder: Path) -> Host:
    _refuse_unknown(given, _KNOWN, where)
    if "ssh" not in given:
        raise UsageError("this field is required", where=f"{where}.ssh", hint='ssh = "user@host"')
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if key in _LISTS:
            if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
                raise UsageError("must be a list of texts", where=f"{where}.{key}")
            checked[key] = tuple(value)
        elif not isinstance(value, bool if key == "keep" else str):
            kind = "true or false" if key == "keep" else "a text"
            raise UsageError(f"must be {kind}, not {value!r}", where=f"{where}.{key}")
        else:
            checked[key] = value
    if not _PYTHON.fullmatch(checked.get("python", "python3")):
        raise UsageError(f"{checked['python']!r} is not the path of a program", where=f"{where}.python")
    if "wheelhouse" in checked:  # as in any configuration file: relative to the file
        checked["wheelhouse"] = str(folder / paths.named(checked["wheelhouse"]))
    return Host(name, **checked)


def _refuse_unknown(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known) or f"known keys: {', '.join(known)}"
            raise UsageError(f"unknown key {key!r}", where=where, hint=hint)
