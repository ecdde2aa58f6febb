"""Latency tables of an engine that never was, from a formula."""

from __future__ import annotations

from edgeroberta.latency.table import CallOverhead, LatencyTable
from edgeroberta.roberta.shape import EncoderShape


def table(
    shape: EncoderShape,
    *,
    head: float = 5.0,
    neuron: float = 0.1,
    call: float = 20.0,
    engine: str = "onnxruntime",
    lengths: tuple[int, ...] = (4, 64),
    pads: bool = False,
) -> LatencyTable:
    """Return a table in which a layer takes ``length * (head * heads + neuron * neurons)`` microseconds.

    The last layer takes a tenth of that, and every call ``call`` microseconds beside the layers.
    """
    full = shape.layers[0]
    heads, widths = (1, full.heads), (1, full.intermediate)

    def cells(part: float) -> tuple[tuple[tuple[float, ...], ...], ...]:
        return tuple(
            tuple(tuple(part * 1e-6 * n * (head * h + neuron * w) for n in lengths) for w in widths)
            for h in heads
        )

    whole = tuple(
        1e-6 * (call + n * len(shape.layers) * (head * heads[-1] + neuron * widths[-1])) for n in lengths
    )
    return LatencyTable(
        engine=engine, version="1.0", device="a board", threads=1, shape=shape, activation="gelu",
        heads=heads, widths=widths, lengths=lengths, least=(1e-6 * call,) * len(lengths), middle=cells(1),
        last=cells(0.1), overhead=CallOverhead(0.0, 0.0), pads=pads, noise=(1.0,) * 100, whole_float=whole,
        whole_small=whole,
    )  # fmt: skip


def round_table(shape: EncoderShape, longest: int = 64) -> LatencyTable:
    """Return a table on which a full layer takes 1 ms, and the baseline in float 4 times its int8.

    Half of a layer's time is its heads' and half its neurons'; a call's own is 0.1 ms, whatever the length.
    """
    full = shape.layers[0]
    heads, widths = (0, full.heads), (0, full.intermediate)
    flat = tuple(tuple((part, part) for part in row) for row in ((0.0, 5e-4), (5e-4, 1e-3)))
    whole = len(shape.layers) * 1e-3
    return LatencyTable(
        engine="onnxruntime", version="1", device="round", threads=1, shape=shape, activation="gelu",
        heads=heads, widths=widths, lengths=(1, longest), least=(0.0, 0.0), middle=flat, last=flat,
        overhead=CallOverhead(1e-4, 0.0), pads=False, noise=(1.0,) * 100, whole_float=(4 * whole, 4 * whole),
        whole_small=(whole, whole),
    )  # fmt: skip
