"""What is nobody's business of a file that is published: folders and names of this computer, and secrets.

Places in text are shortened to the name at their end. Names and secrets cannot be, so they are only found.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import mmap
import os
import platform
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.storage import jsontext

#: Folders in which people keep what is theirs, on any computer; those at the top of this one are added.
_ROOTS = (
    *("Users", "Volumes", "content", "data", "dev/shm", "export", "gpfs", "home", "lustre", "media", "mnt"),
    *("nfs", "opt", "private", "projects", "root", "run", "scratch", "shared", "srv", "storage", "tmp"),
    *("usr", "var", "work", "workspace"),
)
#: Folders of every system, in which there is nothing of anybody's.
_SYSTEM = {"bin", "boot", "dev", "lib", "lib64", "proc", "sbin", "sys"}
_END = r"[^\s\"'`<>|,;:*?)\]}]*"
#: Names that so many computers and accounts have that they tell of none.
_COMMON = {
    *("admin", "administrator", "build", "builder", "container", "data", "debian", "default", "docker"),
    *("guest", "jenkins", "jetson", "jovyan", "linux", "localhost", "model", "name", "nobody", "nvidia"),
    *("raspberrypi", "root", "runner", "server", "student", "test", "text", "ubuntu", "user", "vagrant"),
    "worker",
}
_SHORTEST = 4
#: Fields whose texts are the model's own: its labels, and the pieces of words that it knows.
_OWN = frozenset(("labels", "id2label", "label2id", "vocab", "merges", "added_tokens"))
#: Fields that tell of data and models.
_SOURCES = frozenset(("lineage", "baseline", "data"))
#: Tokens of the Hub (which transformers once kept in tokenizer_config.json) and of other services, passwords
#: in addresses, and keys.
_SECRETS = re.compile(
    r"(?<![^\W_])(?:hf_[A-Za-z0-9]{20,}|gh[a-z]_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16}(?![A-Z0-9]))"
    r"|(?<=://)[^\s/:@]+:[^\s/@]+@|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SECRET_SHOWN = 4
#: Endings of files that are read as text; what else there is holds numbers, and is searched as bytes.
_TEXTS = (".json", ".md", ".yaml", ".html", ".xml", ".txt", ".config", ".svg")
_IN_BYTES = re.compile(rb"/(?:home|Users)/[\w.-]+/[\w./-]+|/root/[\w.-]+/[\w./-]+|[A-Z]:\\Users\\[\w.-]+")


@dataclass(frozen=True)
class Finding:
    """Something that must not be published."""

    file: str
    place: str  # line or field
    what: str  # what it is, and the words

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.what}"


@functools.cache
def _places() -> re.Pattern[str]:
    here = {each.name for each in os.scandir("/") if each.is_dir()} if os.name == "posix" else set()
    roots = "|".join(sorted(map(re.escape, {*_ROOTS, *here} - _SYSTEM)))
    start = rf"/(?:{roots})/|~(?:[a-z_][\w-]*)?/|file://+|[A-Za-z]:[\\/](?=\w)|\\\\[\w.-]+\\(?=\w)"
    return re.compile(rf"(?<![\w./~<)\]}}\\])(?:{start}){_END}")


def _name(place: str) -> str:
    """Return what is at the end of a path of any system."""
    return re.split(r"[/\\]", place.rstrip("/\\."))[-1]


def without_places(text: str) -> str:
    """Return a text in which every path of a computer is the name at its end."""
    while (
        shorter := _places().sub(_shortened, text)
    ) != text:  # what is left may be one with what stood before
        text = shorter
    return text


def _shortened(found: re.Match[str]) -> str:
    """Return the name at a path's end, and the end of a sentence behind it."""
    return _name(found[0]) + ("." if found[0].endswith(".") else "")


def rewritten(value: Any, *, sources: bool = False) -> Any:
    """Return JSON in which every path is the name at its end, in texts as well.

    ``sources``: whether it tells of data and models, so that whatever begins as a path is one to its end.
    """
    if isinstance(value, Mapping):
        return {
            key: each if key in _OWN else rewritten(each, sources=sources or key in _SOURCES)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [rewritten(each, sources=sources) for each in value]
    if not isinstance(value, str):
        return value
    # With blanks, which no path in a sentence can have.
    whole = re.match(r"/[^/]+/|[A-Za-z]:[\\/]\w|\\\\\w", value) is not None
    return _name(value) if sources and whole else without_places(value)


def local_names(allowed: Collection[str]) -> tuple[str, ...]:
    """Return the names of this computer and of who uses it, where they tell of them.

    Left out are short ones, those that many have, and ``allowed``.
    """
    found = {platform.node(), platform.node().partition(".")[0]}
    with contextlib.suppress(RuntimeError):
        found.add(Path.home().name)
    with contextlib.suppress(OSError, KeyError, ImportError):
        found.add(getpass.getuser())
    known = _COMMON | {each.lower() for each in allowed}
    return tuple(sorted(each for each in found if len(each) >= _SHORTEST and each.lower() not in known))


def findings(file: str, content: Path | bytes, names: Collection[str]) -> Iterator[Finding]:
    """Look through a file for paths, and for names of :func:`local_names`, text by text.

    ``content``: where it lies, or its bytes.
    """
    if not file.endswith(_TEXTS):
        yield from _in_bytes(file, content)
        return
    data = content if isinstance(content, bytes) else content.read_bytes()
    text = data.decode("utf-8", "replace")
    parts: Iterator[tuple[str, str]] = (
        (f"line {number}", line) for number, line in enumerate(text.splitlines(), 1)
    )
    if file.endswith(".json"):
        with contextlib.suppress(ValueError):
            parts = _strings(jsontext.loads(data, finite=False), "")
    # A name may be part of another one: ``anna_reviews.csv``, ``anna-laptop``.
    either = "|".join(map(re.escape, names))
    named = re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", re.I) if names else None
    for place, part in parts:
        if (found_place := _places().search(part)) is not None:
            yield Finding(file, place, f"a path: {found_place[0]}")
        if named is not None and (found_name := named.search(part)) is not None:
            yield Finding(file, place, f"the name of this computer or of its user: {found_name[0]}")
        if (found_secret := _SECRETS.search(part)) is not None:
            yield Finding(file, place, f"a token, password or key: {found_secret[0][:_SECRET_SHOWN]}…")


def _in_bytes(file: str, content: Path | bytes) -> Iterator[Finding]:
    """Look through numbers, which may be more than memory has room for, for what can only be a path."""
    with contextlib.ExitStack() as opened:
        found: bytes | mmap.mmap = b""
        if isinstance(content, bytes):
            found = content
        elif content.stat().st_size:
            handle = opened.enter_context(content.open("rb"))
            found = opened.enter_context(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        for match in _IN_BYTES.finditer(found):
            yield Finding(file, f"byte {match.start():,}", f"a path: {match[0].decode('ascii', 'replace')}")


def _strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield each text of JSON, the names of fields too, and where it is; not the model's own words."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            where = f"{place}.{key}" if place else key
            yield where, key
            yield from _strings(each, where) if key not in _OWN else ()
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _strings(each, f"{place}[{number}]")
