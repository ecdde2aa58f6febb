"""How a device is doing at one moment: power mode, clocks, temperatures, throttling, memory, sensors."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeroberta.hardware import clocks, energy, facts, jetson, power_mode, thermal, throttling

#: A command of the system that gives its output, or None when it is missing or fails.
Ask = Callable[[Sequence[str]], str | None]
ASK_SECONDS = 10.0


@dataclass(frozen=True)
class DeviceState:
    """A device at one moment."""

    board: jetson.Board
    power_mode: power_mode.PowerMode | None  # power mode of a Jetson, None elsewhere or when unknown
    clocks: tuple[clocks.Clock, ...]  # clocks of processors, GPU and memory
    clocks_locked: bool | None  # True when none of them can move, None when unknown
    governors: tuple[str, ...]  # CPU governors in use
    zones: tuple[thermal.Zone, ...]  # thermal zones that have a temperature
    throttling: throttling.Throttling  # what is known about throttling
    memory_bytes: int | None  # main memory, None when unknown
    memory_available_bytes: int | None  # what a program can still get of it
    swap_used_bytes: int | None  # swap in use
    load: float | None  # one-minute load average
    energy: str | None  # ``ina3221`` or ``powercap``; None when power is not measured
    energy_scope: str  # what the energy covers: ``module``, ``processor``
    energy_rails: tuple[str, ...]  # names of what is summed
    notes: tuple[str, ...]  # what could not be read or understood, one sentence each

    @property
    def hottest(self) -> thermal.Zone | None:
        """The zone that is hottest, None when there are no temperatures."""
        return max(self.zones, key=lambda zone: zone.celsius, default=None)


def command_output(command: Sequence[str]) -> str | None:
    """Run a command of the system and return what it printed; None when it is missing, slow or fails."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=ASK_SECONDS, check=False)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else None


def read_state(root: Path = Path("/"), asking: Ask | None = None) -> DeviceState:
    """Look at the device.

    ``root``: where ``proc``, ``sys``, ``etc`` and ``var`` are. ``asking``: runs ``nvpmodel -q`` and
    ``jetson_clocks --show`` on a Jetson whose files do not tell; by default they are run for the root ``/``
    only. Returns what is known; unknown is None, and what is malformed is in the notes.
    """
    asking = asking or (command_output if root == Path("/") else _no_answer)
    board = jetson.board(root)
    mode = power_mode.power_mode(root)
    found = clocks.clocks(root)
    if board.jetson and mode is None:
        mode = power_mode.power_mode(root, asking(("nvpmodel", "-q")))
    # jetson_clocks answers root only; it alone tells of the memory's clock when debugfs is closed.
    if board.jetson and not {"gpu", "emc"} <= {clock.name for clock in found}:
        found = clocks.clocks(root, asking(("jetson_clocks", "--show")))
    source = energy.source(root, raspberry_pi=board.raspberry_pi)
    swap, swap_free = facts.memory(root, "SwapTotal"), facts.memory(root, "SwapFree")
    state = DeviceState(
        board=board,
        power_mode=mode,
        clocks=found,
        clocks_locked=clocks.locked(found),
        governors=clocks.governors(found),
        zones=thermal.zones(root),
        throttling=throttling.throttling(root),
        memory_bytes=facts.memory(root, "MemTotal"),
        memory_available_bytes=facts.memory(root, "MemAvailable"),
        swap_used_bytes=None if swap is None or swap_free is None else max(swap - swap_free, 0),
        load=facts.load(root),
        energy=source.kind,
        energy_scope=source.scope,
        energy_rails=source.names,
        notes=(source.reason,) if source.reason else (),
    )
    return _with_notes(state, root)


def _no_answer(command: Sequence[str]) -> None:
    return None


def _with_notes(state: DeviceState, root: Path) -> DeviceState:
    """Note what is there and was not understood: silence would look like a device without it."""
    notes = list(state.notes)
    if (root / "etc/nv_tegra_release").is_file() and state.board.l4t is None:
        notes.append("/etc/nv_tegra_release does not name a release")
    if state.board.l4t and state.board.jetpack is None:
        notes.append(f"no JetPack is known for L4T {state.board.l4t}")
    if state.board.jetson and state.power_mode is None:
        notes.append("the power mode is unknown (/var/lib/nvpmodel/status)")
    elif state.power_mode is not None and state.power_mode.best_number is None:
        notes.append("/etc/nvpmodel.conf names no power modes")
    if not state.zones:
        notes.append("no temperatures")
    if state.throttling.now is None and not state.throttling.counters:
        notes.append("nothing here would tell of throttling")
    if state.memory_available_bytes is None:
        notes.append("/proc/meminfo does not tell the free memory")
    return replace(state, notes=tuple(notes))
