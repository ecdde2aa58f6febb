"""What ``/proc/cpuinfo`` says of int8, on recorded processors, and what the runtime makes of it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeroberta.errors import BundleError
from edgeroberta.runtime import Runtime, processor
from edgeroberta.runtime.manifest import read
from edgeroberta.runtime.processor import advise, declared_safe

X86 = "processor\t: 0\nvendor_id : {vendor}\nmodel name\t: {model}\nflags\t: fpu avx fma avx2 {more}\n"
RECORDED = {
    "haswell": X86.format(
        vendor="GenuineIntel", model="Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz", more="bmi2"
    ),
    "skylake-sp": X86.format(
        vendor="GenuineIntel",
        model="Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz",
        more="avx512f avx512bw avx512vl",
    ),
    "zen3": X86.format(vendor="AuthenticAMD", model="AMD Ryzen 7 5800X 8-Core Processor", more="vaes"),
    "icelake": X86.format(
        vendor="GenuineIntel",
        model="Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz",
        more="avx512f avx512_vnni",
    ),
    "alderlake": X86.format(vendor="GenuineIntel", model="12th Gen Intel i5-12500", more="avx_vnni"),
    "sapphire-rapids": X86.format(
        vendor="GenuineIntel", model="Intel(R) Xeon(R) Platinum 8480+", more="avx512_vnni avx_vnni amx_int8"
    ),
    "zen4": X86.format(vendor="AuthenticAMD", model="AMD EPYC 9354 32-Core Processor", more="avx512_vnni"),
    "cortex-a72": (
        "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\n"
        "CPU revision\t: 3\n\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
    ),
    "cortex-a76": "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\nCPU part\t: 0xd0b\n",
    "nothing known": "processor : 0\n\xff\n: :\nflags\n",
}


@pytest.fixture
def machine(tmp_path) -> Callable[[str], Path]:
    """A function that makes a root with a recorded ``/proc/cpuinfo``."""

    def make(name: str) -> Path:
        file = tmp_path / name / "proc" / "cpuinfo"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(RECORDED[name], encoding="utf-8")
        return tmp_path / name

    return make


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("haswell", True),
        ("skylake-sp", True),
        ("zen3", True),
        ("icelake", False),
        ("alderlake", False),
        ("sapphire-rapids", False),
        ("zen4", False),
        ("cortex-a72", False),
        ("cortex-a76", False),
        ("nothing known", None),
    ],
)
def test_int8_saturates_on_x86_without_vnni_alone(machine, name, expected):
    assert processor.saturates(machine(name)) is expected


def test_nothing_is_said_of_a_machine_without_cpuinfo(tmp_path):
    assert processor.saturates(tmp_path) is None
    assert processor.cpuinfo(tmp_path) == ""
    assert isinstance(processor.identity(tmp_path), str)


def test_processors_are_told_apart_by_model_or_by_arm_s_numbers(machine):
    assert processor.identity(machine("zen4")) == "model name\t: AMD EPYC 9354 32-Core Processor"
    assert processor.identity(machine("cortex-a72")).splitlines() == [
        "CPU implementer\t: 0x41",
        "CPU part\t: 0xd08",
        "CPU revision\t: 3",
    ]


AT_RISK = {"safe": False, "linear_ops": ["layer.0.ffn.in"]}
SAFE = {"safe": True, "linear_ops": []}


@pytest.fixture
def int8(bundle, edit_manifest) -> Callable[..., Path]:
    """A function that gives the copied bundle another precision and saturation."""

    def make(saturation: object, precision: str = "int8") -> Path:
        def change(fields: dict[str, object]) -> None:
            fields.update(saturation=saturation, precision=precision)
            if saturation is None:
                del fields["saturation"]

        edit_manifest(change)
        return bundle

    return make


def test_a_bundle_at_risk_is_spoken_of_on_a_processor_that_saturates(int8, machine):
    facts = read(int8(AT_RISK))
    said = advise(facts, "openvino", machine("haswell"))
    assert "OpenVINO's answers can be wrong" in said
    assert said.endswith("edgeroberta compress MODEL --data DATA --target cpu-avx2")
    assert "exact kernels, which are slower" in str(advise(facts, "onnxruntime", machine("zen3")))
    for name in ("icelake", "zen4", "cortex-a72", "nothing known"):
        assert advise(facts, "openvino", machine(name)) is None
    assert advise(facts, "tensorrt", machine("haswell")) is None


def test_an_older_bundle_is_read_and_said_not_to_know(int8, machine):
    facts = read(int8(None))
    assert facts.saturation is None
    assert "does not say whether" in str(advise(facts, "openvino", machine("haswell")))
    assert not declared_safe(facts.folder)


def test_a_safe_bundle_and_a_float_one_are_left_alone(int8, machine):
    facts = read(int8(SAFE))
    assert facts.saturation.safe
    assert advise(facts, "openvino", machine("haswell")) is None
    assert declared_safe(facts.folder)
    assert advise(read(int8(None, "fp32")), "openvino", machine("haswell")) is None


@pytest.mark.parametrize(
    "value",
    [
        {"safe": 1, "linear_ops": []},
        {"safe": True, "linear_ops": "all"},
        {"safe": True},
        [],
        {"safe": True, "linear_ops": [1]},
    ],
)
def test_a_malformed_field_is_refused(int8, value):
    with pytest.raises(BundleError, match="damaged"):
        read(int8(value))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"saturation": null}', '{"saturation": {"safe": "yes"}}'])
def test_a_folder_that_does_not_say_so_is_not_safe(tmp_path, text):
    assert not declared_safe(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    assert not declared_safe(tmp_path)


@pytest.mark.parametrize(("name", "warned"), [("haswell", True), ("icelake", False)])
def test_opening_warns_through_the_log(int8, machine, monkeypatch, caplog, name, warned):
    root = machine(name)
    monkeypatch.setattr(processor, "saturates", lambda _=None, real=processor.saturates: real(root))
    with caplog.at_level(logging.WARNING, "edgeroberta"):
        Runtime.open(int8(AT_RISK), engine="onnxruntime").close()
    assert ["--target cpu-avx2" in record.message for record in caplog.records] == [True] * warned


EXACT = {"session.x64quantprecision": "1"}


@pytest.fixture
def session_options(monkeypatch, machine) -> Callable[..., dict[str, str]]:
    """A function that tells the configuration entries an opener sets on a recorded processor."""
    import onnxruntime

    entries: dict[str, str] = {}

    class Options(onnxruntime.SessionOptions):
        def add_session_config_entry(self, key: str, value: str) -> None:
            entries[key] = value
            super().add_session_config_entry(key, value)

    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    real = processor.saturates

    def ask(name: str, opener: Callable[[], object]) -> dict[str, str]:
        entries.clear()
        root = machine(name)
        monkeypatch.setattr(processor, "saturates", lambda _=None: real(root))
        opener()
        return dict(entries)

    return ask


@pytest.mark.parametrize(
    ("name", "at_risk"),
    [
        ("haswell", EXACT),
        ("skylake-sp", EXACT),
        ("zen3", EXACT),
        ("icelake", {}),
        ("alderlake", {}),
        ("sapphire-rapids", {}),
        ("zen4", {}),
        ("cortex-a72", {}),
        ("cortex-a76", {}),
        ("nothing known", EXACT),
    ],
)
def test_onnx_runtime_is_asked_for_exact_kernels_only_where_the_fast_ones_saturate(
    int8, session_options, name, at_risk
):
    from edgeroberta.quantization.ort import open_session
    from edgeroberta.runtime.onnxruntime import make_options

    for saturation, expected in ((SAFE, {}), (AT_RISK, at_risk), (None, at_risk)):
        folder = int8(saturation)
        assert session_options(name, lambda folder=folder: make_options(folder, threads=1)) == expected
    assert session_options(name, lambda: open_session(folder / "model.onnx")) == at_risk
    options = make_options(folder, threads=1)
    assert (options.enable_cpu_mem_arena, options.enable_mem_pattern) == (True, False)


def test_a_new_float_bundle_says_that_it_is_safe(tiny_bundle, tmp_path):
    fields = json.loads((tiny_bundle / "manifest.json").read_text(encoding="utf-8"))
    assert fields["saturation"] == SAFE
    shutil.copytree(tiny_bundle, tmp_path / "copy")
    assert declared_safe(tmp_path / "copy")
