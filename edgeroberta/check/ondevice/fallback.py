"""Finds int8 engines that compute in float after all: by their layers, or else by their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeroberta.check.ondevice.engines import Candidate
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.runtime.session import ENGINES
from edgeroberta.runtime.tensorrt.inspection import Inspection, fell_back_by_size


def without_fallbacks(facts: Manifest, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Refuse int8 engines that fell back to float; warn where that cannot be known."""
    sizes = {each.precision: _sizes(facts, each) for each in candidates if each.facts}
    return [
        _weighed(each, sizes) if each.precision == "int8" and each.layers is not None else each
        for each in candidates
    ]


def _weighed(candidate: Candidate, sizes: dict[str, tuple[int, int]]) -> Candidate:
    seen = Inspection(candidate.layers or 0, candidate.matmuls or 0, candidate.int8 or 0)
    if seen.computes_int8:
        return _counted(candidate)
    if seen.computes_int8 is False:
        return candidate.refuse(
            f"it fell back to float: none of its {seen.matmuls} matmul layers computes in int8"
        )
    if "fp16" not in sizes:
        return replace(candidate, warning="its layers do not tell whether it computes in int8")
    (int8_plan, int8_graph), (fp16_plan, fp16_graph) = sizes["int8"], sizes["fp16"]
    if fell_back_by_size(int8_plan, fp16_plan, int8_graph, fp16_graph):
        return candidate.refuse(
            f"it fell back to float, by its size: {int8_plan} bytes where the fp16 engine has {fp16_plan}"
        )
    return replace(candidate, warning="int8 by its size; its layers do not tell")


def _counted(candidate: Candidate) -> Candidate:
    """Warn of an engine that computes less in int8 than its graph asks for."""
    if candidate.planned is None or (candidate.int8 or 0) >= candidate.planned:
        return candidate
    return replace(
        candidate,
        warning=f"it fell back to float in part: {candidate.int8} of {candidate.planned} matmuls and "
        "attentions compute in int8, by its layers",
    )


def _sizes(facts: Manifest, candidate: Candidate) -> tuple[int, int]:
    """Return the bytes of the engine, and of the graph with the weights in the file beside it."""
    files = ENGINES[candidate.engine].files
    names = [*files, *(f"{name}_data" for name in files)]
    graph = sum(facts.files[name].bytes for name in names if name in facts.files)
    return int(candidate.facts["engine_bytes"]), graph
