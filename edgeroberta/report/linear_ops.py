"""What the quantizer chose for each matmul, and the error that it brings, layer by layer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeroberta.figures import ABSENT
from edgeroberta.report.figure import Cell, Figure, Grid
from edgeroberta.report.section import Section
from edgeroberta.report.table import Table

Found = Mapping[str, Any]
_NAMES = ("tier", "linear_op", "choice", "error", "minmax_error", "reason")
_WORDS = ("tier", "linear_op", "choice", "reason")
#: A layer and its number, and what it is of it.
_LAYER = re.compile(r"(.*?\d+)\.(.+)", re.DOTALL)


def sections(found: Sequence[Found]) -> Iterator[Section]:
    """Lay the choices out; nothing where nothing was quantized."""
    if not found:
        return
    known = [name for name in _NAMES if name in found[0]]
    table = Table.of(
        (name.replace("_", " ") for name in known),
        ([_told(linear_op.get(name)) for name in known] for linear_op in found),
        words=[number for number, name in enumerate(known) if name in _WORDS],
    )
    sentence = "What the quantizer chose for each matmul, by the error it measured on the user's own text."
    yield Section("Quantization, matmul by matmul", (sentence,), table, tuple(_figures(found)))


def _figures(found: Sequence[Found]) -> Iterator[Figure]:
    errors = [each["error"] for each in found if each.get("error")]
    if not errors:
        return
    tiers = list(dict.fromkeys(each.get("tier") for each in found))
    grids = tuple(
        _grid(tier, [each for each in found if each.get("tier") == tier], min(errors), max(errors))
        for tier in tiers
    )
    yield Figure(
        "Error of each matmul's output as a part of the output's energy: the stronger the colour, the "
        "larger, on a logarithmic scale. What stayed in float has none.",
        (),
        grids,
    )


def _grid(tier: str | None, found: Sequence[Found], low: float, high: float) -> Grid:
    places = [(*_place(str(each["linear_op"])), each) for each in found]
    columns = list(dict.fromkeys(part for _, part, _ in places))
    rows: dict[str, dict[str, Found]] = {}
    for layer, part, each in places:
        rows.setdefault(layer, {})[part] = each
    span = math.log(high / low) or 1.0

    def cell(each: Found | None) -> Cell:
        if each is None:
            return Cell("")
        error = each.get("error") or 0.0
        if error <= 0:
            return Cell("float" if str(each.get("choice")).startswith("float") else "0", shade=0)
        return Cell(f"{error:.1e}", shade=1 + round(8 * math.log(error / low) / span))

    return Grid(
        f"Error, {tier}" if tier else "Error",
        "",
        tuple(columns),
        tuple((layer, tuple(cell(ops.get(part)) for part in columns)) for layer, ops in rows.items()),
    )


def _place(name: str) -> tuple[str, str]:
    """Tell the layer from what it is of it."""
    if told := _LAYER.fullmatch(name):
        return told[1], told[2]
    layer, _, part = name.rpartition(".")
    return layer or name, part if layer else ""


def _told(value: Any) -> str:
    return ABSENT if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
