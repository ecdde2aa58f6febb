"""Bundles whose int8 weights can saturate, on processors where that happens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.runtime import processor
from edgeroberta.runtime.manifest import MANIFEST_FILE
from edgeroberta.storage import jsontext

if TYPE_CHECKING:
    from edgeroberta.runtime.manifest import Manifest

_WHY = "int8 products saturate on this processor (x86 without VNNI), and this bundle's weights allow it"
_UNKNOWN = (
    "int8 products saturate on this processor (x86 without VNNI), and this bundle does not say whether its "
    "weights allow it"
)
_MORE = "make the bundle for it with: edgeroberta compress MODEL --data DATA --target cpu-avx2"

#: Engine name to what happens on it then; engines that are absent do not run on the processor.
_CONSEQUENCES = {
    "onnxruntime": "ONNX Runtime computes it with its exact kernels, which are slower",
    "openvino": "OpenVINO's answers can be wrong",
}


def advise(manifest: Manifest, engine: str, root: Path = Path("/")) -> str | None:
    """Say what saturation does to a bundle on this machine, and what helps; None where nothing can."""
    if manifest.precision != "int8" or engine not in _CONSEQUENCES or not processor.saturates(root):
        return None
    if manifest.saturation is None:
        return f"{_UNKNOWN}: {_CONSEQUENCES[engine]}; {_MORE}"
    if manifest.saturation.safe:
        return None
    return f"{_WHY}: {_CONSEQUENCES[engine]}; {_MORE}"


def declared_safe(folder: Path) -> bool:
    """Tell whether a folder's manifest says that no int8 weight can saturate; False where it says nothing."""
    try:
        fields = jsontext.loads((folder / MANIFEST_FILE).read_bytes())
        return fields["saturation"]["safe"] is True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
