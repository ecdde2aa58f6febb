from __future__ import annotations

import ast
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from edgeroberta import hardware

X86 = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp i8mm bf16
CPU implementer\t: 0x41
"""


#: Fields that files of version 0.1 do not have.
NEW = ("board", "soc", "l4t", "jetpack", "cuda", "tensorrt")


def recorded(root: Path, cpuinfo: str, **files: str) -> Path:
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text(cpuinfo, encoding="utf-8")
    for name, text in files.items():
        (root / "proc" / name.replace("__", "/").replace("_", "-")).write_text(text, encoding="utf-8")
    return root


def test_an_x86_server_is_described(tmp_path):
    root = recorded(tmp_path, X86, meminfo="MemTotal:       16384 kB\n", loadavg="0.52 0.58 0.59 1/389 1\n")
    found = hardware.machine_facts(root)
    assert found.cpu == "Intel(R) Xeon(R) Platinum 8480+"
    assert found.flags == ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
    assert found.memory_bytes == 16 << 20
    assert found.load == 0.52
    assert found.cores >= 1


def test_an_arm_board_names_itself_in_the_device_tree(tmp_path):
    root = recorded(tmp_path, ARM, device_tree__model="Raspberry Pi 5 Model B Rev 1.0\0")
    found = hardware.machine_facts(root)
    assert found.cpu == "Raspberry Pi 5 Model B Rev 1.0"
    assert found.flags == ("asimd", "asimddp", "i8mm", "bf16")


def test_a_machine_without_proc_is_still_described(tmp_path):
    found = hardware.machine_facts(tmp_path)
    assert found.cpu
    assert (found.flags, found.memory_bytes, found.load) == ((), 0, None)
    assert "load" not in found.describe()


def test_versions_are_of_installed_packages_only():
    found = hardware.versions(("numpy", "no-such-package-anywhere"))
    assert list(found) == ["numpy"]


def test_the_description_carries_the_load(tmp_path, monkeypatch):
    root = recorded(tmp_path, X86, loadavg="1.26 0 0")
    monkeypatch.setattr("platform.release", lambda: "6.1")
    assert "Platinum 8480+, " in hardware.machine_facts(root).describe()
    assert hardware.machine_facts(root).describe().endswith(", load 1.3")


def test_facts_written_before_boards_were_read_still_load():
    old = {name: value for name, value in asdict(hardware.machine_facts()).items() if name not in NEW}
    found = hardware.MachineFacts(**old)
    assert {name: getattr(found, name) for name in NEW} == dict.fromkeys(NEW)


def test_a_damaged_proc_is_still_described(tmp_path):
    root = recorded(tmp_path, X86, meminfo="MemTotal: lots\n", loadavg="high")
    found = hardware.machine_facts(root)
    assert (found.memory_bytes, found.load) == (0, None)


def test_a_jetson_s_description_names_its_jetpack(device_tree):
    assert "JetPack 6.2" in hardware.machine_facts(device_tree("orin-nano")).describe()


@pytest.mark.parametrize(
    "file", sorted(Path(hardware.__file__).parent.glob("*.py")), ids=lambda file: file.name
)
def test_the_state_of_a_device_needs_the_standard_library_only(file):
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 10))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    others = {name for name in others if not name.startswith("edgeroberta.hardware")}
    # NVIDIA's bindings are imported where there is a GPU to ask, inside a function.
    assert others <= ({"pynvml"} if file.stem == "gpu" else set())
    assert "pynvml" not in {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
