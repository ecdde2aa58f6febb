"""What an NVIDIA Jetson is: board, SoC, L4T, JetPack, CUDA, TensorRT, all read from text files."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.hardware import sysfs

#: L4T release to JetPack, as in NVIDIA's archives (https://developer.nvidia.com/embedded/jetpack-archive and
#: https://developer.nvidia.com/embedded/jetson-linux-archive). An unlisted release has no JetPack: a guess
#: from its neighbours would stand beside a measurement as a fact. 36.4.7 is an update of 36.4.4's packages.
JETPACKS = {
    "35.1.0": "5.0.2",
    "35.2.1": "5.1",
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5.0": "5.1.3",
    "35.6.0": "5.1.4",
    "35.6.1": "5.1.5",
    "35.6.2": "5.1.5",
    "36.3.0": "6.0",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5.0": "6.2.2",
    "36.5.2": "6.2.3",
    "38.2.0": "7.0",
    "38.2.1": "7.0",
    "38.2.2": "7.0",
    "38.4.0": "7.1",
    "39.2.0": "7.2",
    "39.2.1": "7.2.1",
}
#: Names of the SoC in the device tree's ``compatible``.
FAMILIES = {
    "tegra210": "Nano",
    "tegra186": "TX2",
    "tegra194": "Xavier",
    "tegra234": "Orin",
    "tegra264": "Thor",
}
#: Debian packages that carry TensorRT's runtime, the one that Python imports first.
TENSORRT_PACKAGES = ("python3-libnvinfer", "libnvinfer10", "libnvinfer8", "tensorrt")
L4T_PACKAGE = "nvidia-l4t-core"
#: dpkg's status file of a full desktop is about 5 MB.
MOST_DPKG_BYTES = 64 << 20

_RELEASE = re.compile(r"R(\d{1,3})\s*\(release\),\s*REVISION:\s*(\d{1,3}(?:\.\d{1,3}){0,2})\b")
_SOC = re.compile(r"^(?:nvidia,(tegra\d+)|brcm,(bcm\d+))$")
_UPSTREAM = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)+)")


@dataclass(frozen=True)
class Board:
    """What a board says about itself."""

    #: ``NVIDIA Jetson Orin Nano Developer Kit``; on a PC vendor and product. None when unknown.
    model: str | None = None
    soc: str | None = None  # ``tegra234``, ``bcm2712``; None when unknown or not from a device tree
    l4t: str | None = None  # Jetson Linux release, ``36.4.3``
    jetpack: str | None = None  # the JetPack that this release belongs to; None when it is not in the table
    cuda: str | None = None  # version of ``/usr/local/cuda``
    tensorrt: str | None = None  # version of the installed Debian package

    @property
    def jetson(self) -> bool:
        """True on an NVIDIA Jetson."""
        return self.l4t is not None or (self.soc or "").startswith("tegra")

    @property
    def raspberry_pi(self) -> bool:
        """True on a Raspberry Pi."""
        return "raspberry pi" in (self.model or "").lower()


def board(root: Path = Path("/")) -> Board:
    """Look at the board."""
    packages = dpkg_versions(root, (*TENSORRT_PACKAGES, L4T_PACKAGE))
    l4t = l4t_release(sysfs.text(root / "etc/nv_tegra_release")) or upstream_version(
        packages.get(L4T_PACKAGE)
    )
    tensorrt = next((packages[name] for name in TENSORRT_PACKAGES if name in packages), None)
    return Board(
        model=_model(root),
        soc=soc(sysfs.text(root / "proc/device-tree/compatible")),
        l4t=l4t,
        jetpack=JETPACKS.get(l4t or ""),
        cuda=cuda_version(sysfs.text(root / "usr/local/cuda/version.json")),
        tensorrt=upstream_version(tensorrt),
    )


def l4t_release(content: str | None) -> str | None:
    """Return ``36.4.3`` from ``# R36 (release), REVISION: 4.3, GCID: …``, None when it says no release."""
    found = _RELEASE.search(content or "")
    if found is None:
        return None
    numbers = [found[1], *found[2].split(".")]
    return ".".join(str(int(number)) for number in [*numbers, "0"][:3])


def soc(compatible: str | None) -> str | None:
    """Return the SoC from the device tree's zero-separated ``compatible`` list."""
    for word in (compatible or "").split("\0"):
        if found := _SOC.match(word.strip()):
            return found[1] or found[2]
    return None


def cuda_version(content: str | None) -> str | None:
    """Return the toolkit's version from ``version.json``."""
    try:
        version = json.loads(content or "")["cuda"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return version if isinstance(version, str) and 0 < len(version) < 40 else None


def dpkg_versions(root: Path, names: Collection[str]) -> dict[str, str]:
    """Return the versions, as dpkg has them, of Debian packages whose status says installed."""
    found: dict[str, str] = {}
    name, version, installed = "", "", False
    try:
        with (root / "var/lib/dpkg/status").open(encoding="utf-8", errors="replace") as lines:
            for line in lines.read(MOST_DPKG_BYTES).split("\n"):
                key, _, value = line.partition(":")
                if key == "Package":
                    name, version, installed = value.strip(), "", False
                elif key == "Status":
                    installed = value.split()[-1:] == ["installed"]
                elif key == "Version":
                    version = value.strip()
                if name in names and installed and version:
                    found[name] = version
    except (OSError, ValueError):
        return found
    return found


def upstream_version(version: str | None) -> str | None:
    """Return ``10.3.0.30`` from ``10.3.0.30-1+cuda12.5``."""
    found = _UPSTREAM.match(version or "")
    return found[1] if found else None


def _model(root: Path) -> str | None:
    if model := sysfs.text(root / "proc/device-tree/model"):
        return _line(model)
    dmi = root / "sys/class/dmi/id"
    words = [sysfs.text(dmi / name) for name in ("sys_vendor", "product_name")]
    return _line(" ".join(word for word in words if word)) or None


def _line(content: str) -> str:
    """One printable line of at most 100 characters: it goes into tables."""
    return " ".join("".join(each if each.isprintable() else " " for each in content).split())[:100]
