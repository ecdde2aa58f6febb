"""This package as a wheel, made from the files it runs from: editable or installed, recipes included.

The same files give the same bytes on every machine (stored, sorted, dated 1980), so that a device that has
the wheel is not sent it again.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgeroberta import version
from edgeroberta.errors import EdgeRobertaError

_PACKAGE = Path(version.__file__).parent
_TAG = "py3-none-any"
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Wheel:
    """A wheel in memory."""

    name: str  # file name
    content: bytes
    extras: frozenset[str]  # extras that its metadata offers


def build(package: Path = _PACKAGE) -> Wheel:
    """Make the wheel."""
    try:
        found = importlib.metadata.distribution("edgeroberta")
    except importlib.metadata.PackageNotFoundError as error:
        hint = "pip install -e . in the checkout"
        raise EdgeRobertaError("this package is not installed", where=str(package), hint=hint) from error
    metadata = found.read_text("METADATA") or ""
    name = f"edgeroberta-{version.__version__}"
    files = _files(package)
    info = f"{name}.dist-info"
    files[f"{info}/METADATA"] = metadata.encode("utf-8")
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: edgeroberta\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
    ).encode()
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nedgeroberta = edgeroberta.__main__:main\n"
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    offered = frozenset(found.metadata.get_all("Provides-Extra") or ())
    return Wheel(f"{name}-{_TAG}.whl", _zip(files), offered)


def _files(package: Path) -> dict[str, bytes]:
    found = {
        f"edgeroberta/{file.relative_to(package).as_posix()}": file.read_bytes()
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }
    recipes = package.parent / "recipes"
    if not (package / "_recipes").is_dir() and recipes.is_dir():  # a checkout keeps them beside the package
        found |= {f"edgeroberta/_recipes/{file.name}": file.read_bytes() for file in recipes.glob("*.yaml")}
    return found


def _record(files: dict[str, bytes], own: str) -> bytes:
    lines = []
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}")
    return ("\n".join([*lines, f"{own},,"]) + "\n").encode("utf-8")


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Stored: what deflate gives depends on the zlib at hand.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()
