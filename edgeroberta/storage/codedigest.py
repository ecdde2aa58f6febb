"""A digest of the sources that a result rests on: a fixed program must not reuse what a faulty one made.

A module rests on itself, on templates (with the style and script of pages) and lists of terms beside it, and
on all of this package that it imports, inside functions, too, or names in a string as modules that are
imported by name. The text is read where it is installed: a wheel and a clone of the same commit have the same
digest, whatever their line ends, and so has every patch that leaves these modules alone.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from edgeroberta.version import __version__

PACKAGE = "edgeroberta"
#: Where the package's sources are.
ROOT = Path(__file__).resolve().parents[1]

#: Modules that tell people how things go, and the one with the version: they change no result.
SILENT = frozenset({PACKAGE, f"{PACKAGE}.errors", f"{PACKAGE}.progress", f"{PACKAGE}.version"})
#: The table of all stages: a stage rests on none of the others.
_REGISTRY = f"{PACKAGE}.stages"

_TYPES_ALONE = re.compile(r"^if TYPE_CHECKING:\n(?:(?:[ \t].*)?\n)+", re.MULTILINE)
_FROM = re.compile(r"^[ \t]*from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)", re.MULTILINE)
_IMPORT = re.compile(rf"^[ \t]*import[ \t]+({PACKAGE}[\w.]*)", re.MULTILINE)
_NAMED = re.compile(rf"[\"']({PACKAGE}(?:\.\w+)+)")
_ANY_OF = re.compile(rf"[\"']({PACKAGE}(?:\.\w+)*)\.\{{")


logger = logging.getLogger(__name__)


@functools.cache
def of(*modules: str, root: Path = ROOT) -> str:
    """Return the sha256 (hex) of the sources that modules rest on; of the version where there are none."""
    total = hashlib.sha256()
    if any(name.partition(".")[0] == PACKAGE and not _exists(name, root) for name in modules):
        total.update(_version_alone(root).encode() + b"\0")
    for name in sorted(closure(*modules, root=root)):
        file = _file(name, root)
        total.update(name.encode() + b"\0" + _text(file).encode() + b"\0")
        for beside in sorted((*file.parent.glob("templates/*.*"), *file.parent.glob("terms/*.toml"))):
            total.update(_text(beside).encode() + b"\0")
    return total.hexdigest()


@functools.cache
def _version_alone(root: Path) -> str:
    logger.warning(
        "the sources of %s are not in %s: results that an earlier run made are reused as long as its version "
        "is %s, even if the program was fixed; install it with its .py files",
        PACKAGE,
        root,
        __version__,
    )
    return __version__


def closure(*modules: str, root: Path = ROOT) -> frozenset[str]:
    """Return the modules of this package that the given ones rest on, themselves included."""
    found: set[str] = set()
    left = [name for name in modules if _exists(name, root)]
    while left:
        name = left.pop()
        if name in found or name in SILENT:
            continue
        found.add(name)
        left.extend(_imported(name, root))
    return frozenset(found)


def _imported(name: str, root: Path) -> Iterator[str]:
    file = _file(name, root)
    text = _TYPES_ALONE.sub("", _text(file))
    for source, names in _FROM.findall(text):
        source = _absolute(source, name, is_package=file.name == "__init__.py")
        for each in re.findall(r"(\w+)(?:[ \t]+as[ \t]+\w+)?[ \t]*(?:,|$|\)|\n)", names):
            yield from _module(f"{source}.{each}", root)
    for each in _IMPORT.findall(text):
        yield from _module(each, root)
    if name == _REGISTRY:
        return
    for each in _NAMED.findall(text):
        yield from _module(each, root)
    for package in _ANY_OF.findall(text):
        folder = _file(package, root).parent
        yield from (f"{package}.{file.stem}" for file in folder.glob("*.py") if file.stem != "__init__")
        yield from (f"{package}.{file.parent.name}" for file in folder.glob("*/__init__.py"))


def _absolute(source: str, name: str, *, is_package: bool) -> str:
    """Resolve ``from .x import y`` as it is written in the module ``name``."""
    dots = len(source) - len(source.lstrip("."))
    if not dots:
        return source
    parts = name.split(".")
    package = parts[: len(parts) - dots + is_package]
    return ".".join([*package, *filter(None, [source.lstrip(".")])])


def _module(name: str, root: Path) -> Iterator[str]:
    """Yield the module that a dotted name is, or is a part of."""
    while name.partition(".")[0] == PACKAGE:
        if _exists(name, root):
            yield name
            return
        name = name.rpartition(".")[0]


def _exists(name: str, root: Path) -> bool:
    return name.partition(".")[0] == PACKAGE and _file(name, root).is_file()


def _file(name: str, root: Path) -> Path:
    path = root.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")


@functools.cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")  # with any line end as \n
