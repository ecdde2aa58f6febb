"""Says what a device's state means for a measurement, and which command mends it."""

from __future__ import annotations

from collections.abc import Iterator

from edgeroberta.hardware.state import State

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


def warnings(state: State) -> tuple[str, ...]:
    """Return what would make a measurement here mislead, each with what mends it."""
    return (*_mode(state), *_clocks(state), *_heat(state), *_throttled(state), *_others(state))


def _mode(state: State) -> Iterator[str]:
    mode = state.power_mode
    if mode is not None and mode.maximal is False:
        yield (
            f"power mode {mode.name or mode.number} is not the maximal one ({mode.best_name}): "
            f"sudo nvpmodel -m {mode.best_number}"
        )


def _clocks(state: State) -> Iterator[str]:
    if state.board.jetson and state.clocks_locked is False:
        floating = ", ".join(clock.name for clock in state.clocks if clock.locked is False)
        yield f"the clocks float ({floating}): sudo jetson_clocks"
    elif not state.board.jetson:
        moving = [name for name in state.governors if name != "performance"]
        if moving and not state.clocks_locked:
            does = "keeps the clocks low" if set(moving) <= SLOW_GOVERNORS else "lets the clocks float"
            yield f"the governor {', '.join(moving)} {does}: {SET_GOVERNOR}"
        yield from _capped(state)


def _capped(state: State) -> Iterator[str]:
    for clock in state.clocks:
        most, limit = clock.maximum_hz, clock.limit_hz
        if most and limit and most < 0.99 * limit:
            yield (
                f"{clock.name} is held to {most / 1e6:,.0f} MHz of {limit / 1e6:,.0f} MHz: "
                f"echo {limit // 1000} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq"
            )
            return


def _heat(state: State) -> Iterator[str]:
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


def _throttled(state: State) -> Iterator[str]:
    found = state.throttling
    if found.now:
        yield f"throttled now ({', '.join(found.causes)}): {_mend(state)}"
    elif found.since_boot:
        counted = [f"{name} {count} times" for name, count in found.counters.items() if count]
        yield f"throttled since the boot ({', '.join([*found.past, *counted])}): {_mend(state)}"


def _mend(state: State) -> str:
    found = state.throttling
    causes = " ".join(
        [*found.causes, *found.past, *(name for name, count in found.counters.items() if count)]
    )
    if "under-voltage" in causes or "over-current" in causes:
        return "use the board's own power supply and a short cable, then: sudo reboot"
    return "let it cool or give it a fan, then look again: edgeroberta doctor"


def _others(state: State) -> Iterator[str]:
    free = state.memory_available_bytes
    if free is not None and free < max(LEAST_MEMORY, (state.memory_bytes or 0) // 10):
        desktop = "sudo systemctl isolate multi-user.target" if state.board.jetson else "ps aux --sort=-rss"
        yield f"little free memory ({free / 1e6:,.0f} MB): close what is not needed: {desktop}"
    if state.load is not None and state.load > MOST_LOAD:
        yield f"other programs run (load {state.load:.1f} over the last minute): see what: top"
