"""Wheels that go along to a device without a package index."""

from __future__ import annotations

from pathlib import Path

from edgeroberta.errors import UsageError

#: Fills a wheelhouse for an ARM device with Python 3.10, as JetPack 6 is. One tag does not stand for older
#: ones, and ONNX Runtime has no wheels of the oldest any more; without its bound pip would go back to 1.16.
#: pip asks markers of the Python that it runs on, so what only 3.10 needs is named: tomli is ours,
#: exceptiongroup anyio's (seen in pip 25.3 on Python 3.11).
DOWNLOAD = (
    "pip download --only-binary :all: --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 "
    "--platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 --python-version 3.10 -d wheels/ "
    "'numpy>=1.26' 'tokenizers>=0.20' 'tomli>=2.0' exceptiongroup 'onnxruntime>=1.20'"
)


def wheels(folder: Path) -> list[Path]:
    """Return a wheelhouse's wheels."""
    found = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if not found:
        raise UsageError(
            "there are no wheels in it",
            where=f"--wheelhouse {folder}",
            hint=f"fill it for the device, e.g. {DOWNLOAD}",
        )
    return found
