"""Runs graphs for the quantizer in ONNX Runtime, and compares half precision with float32."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeroberta.errors import EngineError
from edgeroberta.runtime.onnxruntime import open_graph
from edgeroberta.tasks import Comparable, Outputs, all_of_them


def open_session(graph: Path) -> Any:
    """Open an ONNX file as an ``InferenceSession`` for the quantizer's own use."""
    return open_graph(graph, threads=0)


def run_graph(
    session: Any,
    inputs: Iterable[NDArray[np.int64]],
    places: Sequence[NDArray[np.int64]] | None = None,
    *,
    units: Sequence[int] | None = None,
) -> Outputs:
    """Return the outputs of token ids int64 [length] each, one text at a time.

    ``units``: how many rows each text has, where the graph has room for more of them. ``places``: int64
    [length, 3] of each text's tokens where outputs are per token, see
    :class:`~edgeroberta.tasks.outputs.Ragged`; without them every token counts as a word.
    """
    rows = []
    for number, ids in enumerate(inputs):
        feed = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        found = np.asarray(session.run([session.get_outputs()[0].name], feed)[0], np.float32)
        rows.append(found.reshape(-1, found.shape[-1])[: None if units is None else units[number]])
    return Outputs.pack(rows, places)


#: Largest difference of a logit, of the range of the float32 graph's logits on the same texts. ONNX Runtime
#: keeps the weights' rounding and computes in float32; seen: 0.1 % on the packaged encoder.
LIMIT = 0.02
#: The same in logits, for models whose answers hardly differ, as those with a head that was never trained.
LEAST = 0.02

_HINT = (
    "fine-tune with weight decay or a lower learning rate; a target without TensorRT and CUDA, as "
    "--target cpu, needs no half precision"
)


def validate_fp16(
    exact: Path, half: Path, texts: Sequence[NDArray[np.int64]], comparable: Comparable = all_of_them
) -> dict[str, float]:
    """Compare the answers of both graphs in ONNX Runtime.

    ``exact``: the graph in float32. ``half``: the same in half precision. ``texts``: token ids int64 [length]
    of each text. ``comparable``: the task's :meth:`~edgeroberta.tasks.TaskKind.comparable`. Returns
    ``max_logit_error``, ``limit`` and the number of ``texts``. Raises EngineError: half
    precision overflows, or gives other answers than float32.
    """
    full = run_graph(open_session(exact), texts)
    outputs = [full, run_graph(open_session(half), texts, units=full.lengths.tolist())]
    lost = len(np.setdiff1d(outputs[1].broken(), outputs[0].broken()))
    wanted, found = (comparable(each.values) for each in outputs)
    if len(outputs[0].broken()):
        raise EngineError("the model itself answers with values that are not finite", where=str(exact))
    if lost:
        raise EngineError(
            f"the model overflows in half precision: {lost} of {len(texts)} texts have no finite answer",
            where=str(half),
            hint=_HINT,
        )
    error = float(np.abs(found - wanted).max(initial=0.0))
    limit = max(LIMIT * float(np.ptp(wanted)), LEAST) if wanted.size else LEAST
    if error > limit:
        raise EngineError(
            f"the graph in half precision answers otherwise than in float32: logits differ by {error:.3g}, "
            f"allowed is {limit:.3g}",
            where=str(half),
            hint=_HINT,
        )
    return {"max_logit_error": error, "limit": limit, "texts": len(texts)}
