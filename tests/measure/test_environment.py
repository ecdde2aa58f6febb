from __future__ import annotations

import fake_bundles
import pytest

from edgeroberta import hardware as device
from edgeroberta.hardware.gpu import GpuMonitor
from edgeroberta.measure import environment
from edgeroberta.measure.validity import CpuTimes
from edgeroberta.targets.matching import TargetFacts


@pytest.fixture
def telling(monkeypatch) -> list[str]:
    """A device that tells its state: a name, then the next one."""
    names = ["cold", "warm"]
    monkeypatch.setattr(device, "read_state", lambda: names.pop(0))
    monkeypatch.setattr(device, "for_json", lambda state: {"state": state})
    monkeypatch.setattr(device, "warnings", lambda state: (f"it is {state}",))
    return names


def test_the_device_s_state_before_and_after_goes_with_the_numbers(telling, monkeypatch):
    times = [CpuTimes(100, 0), CpuTimes(200, 25)]
    monkeypatch.setattr(environment, "cpu_times", lambda: times.pop(0))
    found = environment.environment_after(environment.environment_before(fake_bundles.DEVICE))
    assert (found.before, found.after) == ({"state": "cold"}, {"state": "warm"})
    assert found.warnings == ("it is cold",)
    assert found.steal == pytest.approx(0.25)
    assert (found.load, found.cores) == (0.25, 2)


class MachineWatch:
    pass


@pytest.mark.parametrize(
    ("here", "runs_on", "kind"),
    [
        (TargetFacts("x86_64", "cpu"), "cpu", MachineWatch),
        (TargetFacts("x86_64", "cpu", gpus=("NVIDIA H200",)), "cpu", MachineWatch),
        (TargetFacts("x86_64", "cpu", gpus=("NVIDIA H200",)), "NVIDIA H200", GpuMonitor),
        (TargetFacts("aarch64", "cpu", board="Jetson", gpus=("NVIDIA Thor",)), "gpu", MachineWatch),
    ],
)
def test_a_card_is_watched_by_its_driver_and_all_else_by_the_machine(here, runs_on, kind, monkeypatch):
    monkeypatch.setattr(environment, "target_facts", lambda device: here)
    monkeypatch.setattr(device, "DeviceMonitor", MachineWatch)
    assert isinstance(environment.watch_on(fake_bundles.DEVICE)(runs_on), kind)
