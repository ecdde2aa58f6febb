"""Holds a graph in half precision to the float32 graph it was made from, before anything relies on it.

On a CPU, ONNX Runtime computes such a graph in float32, with the weights as they were rounded. So weights
that overflow, or were rounded wrongly, are found here; activations that overflow alone only show on the
device, whose goldens refuse the engine then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeroberta.errors import EngineError

#: Largest difference of a logit, of the range of the float32 graph's logits on the same texts. ONNX Runtime
#: keeps the weights' rounding and computes in float32; seen: 0.1 % on the packaged encoder.
LIMIT = 0.02
#: The same in logits, for models whose answers hardly differ, as those with a head that was never trained.
LEAST = 0.02

_HINT = (
    "fine-tune with weight decay or a lower learning rate; a target without TensorRT and CUDA, as "
    "--target cpu, needs no half precision"
)


def hold(exact: Path, half: Path, texts: Sequence[NDArray[np.int64]]) -> dict[str, float]:
    """Compare the answers of both graphs in ONNX Runtime.

    ``exact``: the graph in float32. ``half``: the same in half precision. ``texts``: token ids int64 [length]
    of each text. Returns ``max_logit_error``, ``limit`` and the number of ``texts``. Raises EngineError: half
    precision overflows, or gives other answers than float32.
    """
    from edgeroberta.quantization.engine import open_session, run_logits

    wanted, found = (run_logits(open_session(graph), texts) for graph in (exact, half))
    lost = int((~np.isfinite(found).all(axis=1) & np.isfinite(wanted).all(axis=1)).sum())
    if not np.isfinite(wanted).all():
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
