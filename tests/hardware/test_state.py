"""States of the device trees: what is read, what is warned of, and that no content makes a reader raise."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence

import pytest
from device_trees import NAMES, files, unpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeroberta import hardware


@pytest.fixture(scope="session")
def state(device_tree):
    return lambda name: hardware.read_state(device_tree(name))


@pytest.mark.parametrize(
    ("name", "board"),
    [
        ("orin-nano", ("tegra234", "36.4.3", "6.2", "12.6.11", "10.3.0.30")),
        ("agx-orin", ("tegra234", "36.4.4", "6.2.1", "12.6.11", "10.3.0.30")),
        ("agx-xavier", ("tegra194", "35.4.1", "5.1.2", "11.4.19", "8.5.2")),
        ("xavier-nx", ("tegra194", "35.5.0", "5.1.3", "11.4.19", "8.5.2")),
        ("thor", ("tegra264", "38.2.1", "7.0", "13.0.48", "10.13.3.9")),
        ("raspberry-pi-4", ("bcm2711", None, None, None, None)),
        ("raspberry-pi-5", ("bcm2712", None, None, None, None)),
        ("intel-nuc", (None, None, None, None, None)),
        ("amd-ryzen", (None, None, None, None, None)),
    ],
)
def test_each_board_says_what_it_is(state, device_tree, name, board):
    found = state(name).board
    assert (found.soc, found.l4t, found.jetpack, found.cuda, found.tensorrt) == board
    facts = hardware.machine_facts(device_tree(name))
    assert (facts.soc, facts.l4t, facts.jetpack, facts.cuda, facts.tensorrt) == board
    assert facts.board == found.model


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("orin-nano", ("25W", False, 2, "MAXN_SUPER")),
        ("agx-orin", ("MAXN", True, 0, "MAXN")),
        ("agx-xavier", ("MODE_30W_ALL", False, 0, "MAXN")),
        ("xavier-nx", ("MODE_20W_6CORE", True, 8, "MODE_20W_6CORE")),
        ("thor", ("120W", False, 0, "MAXN")),
    ],
)
def test_the_maximal_mode_is_found_by_its_limits_not_by_its_number(state, name, mode):
    found = state(name).power_mode
    assert (found.name, found.maximal, found.best_number, found.best_name) == mode


def test_clocks_are_locked_on_the_agx_orin_and_float_on_the_nano(state):
    assert state("agx-orin").clocks_locked is True
    assert state("orin-nano").clocks_locked is False
    assert [clock.name for clock in state("thor").clocks] == ["cpu0", "cpu7", "gpu"]


@pytest.mark.parametrize(
    ("name", "energy"),
    [
        ("orin-nano", ("ina3221", "module", ("VDD_IN",))),
        ("agx-orin", ("ina3221", "module", ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))),
        ("agx-xavier", ("ina3221", "module", ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"))),
        ("thor", ("ina3221", "module", ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"))),
        ("intel-nuc", ("powercap", "processor and memory", ("package-0", "dram"))),
        ("amd-ryzen", ("powercap", "processor", ("package-0",))),
        ("raspberry-pi-5", (None, "", ())),
    ],
)
def test_no_rail_and_no_domain_is_counted_twice(state, name, energy):
    found = state(name)
    assert (found.energy, found.energy_scope, found.energy_rails) == energy


def test_a_raspberry_pi_says_why_it_has_no_energy(state):
    assert any("no power sensor" in note for note in state("raspberry-pi-4").notes)


def test_throttling_is_told_from_cooling_devices_and_from_the_pi_s_flags(state):
    assert state("xavier-nx").throttling.causes == ("thermal-cpufreq-0 (1)",)
    pi = state("raspberry-pi-4").throttling
    assert (pi.now, pi.since_boot) == (True, True)
    assert pi.causes == pi.past == ("under-voltage", "throttled")
    assert state("raspberry-pi-5").throttling.now is False
    # A set TCC Offset and a running fan are not throttling.
    assert state("intel-nuc").throttling.now is False


@pytest.mark.parametrize(
    ("name", "warnings"),
    [
        (
            "orin-nano",
            (
                "power mode 25W is not the maximal one (MAXN_SUPER): sudo nvpmodel -m 2",
                "the clocks float (cpu0, cpu4, gpu): sudo jetson_clocks",
            ),
        ),
        ("agx-orin", ()),
        ("raspberry-pi-5", ()),
        (
            "raspberry-pi-4",
            (
                "the governor ondemand lets the clocks float: echo performance | "
                "sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
                "hot before the run (cpu-thermal 82 °C): let it cool, or give it a fan",
                "throttled now (under-voltage, throttled): use the board's own power supply and a short "
                "cable, then: sudo reboot",
            ),
        ),
        (
            "xavier-nx",
            (
                "the clocks float (cpu0, cpu2, cpu4, gpu): sudo jetson_clocks",
                "hot before the run (CPU-therm 82 °C, slows down at 86 °C): let it cool, or sudo "
                "jetson_clocks --fan",
                "throttled now (thermal-cpufreq-0 (1)): let it cool or give it a fan, then look again: "
                "edgeroberta doctor",
                "little free memory (635 MB): close what is not needed: sudo systemctl isolate "
                "multi-user.target",
                "other programs run (load 3.4 over the last minute): see what: top",
            ),
        ),
        (
            "intel-nuc",
            (
                "the governor powersave keeps the clocks low: echo performance | "
                "sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
            ),
        ),
        (
            "amd-ryzen",
            (
                "cpu0 is held to 3,200 MHz of 4,785 MHz: echo 4785000 | "
                "sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq",
            ),
        ),
    ],
)
def test_each_warning_comes_with_the_command_that_mends_it(state, name, warnings):
    assert hardware.warnings(state(name)) == warnings


def test_a_state_is_described_in_lines(state):
    assert hardware.describe(state("orin-nano")) == [
        "board: NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super · tegra234",
        "software: L4T 36.4.3, JetPack 6.2, CUDA 12.6.11, TensorRT 10.3.0.30",
        "power mode: 25W (mode 1), not the maximal one (MAXN_SUPER)",
        "clocks: float, governor schedutil, at most cpu 1,344 MHz, gpu 918 MHz",
        "temperature: 50.5 °C (tj-thermal)",
        "throttling: none",
        "free memory: 5.2 GB of 8.0 GB",
        "energy: ina3221: VDD_IN (module)",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_state_goes_into_json_with_its_warnings(state, name):
    found = json.loads(json.dumps(hardware.for_json(state(name)), allow_nan=False))
    assert found["warnings"] == list(hardware.warnings(state(name)))
    assert all("locked" in clock for clock in found["clocks"])


def test_a_jetson_without_readable_files_is_asked_by_its_own_programs(tmp_path):
    root = unpack("orin-nano", tmp_path)
    (root / "var/lib/nvpmodel/status").unlink()
    shutil.rmtree(root / "sys/class/devfreq")
    asked = []

    def answer(command: Sequence[str]) -> str:
        asked.append(tuple(command))
        return (root / "commands" / f"{command[0]}.txt").read_text(encoding="utf-8")

    found = hardware.read_state(root, answer)
    assert asked == [("nvpmodel", "-q"), ("jetson_clocks", "--show")]
    assert (found.power_mode.number, found.power_mode.name) == (1, "25W")
    assert [clock.name for clock in found.clocks] == ["cpu0", "cpu4", "gpu", "emc"]
    assert [clock.locked for clock in found.clocks[2:]] == [False, False]


def test_an_empty_root_is_a_state_with_notes(tmp_path):
    found = hardware.read_state(tmp_path)
    assert (found.power_mode, found.clocks_locked, found.energy, found.hottest) == (None, None, None, None)
    assert "no temperatures" in found.notes
    assert hardware.warnings(found) == ()


def test_what_is_malformed_is_noted(tmp_path):
    root = unpack("orin-nano", tmp_path)
    (root / "etc/nv_tegra_release").write_text("# R36 (rel", encoding="utf-8")
    (root / "var/lib/dpkg/status").write_text("Package", encoding="utf-8")
    (root / "var/lib/nvpmodel/status").write_bytes(b"\xff\xfe\0")
    (root / "proc/meminfo").write_text("MemTotal: many kB\n", encoding="utf-8")
    notes = hardware.read_state(root).notes
    assert "/etc/nv_tegra_release does not name a release" in notes
    assert "the power mode is unknown (/var/lib/nvpmodel/status)" in notes
    assert "/proc/meminfo does not tell the free memory" in notes


def test_rails_of_an_unknown_board_are_not_summed(tmp_path):
    root = unpack("thor", tmp_path)
    label = next(root.rglob("in2_label"))
    label.write_text("VDD_NEW", encoding="utf-8")
    found = hardware.read_state(root)
    assert found.energy is None
    assert any("VDD_GPU, VDD_NEW, VIN_SYS_5V0" in note for note in found.notes)


def test_a_loop_of_links_and_a_pipe_do_not_stop_a_reader(tmp_path):
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").symlink_to(zone / "type")
    (zone / "type").symlink_to(zone / "temp")
    (tmp_path / "sys/class/thermal/thermal_zone1").symlink_to(tmp_path / "sys/class/thermal/thermal_zone1")
    (tmp_path / "proc").mkdir()
    os.mkfifo(tmp_path / "proc/loadavg")
    (tmp_path / "etc").symlink_to(tmp_path)
    (tmp_path / "var").mkdir(mode=0o000)
    found = hardware.read_state(tmp_path)
    assert (found.zones, found.load) == ((), None)


NUMBERS = st.one_of(st.integers(), st.floats()).map(lambda number: str(number).encode())
CONTENT = st.one_of(st.binary(max_size=60), NUMBERS, st.just(b""), st.just(b"9" * 5000), st.just(b"-1"))


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(data=st.data())
def test_no_content_of_any_file_makes_a_reader_raise(data, tmp_path):
    name = data.draw(st.sampled_from(NAMES))
    root = tmp_path / name
    if not root.exists():
        unpack(name, root)
    kept = {}
    paths = st.sampled_from(sorted(files(name)))
    for file in data.draw(st.lists(paths, min_size=1, max_size=12, unique=True)):
        path = root / file
        kept[path] = path.read_bytes()
        cut = data.draw(st.integers(0, 40))
        path.write_bytes(data.draw(st.one_of(CONTENT, st.just(kept[path][:cut]))))
    found = hardware.read_state(root)
    json.dumps(hardware.for_json(found), allow_nan=False)
    hardware.describe(found)
    hardware.machine_facts(root)
    with hardware.DeviceMonitor(root, interval_s=0.001) as watch:
        pass
    json.dumps(watch.watched.for_json(), allow_nan=False)
    for path, content in kept.items():
        path.write_bytes(content)
