"""Whether this machine is what a target describes: asked before anything is measured in its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.errors import UnavailableError
from edgeroberta.runtime import processor
from edgeroberta.targets import Target, load, names

if TYPE_CHECKING:
    from edgeroberta.hardware import MachineFacts


@dataclass(frozen=True)
class TargetFacts:
    """What targets look at."""

    kind: str  # machine type, ``x86_64`` or ``aarch64``
    cpu: str  # model name of the processor
    flags: tuple[str, ...] = ()  # notable instruction sets
    board: str | None = None  # name of the board in the device tree; None elsewhere
    gpus: tuple[str, ...] = ()  # names of the NVIDIA GPUs that the driver lists

    def describe(self) -> str:
        """Return one line: ``x86_64, AMD EPYC, no NVIDIA GPU``."""
        found = [self.kind, self.board or self.cpu]
        return ", ".join([*found, *(self.gpus or ("no NVIDIA GPU",))])


def target_facts(device: MachineFacts, root: Path = Path("/")) -> TargetFacts:
    """Gather what targets look at. Returns what was found; nothing here fails."""
    return TargetFacts(
        kind=device.system.rpartition(" ")[2],
        cpu=device.cpu,
        flags=device.flags,
        board=processor.text(root / "proc/device-tree/model").strip("\0 \n") or None,
        gpus=processor.gpus(root),
    )


def matches(target: Target, here: TargetFacts) -> bool:
    """Tell whether a machine is of a target's class."""
    if here.kind not in target.machines or set(here.flags) & set(target.lacks):
        return False
    if target.gpu:
        names_here = () if here.board else here.gpus
    else:
        names_here = (here.board or here.cpu,)
    known = [name.lower() for name in names_here]
    return not target.devices or any(part.lower() in name for part in target.devices for name in known)


def resolve(name: str, device: MachineFacts, *, root: Path = Path("/")) -> Target:
    """Find the target that this machine is, by name; a family resolves into its member."""
    target, here = load(name), target_facts(device, root)
    members = [member for member in map(load, names()) if member.family == name and matches(member, here)]
    if members:
        return members[0]
    if matches(target, here):
        return target
    raise UnavailableError(
        f"the target {name!r} is another machine than this one: {_wanted(target)}; here: {here.describe()}",
        where="--target",
        hint=_elsewhere(target),
        code="unavailable.other-machine",
    )


def matching(device: MachineFacts, *, root: Path = Path("/")) -> tuple[str, ...]:
    """Return the names of all targets that this machine is."""
    here = target_facts(device, root)
    return tuple(name for name in names() if matches(load(name), here))


def _wanted(target: Target) -> str:
    parts = [f"looked for a machine of type {' or '.join(target.machines)}"]
    what = "GPU" if target.gpu else "board or processor"
    if target.devices:
        parts.append(f"with {' or '.join(map(repr, target.devices))} in the name of its {what}")
    if target.lacks:
        parts.append(f"without {' and '.join(target.lacks)}")
    return " ".join(parts)


def _elsewhere(target: Target) -> str:
    if target.remote:
        return (
            f"edgeroberta bench BUNDLE --target {target.name} --host user@{target.family or target.name}"
            f", or without a device: edgeroberta check BUNDLE --target {target.name}"
        )
    if target.layout == "web":
        return "JavaScript is asked in JavaScript: node examples/web/check.mjs BUNDLE --device wasm"
    return "leave --target out to measure on this machine, or run this on such a machine"
