"""Targets: what a class of device can do, one TOML file each, beside this module."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.errors import UsageError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """A class of devices that bundles are made for; see :mod:`edgeroberta.targets.matching`."""

    name: str  # name on the command line; the name of its TOML file
    description: str  # one line for ``edgeroberta targets``
    engines: tuple[str, ...]  # engines to build for, the preferred one first
    threads: int  # threads an engine uses there unless told otherwise
    #: True when bundles are hardly ever made on such a device itself: ``bench`` then offers to measure over
    #: ssh
    remote: bool = False
    machines: tuple[str, ...] = ()  # machine types of the class, as ``uname -m`` tells them
    #: parts of the names of boards, processors or GPUs that are of the class, in any case; empty where every
    #: machine of the right type is
    devices: tuple[str, ...] = ()
    gpu: bool = False  # True where ``devices`` are names of GPUs in a computer; a Jetson is a board
    lacks: tuple[str, ...] = ()  # instruction sets whose presence rules a machine out
    family: str | None = None  # the target that resolves into this one on the device
    saturating: bool = False  # True when int8 kernels there add products in an int16, which saturates
    #: most memory TensorRT may use while it builds and runs, in MiB; None for its default
    workspace_mb: int | None = None
    check_sm: str | None = None  # GPU that ``edgeroberta check`` builds for, as TensorRT-RTX calls it
    layout: str = "plain"  # what a bundle's folder is laid out for, see ``build.layout``
    check_note: str | None = None  # what that GPU has to do with this target


def names() -> tuple[str, ...]:
    """Return the names of all targets, sorted."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def load(name: str) -> Target:
    """Read the target called ``name``. Raises UsageError: there is no such target."""
    if name not in names():
        raise UsageError(
            f"there is no target {name!r} (targets: {', '.join(names())})",
            where="--target",
            hint=did_you_mean(name, names()) or "edgeroberta targets",
        )
    fields = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    listed = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
    return Target(name=name, **{**fields, **listed})
