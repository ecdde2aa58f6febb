"""What the stage ``build`` does about ONNX Runtime's own format: asks for it, and holds it to the goldens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import RecipeError
from edgeroberta.storage.files import GRAPH, ORT_FORMAT

if TYPE_CHECKING:
    from edgeroberta.context import Context
    from edgeroberta.runtime.goldens import Goldens
    from edgeroberta.runtime.manifest import Manifest


def require(engines: Sequence[str]) -> None:
    """Refuse another form of a graph that is not written. Raises RecipeError."""
    if "onnxruntime" not in engines:
        raise RecipeError(
            f"ONNX Runtime's own format is made of its graph, and the engines are {', '.join(engines)}",
            where="build.ort_format",
            hint="add onnxruntime to build.engines",
        )


def check(goldens: Goldens, manifest: Manifest, context: Context) -> dict[str, Any]:
    """Ask ``model.ort`` the goldens.

    Returns its bytes, those of the ONNX file, and the largest difference of a logit; None on a processor on
    which it may saturate, since it is not for that. Raises EngineError: it gives other answers.
    """
    from edgeroberta.quantization import ort
    from edgeroberta.runtime import processor
    from edgeroberta.runtime.goldens import check_answers

    safe = manifest.saturation is not None and manifest.saturation.safe
    if not safe:
        # session.x64quantprecision changes a graph before it runs, and one in this format is not changed:
        # the time of a call stays what it was (1.32).
        context.progress.line(
            f"{ORT_FORMAT}: for ARM, and for x86 with VNNI; elsewhere int8 products can saturate, and no "
            "setting prevents it (--target cpu-avx2 makes weights that cannot)"
        )
    found = None
    if safe or processor.saturates() is False:
        session = ort.open_session(manifest.folder / ORT_FORMAT)
        units = goldens.outputs.lengths.tolist()
        found = check_answers(
            goldens,
            lambda ids: ort.run_graph(session, ids, units=units),
            engine=ORT_FORMAT,
            comparable=manifest.task.kind.comparable,
            where=str(manifest.folder / ORT_FORMAT),
        )
    sizes = {name: manifest.files[name].bytes for name in (ORT_FORMAT, GRAPH)}
    return {"bytes": sizes[ORT_FORMAT], "onnx_bytes": sizes[GRAPH], "deviation": found}
