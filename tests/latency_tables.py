"""A latency table with round numbers."""

from __future__ import annotations

from edgeroberta.latency.table import CallOverhead, LatencyTable
from edgeroberta.roberta.shape import EncoderShape


def table(shape: EncoderShape, longest: int = 64) -> LatencyTable:
    """Return a table on which a full layer takes 1 ms, and the full-size model in float 4 times its int8.

    Half of a layer's time is its heads' and half its neurons'; a call's own is 0.1 ms, whatever the length.
    """
    full = shape.layers[0]
    heads, widths = (0, full.heads), (0, full.intermediate)
    flat = tuple(tuple((part, part) for part in row) for row in ((0.0, 5e-4), (5e-4, 1e-3)))
    whole = len(shape.layers) * 1e-3
    return LatencyTable(
        engine="onnxruntime",
        version="1",
        device="a round machine",
        threads=1,
        shape=shape,
        activation="gelu",
        heads=heads,
        widths=widths,
        lengths=(1, longest),
        least=(0.0, 0.0),
        middle=flat,
        last=flat,
        overhead=CallOverhead(1e-4, 0.0),
        pads=False,
        noise=(1.0,) * 100,
        whole_float=(4 * whole, 4 * whole),
        whole_small=(whole, whole),
    )
