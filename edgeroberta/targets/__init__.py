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
    """A class of devices that bundles are made for.

    Attributes:
        name: Name on the command line; the name of its TOML file.
        description: One line for ``edgeroberta targets``.
        engines: Engines to build for, the preferred one first.
        threads: Threads an engine uses there unless told otherwise.
        remote: True when the device is another machine, so nothing can be measured here.
        saturating: True when int8 kernels there add products in an int16, which saturates.
    """

    name: str
    description: str
    engines: tuple[str, ...]
    threads: int
    remote: bool
    saturating: bool = False


def names() -> tuple[str, ...]:
    """Return the names of all targets, sorted."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def load(name: str) -> Target:
    """Read the target called ``name``.

    Args:
        name: One of :func:`names`.

    Returns:
        The target.

    Raises:
        UsageError: There is no such target.
    """
    if name not in names():
        raise UsageError(
            f"there is no target {name!r} (targets: {', '.join(names())})",
            where="--target",
            hint=did_you_mean(name, names()) or "edgeroberta targets",
        )
    fields = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Target(
        name=name,
        description=fields["description"],
        engines=tuple(fields["engines"]),
        threads=fields["threads"],
        remote=fields["remote"],
        saturating=fields.get("saturating", False),
    )
