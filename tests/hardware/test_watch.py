"""Watching a run: energy, temperatures, clocks, throttling; a tree of files plays the device."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from device_trees import unpack

from edgeroberta import hardware
from edgeroberta.hardware import energy


@pytest.fixture
def tree(tmp_path):
    return lambda name: unpack(name, tmp_path / name)


def write(path: Path, value: int | str) -> None:
    """Replace a file at once, as a kernel file changes: the sampler must not see it empty."""
    temporary = path.with_name(".new")
    temporary.write_text(str(value), encoding="utf-8")
    temporary.replace(path)


def test_the_energy_of_rails_is_their_power_over_the_time(tree):
    with hardware.DeviceMonitor(tree("orin-nano"), interval_s=0.01, idle_w=4.0) as watch:
        time.sleep(0.2)
    found = watch.watched
    watts = 4.984 * 1.016
    assert found.energy_source == "ina3221"
    assert found.mean_w == pytest.approx(watts)
    assert found.peak_w == pytest.approx(watts)
    assert found.energy_j == pytest.approx(watts * found.seconds, rel=0.1)
    assert found.energy_above_idle_j == pytest.approx(found.energy_j - 4.0 * found.seconds)
    assert hardware.energy_per_text(found, 100) == pytest.approx(found.energy_j / 100)
    assert found.samples >= 3
    assert (found.throttled, found.valid, found.reasons) == (False, True, ())
    assert (found.lowest_cpu_hz, found.lowest_gpu_hz) == (729_600_000, 306_000_000)
    assert found.peak_celsius == pytest.approx(50.531)


def test_changing_power_is_summed_by_trapezoids(tree, monkeypatch):
    from edgeroberta.hardware.sampler import Sampler

    root = tree("orin-nano")
    # Begin and end of a sample: 0 and 0, 1 and 1, 3 and 3 seconds.
    times = iter([0.0, 0.0, 1.0, 1.0, 3.0, 3.0])
    monkeypatch.setattr("edgeroberta.hardware.sampler.time.perf_counter", lambda: next(times))
    sampler = Sampler(root)
    current = next(root.rglob("curr1_input"))
    write(next(root.rglob("in1_input")), 5000)
    for milliamperes in (1000, 2000, 4000):  # 5, 10 and 20 W
        write(current, milliamperes)
        sampler.sample()
    assert sampler.seen.joules == pytest.approx(1 * 7.5 + 2 * 15)
    assert (sampler.seen.powered, sampler.seen.peak_w) == (3.0, 20.0)


def test_an_energy_counter_may_wrap_once(tree):
    root = tree("intel-nuc")
    with hardware.DeviceMonitor(root, interval_s=10) as watch:
        # 328,850 µJ to the end of its range, and 856,671,150 beyond.
        write(root / "sys/class/powercap/intel-rapl:0/energy_uj", 856_671_150)
        write(root / "sys/class/powercap/intel-rapl:0:2/energy_uj", 30_002_000_000)
    found = watch.watched
    assert (found.energy_source, found.energy_scope) == ("powercap", "processor and memory")
    assert found.energy_j == pytest.approx((328_850 + 856_671_150 + 2_000_000) / 1e6)


def test_a_counter_that_went_back_gives_no_energy(tree):
    root = tree("amd-ryzen")
    zone = root / "sys/class/powercap/intel-rapl:0"
    write(zone / "max_energy_range_uj", 0)
    with hardware.DeviceMonitor(root, interval_s=10) as watch:
        write(zone / "energy_uj", 5)
    assert watch.watched.energy_j is None
    assert "an energy counter went back" in watch.watched.notes
    assert hardware.energy_per_text(watch.watched, 10) is None


def test_a_rail_that_stops_answering_gives_no_energy(tree):
    root = tree("orin-nano")
    with hardware.DeviceMonitor(root, interval_s=10) as watch:
        next(root.rglob("curr1_input")).unlink()
    assert watch.watched.energy_j is None
    assert watch.watched.notes == ("a power rail stopped answering",)


def test_counters_that_this_user_may_not_read_name_the_remedy(tree, monkeypatch):
    root = tree("intel-nuc")
    opened = energy.sysfs.os.open

    def refuse(path: object, flags: int) -> int:
        if str(path).endswith("energy_uj"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags)

    monkeypatch.setattr(energy.sysfs.os, "open", refuse)
    assert energy.source(root).reason == (
        "the energy counters need root: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
    )


@pytest.mark.parametrize(
    ("name", "file", "value", "reason"),
    [
        ("agx-orin", "sys/class/hwmon/hwmon5/oc2_event_cnt", 3, "average over-current 3 times"),
        ("agx-orin", "sys/class/thermal/cooling_device1/cur_state", 1, "cpu-throttle-alert (1)"),
        (
            "agx-orin",
            "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq",
            1100000,
            "cpu4 fell to 1,100 MHz from its lock of 2,202 MHz",
        ),
        (
            "agx-orin",
            "sys/class/devfreq/17000000.gpu/cur_freq",
            612000000,
            "gpu fell to 612 MHz from its lock of 1,300 MHz",
        ),
        (
            "intel-nuc",
            "sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count",
            7,
            "thermal throttling of a core 7 times",
        ),
        (
            "raspberry-pi-5",
            "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled",
            "80000",
            "soft temperature limit",
        ),
        ("raspberry-pi-5", "sys/class/hwmon/hwmon2/in0_lcrit_alarm", 1, "under-voltage"),
    ],
)
def test_a_run_that_throttled_is_not_valid(tree, name, file, value, reason):
    root = tree(name)
    with hardware.DeviceMonitor(root, interval_s=10) as watch:
        write(root / file, value)
    found = watch.watched
    assert (found.throttled, found.valid, found.reasons) == (True, False, (reason,))


def test_throttling_that_is_over_before_the_end_is_seen_by_a_sample(tree):
    root = tree("raspberry-pi-5")
    file = root / "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
    with hardware.DeviceMonitor(root, interval_s=0.005) as watch:
        write(file, "4")
        time.sleep(0.4)
        write(file, "0")
    assert watch.watched.reasons == ("throttled",)


def test_a_device_that_tells_nothing_is_neither_throttled_nor_refused(tmp_path):
    with hardware.DeviceMonitor(tmp_path) as watch:
        pass
    found = watch.watched
    assert (found.throttled, found.valid, found.energy_j) == (None, True, None)
    assert "nothing here would tell of throttling" in found.notes


def test_the_thread_ends_with_the_watch_also_after_an_error(tree):
    watch = hardware.DeviceMonitor(tree("agx-orin"), interval_s=0.01)
    with pytest.raises(ZeroDivisionError), watch:
        raise ZeroDivisionError
    assert watch.watched.samples >= 2
    assert "device-watch" not in {thread.name for thread in threading.enumerate()}


def test_sampling_takes_a_small_share_of_a_core_even_where_it_is_asked_to_hurry(tree):
    with hardware.DeviceMonitor(tree("agx-orin"), interval_s=0.0001) as watch:
        time.sleep(0.5)
    assert 0 < watch.watched.sampler_share < 0.02
