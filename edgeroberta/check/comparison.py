"""Holds an engine's layers to what its graph asks for, and names the nodes that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeroberta.check.expectation import Expected
from edgeroberta.check.layers import Layer
from edgeroberta.errors import EngineError


@dataclass(frozen=True)
class Finding:
    """What became of a matmul or an attention."""

    expected: Expected  # what the graph asks for
    problem: str | None  # what is wrong; None when it is as asked for


def compare(expected: Sequence[Expected], layers: Sequence[Layer], count: int) -> tuple[Finding, ...]:
    """Compare every profile of an engine with its graph.

    Every attention is to be fused, in int8 or half precision as the graph says; of the matmuls only those in
    int8 can fall short, since float ones need no layer of their own. Returns one finding each; the problem is
    that of the first profile that has one. Raises EngineError: a profile has none of the layers that are
    looked for, so nothing can be said of it.
    """
    found: dict[Expected, str | None] = dict.fromkeys(expected)
    for profile in range(count):
        own = [layer for layer in layers if layer.profile == profile]
        _require_known(expected, own, profile)
        places = _places(expected, own)
        for item in expected:
            problem = None
            if item.attention:
                problem = _attention(item, expected, own, places)
            elif item.int8:
                problem = _matmul(item, own)
            if problem and found[item] is None:
                found[item] = f"{problem} (profile {profile})"
    return tuple(Finding(item, found[item]) for item in expected)


def _require_known(expected: Sequence[Expected], layers: Sequence[Layer], profile: int) -> None:
    nodes = {item.node for item in expected}
    if expected and not any(layer.attention or layer.node in nodes for layer in layers):
        raise EngineError(
            f"this version's build log could not be read: it lists {len(layers)} layers of profile "
            f"{profile}, none of them a matmul or an attention of the graph",
            hint="install the version that is known: pip install 'edgeroberta[trt-check]'",
        )


def _places(expected: Sequence[Expected], layers: Sequence[Layer]) -> dict[int, int]:
    """Return, for matmuls that are layers of their own, number in the graph to place in the engine."""
    at = {layer.node: place for place, layer in enumerate(layers)}
    return {index: at[item.node] for index, item in enumerate(expected) if item.node in at}


def _matmul(item: Expected, layers: Sequence[Layer]) -> str | None:
    own = [layer for layer in layers if layer.node == item.node]
    if not own:
        return "the engine has no int8 matmul for it"
    wrong = next((layer for layer in own if not layer.int8), None)
    return None if wrong is None else f"the engine multiplies {', '.join(wrong.inputs) or 'nothing'}"


def _attention(
    item: Expected, expected: Sequence[Expected], layers: Sequence[Layer], places: dict[int, int]
) -> str | None:
    """Look for the fused attention between the matmuls around it.

    Attentions have no name in the engine. Where a matmul between two of them is no layer of its own,
    they are counted together.
    """
    index = expected.index(item)
    low, high = _between(index, places, len(layers))
    fused = [layer for layer in layers[low:high] if layer.attention]
    together = [
        each
        for number, each in enumerate(expected)
        if each.attention and _between(number, places, len(layers)) == (low, high)
    ]
    if len(fused) < len(together):
        return "the engine does not fuse it"
    integers = sum(layer.int8 for layer in fused)
    if integers == sum(each.int8 for each in together) and all(layer.int8 or layer.half for layer in fused):
        return None
    return f"the engine fuses it, but multiplies {', '.join(fused[0].inputs)}"


def _between(index: int, places: dict[int, int], end: int) -> tuple[int, int]:
    before = [place for number, place in places.items() if number < index]
    after = [place for number, place in places.items() if number > index]
    return max(before, default=0), min(after, default=end)
