from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_bundles
import pytest

from edgeroberta import targets
from edgeroberta.errors import UnavailableError
from edgeroberta.targets.matching import TargetFacts, matches, matching, resolve, target_facts

PC = TargetFacts("x86_64", "AMD EPYC 9004", ("avx2", "avx512_vnni"))
INTEL = TargetFacts("x86_64", "Intel(R) Core(TM) i7-8650U", ("avx2",))
PI = TargetFacts("aarch64", "Cortex-A76", ("asimd",), "Raspberry Pi 5 Model B Rev 1.0")
GPU = replace(PC, gpus=("NVIDIA H200",))


def board(name: str) -> TargetFacts:
    return TargetFacts("aarch64", name, ("asimd",), name)


@pytest.mark.parametrize(
    ("here", "wanted"),
    [
        (PC, ["cpu"]),
        (INTEL, ["cpu", "cpu-avx2", "intel-cpu"]),
        (PI, ["arm", "cpu"]),
        (GPU, ["cpu", "nvidia-gpu"]),
        (board("NVIDIA Jetson Orin Nano Developer Kit"), ["arm", "cpu", "jetson", "jetson-orin-nano"]),
        (board("NVIDIA Orin Nano Developer Kit"), ["arm", "cpu", "jetson", "jetson-orin-nano"]),
        (board("NVIDIA Jetson AGX Orin Developer Kit"), ["arm", "cpu", "jetson", "jetson-agx-orin"]),
        (board("NVIDIA Jetson AGX Thor Developer Kit"), ["arm", "cpu", "jetson", "jetson-thor"]),
        (board("NVIDIA Jetson Xavier NX Developer Kit"), ["arm", "cpu", "jetson"]),
    ],
)
def test_a_machine_is_of_the_classes_that_describe_it(here, wanted):
    assert [name for name in targets.names() if matches(targets.load(name), here)] == wanted


def recorded(root: Path, *, model: str | None = None, gpu: str | None = None) -> Path:
    if model is not None:
        (root / "proc/device-tree").mkdir(parents=True)
        (root / "proc/device-tree/model").write_bytes(model.encode() + b"\0")
    if gpu is not None:
        folder = root / "proc/driver/nvidia/gpus/0000:01:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {gpu}\nIRQ:   \t\t 42\n", encoding="utf-8")
    return root


ARM = replace(fake_bundles.DEVICE, system="Linux 5.15 aarch64", cpu="ARMv8", flags=("asimd",))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano"),
        ("NVIDIA Jetson AGX Orin", "jetson-agx-orin"),
        ("Jetson-AGX", "jetson"),
    ],
)
def test_a_family_resolves_on_the_device(model, name, tmp_path):
    root = recorded(tmp_path, model=model)
    assert resolve("jetson", ARM, root=root).name == name
    assert resolve(name, ARM, root=root).name == name


def test_gpus_are_those_that_the_driver_lists(tmp_path):
    root = recorded(tmp_path, gpu="NVIDIA H200")
    assert target_facts(fake_bundles.DEVICE, root).gpus == ("NVIDIA H200",)
    assert "nvidia-gpu" in matching(fake_bundles.DEVICE, root=root)


def test_a_jetson_is_no_computer_with_a_gpu(tmp_path):
    root = recorded(tmp_path, model="NVIDIA Jetson AGX Thor", gpu="NVIDIA Thor")
    assert "nvidia-gpu" not in matching(ARM, root=root)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("arm", "looked for a machine of type aarch64 or arm64; here: x86_64, Example CPU, no NVIDIA GPU"),
        (
            "intel-cpu",
            "looked for a machine of type x86_64 or AMD64 with 'Intel' in the name of its board or "
            "processor; here: x86_64, Example CPU, no NVIDIA GPU",
        ),
        (
            "cpu-avx2",
            "looked for a machine of type x86_64 or AMD64 without avx512_vnni and avx_vnni; "
            "here: x86_64, Example CPU, no NVIDIA GPU",
        ),
        (
            "nvidia-gpu",
            "looked for a machine of type x86_64 or AMD64 or aarch64 with 'NVIDIA' or 'Tesla' or 'GeForce' "
            "or 'Quadro' in the name of its GPU; here: x86_64, Example CPU, no NVIDIA GPU",
        ),
    ],
)
def test_a_target_that_is_another_machine_is_refused(name, said, tmp_path):
    with pytest.raises(UnavailableError) as caught:
        resolve(name, fake_bundles.DEVICE, root=tmp_path)
    assert caught.value.exit_code == 4
    assert caught.value.where == "--target"
    assert caught.value.what == f"the target {name!r} is another machine than this one: {said}"
    assert caught.value.hint == "leave --target out to measure on this machine, or run this on such a machine"


def test_a_jetson_elsewhere_is_offered_ssh_and_the_check(tmp_path):
    with pytest.raises(UnavailableError) as caught:
        resolve("jetson-thor", fake_bundles.DEVICE, root=tmp_path)
    assert caught.value.hint == (
        "edgeroberta bench BUNDLE --target jetson-thor --host user@jetson, "
        "or without a device: edgeroberta check BUNDLE --target jetson-thor"
    )


def test_a_browser_is_no_machine_to_measure_on(tmp_path):
    with pytest.raises(UnavailableError, match="looked for a machine of type wasm32; here: x86_64") as caught:
        resolve("web", fake_bundles.DEVICE, root=tmp_path)
    assert caught.value.hint == (
        "JavaScript is asked in JavaScript: node examples/web/check.mjs BUNDLE --device wasm"
    )
    assert "web" not in matching(fake_bundles.DEVICE, root=tmp_path)
