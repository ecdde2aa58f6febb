"""Puts a device's state into lines, tables and JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgeroberta.hardware.advice import warnings
from edgeroberta.hardware.state import State


def describe(state: State) -> list[str]:
    """Return a state in ``name: value`` lines for people; unknown lines are left out."""
    return [f"{name}: {value}" for name, value in rows(state)]


def rows(state: State) -> list[tuple[str, str]]:
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


def for_json(state: State) -> dict[str, Any]:
    """Return a state as a JSON object, with what is computed from it and its warnings."""
    fields = asdict(state)
    if state.power_mode is not None:
        fields["power_mode"]["maximal"] = state.power_mode.maximal
    for clock, written in zip(state.clocks, fields["clocks"], strict=True):
        written["locked"] = clock.locked
    return {**fields, "warnings": list(warnings(state))}


def _mode_text(state: State) -> str:
    mode = state.power_mode
    if mode is None:
        return ""
    best = {True: ", the maximal one", False: f", not the maximal one ({mode.best_name})", None: ""}
    return mode.describe() + best[mode.maximal]


def _clocks_text(state: State) -> str:
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


def _throttling_text(state: State) -> str:
    found = state.throttling
    if found.now:
        return f"now: {', '.join(found.causes)}"
    if found.since_boot:
        return "not now, but since the boot"
    return "unknown" if found.now is None and found.since_boot is None else "none"


def _memory_text(state: State) -> str:
    if state.memory_available_bytes is None:
        return ""
    of = f" of {state.memory_bytes / 1e9:.1f} GB" if state.memory_bytes else ""
    swap = f", {state.swap_used_bytes / 1e6:,.0f} MB swapped out" if state.swap_used_bytes else ""
    return f"{state.memory_available_bytes / 1e9:.1f} GB{of}{swap}"


def _energy_text(state: State) -> str:
    if state.energy is None:
        return "not measured"
    return f"{state.energy}: {' + '.join(state.energy_rails)} ({state.energy_scope})"
