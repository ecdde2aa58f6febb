"""Puts a device's state into lines, tables and JSON, and says what it means for a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from edgeroberta.hardware.state import DeviceState


def describe(state: DeviceState) -> list[str]:
    """Return a state in ``name: value`` lines for people; unknown lines are left out."""
    return [f"{name}: {value}" for name, value in rows(state)]


def rows(state: DeviceState) -> list[tuple[str, str]]:
    """Return a state as names and values, for tables."""
    board, hottest = state.board, state.hottest
    software = [
        f"{name} {version}"
        for name, version in (
            ("L4T", board.l4t),
            ("JetPack", board.jetpack),
            ("CUDA", board.cuda),
            ("TensorRT", board.tensorrt),
        )
        if version
    ]
    found = [
        ("board", " · ".join(part for part in (board.model, board.soc) if part)),
        ("software", ", ".join(software)),
        ("power mode", _mode_text(state)),
        ("clocks", _clocks_text(state)),
        ("temperature", f"{hottest.celsius:.1f} °C ({hottest.name})" if hottest else "unknown"),
        ("throttling", _throttling_text(state)),
        ("free memory", _memory_text(state)),
        ("energy", _energy_text(state)),
    ]
    return [(name, value) for name, value in found if value]


def for_json(state: DeviceState) -> dict[str, Any]:
    """Return a state as a JSON object, with what is computed from it and its warnings."""
    fields = asdict(state)
    if state.power_mode is not None:
        fields["power_mode"]["maximal"] = state.power_mode.maximal
    for clock, written in zip(state.clocks, fields["clocks"], strict=True):
        written["locked"] = clock.locked
    return {**fields, "warnings": list(warnings(state))}


def _mode_text(state: DeviceState) -> str:
    mode = state.power_mode
    if mode is None:
        return ""
    best = {True: ", the maximal one", False: f", not the maximal one ({mode.best_name})", None: ""}
    return mode.describe() + best[mode.maximal]


def _clocks_text(state: DeviceState) -> str:
    if not state.clocks:
        return "unknown"
    locked = {True: "locked", False: "float", None: "unknown whether locked"}[state.clocks_locked]
    governor = f", governor {', '.join(state.governors)}" if state.governors else ""
    most = [
        f"{name} {max(tops) / 1e6:,.0f} MHz"
        for name in ("cpu", "gpu", "emc")
        if (tops := [each.maximum_hz for each in state.clocks if each.name[:3] == name and each.maximum_hz])
    ]
    return f"{locked}{governor}" + (f", at most {', '.join(most)}" if most else "")


def _throttling_text(state: DeviceState) -> str:
    found = state.throttling
    if found.now:
        return f"now: {', '.join(found.causes)}"
    if found.since_boot:
        return "not now, but since the boot"
    return "unknown" if found.now is None and found.since_boot is None else "none"


def _memory_text(state: DeviceState) -> str:
    if state.memory_available_bytes is None:
        return ""
    of = f" of {state.memory_bytes / 1e9:.1f} GB" if state.memory_bytes else ""
    swap = f", {state.swap_used_bytes / 1e6:,.0f} MB swapped out" if state.swap_used_bytes else ""
    return f"{state.memory_available_bytes / 1e9:.1f} GB{of}{swap}"


def _energy_text(state: DeviceState) -> str:
    if state.energy is None:
        return "not measured"
    return f"{state.energy}: {' + '.join(state.energy_rails)} ({state.energy_scope})"


#: Degrees below the kernel's passive trip point where a run of minutes is likely to reach it.
NEAR_PASSIVE = 10.0
#: Where nothing tells the trip point: Raspberry Pis slow down from 80 °C, and most chips by 95 °C.
HOT_CELSIUS = 75.0
#: A program of ours needs up to a few hundred MB, and an engine build on a Jetson more.
LEAST_MEMORY = 512 << 20
#: One core's worth of other work; our own start-up counts for less in a one-minute average.
MOST_LOAD = 1.0
SLOW_GOVERNORS = {"powersave", "conservative"}
SET_GOVERNOR = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"


def warnings(state: DeviceState) -> tuple[str, ...]:
    """Return what would make a measurement here mislead, each with what fixes it."""
    return (*_mode(state), *_clocks(state), *_heat(state), *_throttled(state), *_others(state))


def _mode(state: DeviceState) -> Iterator[str]:
    mode = state.power_mode
    if mode is not None and mode.maximal is False:
        yield (
            f"power mode {mode.name or mode.number} is not the maximal one ({mode.best_name}): "
            f"sudo nvpmodel -m {mode.best_number}"
        )


def _clocks(state: DeviceState) -> Iterator[str]:
    if state.board.jetson and state.clocks_locked is False:
        floating = ", ".join(clock.name for clock in state.clocks if clock.locked is False)
        yield f"the clocks float ({floating}): sudo jetson_clocks"
    elif not state.board.jetson:
        moving = [name for name in state.governors if name != "performance"]
        if moving and not state.clocks_locked:
            does = "keeps the clocks low" if set(moving) <= SLOW_GOVERNORS else "lets the clocks float"
            yield f"the governor {', '.join(moving)} {does}: {SET_GOVERNOR}"
        yield from _capped(state)


def _capped(state: DeviceState) -> Iterator[str]:
    for clock in state.clocks:
        most, limit = clock.maximum_hz, clock.limit_hz
        if most and limit and most < 0.99 * limit:
            yield (
                f"{clock.name} is held to {most / 1e6:,.0f} MHz of {limit / 1e6:,.0f} MHz: "
                f"echo {limit // 1000} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq"
            )
            return


def _heat(state: DeviceState) -> Iterator[str]:
    hot = [
        zone
        for zone in state.zones
        if zone.celsius >= (zone.passive_celsius - NEAR_PASSIVE if zone.passive_celsius else HOT_CELSIUS)
    ]
    if hot:
        worst = max(hot, key=lambda zone: zone.celsius)
        limit = f", slows down at {worst.passive_celsius:.0f} °C" if worst.passive_celsius else ""
        fan = "sudo jetson_clocks --fan" if state.board.jetson else "give it a fan"
        yield f"hot before the run ({worst.name} {worst.celsius:.0f} °C{limit}): let it cool, or {fan}"


def _throttled(state: DeviceState) -> Iterator[str]:
    found = state.throttling
    if found.now:
        yield f"throttled now ({', '.join(found.causes)}): {_mend(state)}"
    elif found.since_boot:
        counted = [f"{name} {count} times" for name, count in found.counters.items() if count]
        yield f"throttled since the boot ({', '.join([*found.past, *counted])}): {_mend(state)}"


def _mend(state: DeviceState) -> str:
    found = state.throttling
    causes = " ".join(
        [*found.causes, *found.past, *(name for name, count in found.counters.items() if count)]
    )
    if "under-voltage" in causes or "over-current" in causes:
        return "use the board's own power supply and a short cable, then: sudo reboot"
    return "let it cool or give it a fan, then look again: edgeroberta doctor"


def _others(state: DeviceState) -> Iterator[str]:
    free = state.memory_available_bytes
    if free is not None and free < max(LEAST_MEMORY, (state.memory_bytes or 0) // 10):
        desktop = "sudo systemctl isolate multi-user.target" if state.board.jetson else "ps aux --sort=-rss"
        yield f"little free memory ({free / 1e6:,.0f} MB): close what is not needed: {desktop}"
    if state.load is not None and state.load > MOST_LOAD:
        yield f"other programs run (load {state.load:.1f} over the last minute): see what: top"
