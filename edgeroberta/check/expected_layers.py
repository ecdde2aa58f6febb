"""Holds an engine's layers to what its graph asks for, and names the nodes that differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgeroberta.check.expectation import ExpectedOp
from edgeroberta.errors import EngineError


@dataclass(frozen=True)
class NodeFinding:
    """What became of a matmul or an attention."""

    expected: ExpectedOp  # what the graph asks for
    problem: str | None  # what is wrong; None when it is as asked for


def compare(
    expected: Sequence[ExpectedOp], layers: Sequence[EngineLayer], count: int
) -> tuple[NodeFinding, ...]:
    """Compare every profile of an engine with its graph.

    Every attention is to be fused, in int8 or half precision as the graph says; of the matmuls only those in
    int8 can fall short, since float ones need no layer of their own. Returns one finding each; the problem is
    that of the first profile that has one. Raises EngineError: a profile has none of the layers that are
    looked for, so nothing can be said of it.
    """
    found: dict[ExpectedOp, str | None] = dict.fromkeys(expected)
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
    return tuple(NodeFinding(item, found[item]) for item in expected)


def _require_known(expected: Sequence[ExpectedOp], layers: Sequence[EngineLayer], profile: int) -> None:
    nodes = {item.node for item in expected}
    if expected and not any(layer.attention or layer.node in nodes for layer in layers):
        raise EngineError(
            f"this version's build log could not be read: it lists {len(layers)} layers of profile "
            f"{profile}, none of them a matmul or an attention of the graph",
            hint="install the version that is known: pip install 'edgeroberta[trt-check]'",
        )


def _places(expected: Sequence[ExpectedOp], layers: Sequence[EngineLayer]) -> dict[int, int]:
    """Return, for matmuls that are layers of their own, number in the graph to place in the engine."""
    at = {layer.node: place for place, layer in enumerate(layers)}
    return {index: at[item.node] for index, item in enumerate(expected) if item.node in at}


def _matmul(item: ExpectedOp, layers: Sequence[EngineLayer]) -> str | None:
    own = [layer for layer in layers if layer.node == item.node]
    if not own:
        return "the engine has no int8 matmul for it"
    wrong = next((layer for layer in own if not layer.int8), None)
    return None if wrong is None else f"the engine multiplies {', '.join(wrong.inputs) or 'nothing'}"


def _attention(
    item: ExpectedOp, expected: Sequence[ExpectedOp], layers: Sequence[EngineLayer], places: dict[int, int]
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


#: The header of the list that a build with detailed profiling verbosity ends with.
_HEADER = "Layers:\n"
_LAYER = re.compile(
    r"^Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*), Inputs: \[(?P<inputs>.*?)\], Constants: ",
    re.MULTILINE,
)
_TYPE = re.compile(r"Datatype: (\w+)")
#: ``layer.0.ffn.in.matmul [profile 1]_U117_myl1_9``: the node, then numbers of the compiler's own.
_NAME = re.compile(r"^(?P<node>.*?)(?: \[profile \d+\])?(?:_U\d+)?_myl(?P<profile>\d+)_\d+$")
#: What TensorRT calls the kernel that holds a whole attention (TensorRT-RTX 1.7.1).
_ATTENTION = "_gemm_mha"


@dataclass(frozen=True)
class EngineLayer:
    """One layer of an engine."""

    node: str  # name of the graph's node where it has one, else the compiler's own
    kind: str  # E.g. ``gemm`` or ``kgen``.
    profile: int  # number of the optimization profile it belongs to
    inputs: tuple[str, ...]  # data types of its inputs that are no constants, e.g. ``Int8``.

    @property
    def attention(self) -> bool:
        """True for a fused attention."""
        return self.node.startswith(_ATTENTION)

    @property
    def int8(self) -> bool:
        """True when it multiplies integers; of a fused attention, query, key and value must be."""
        if self.attention:
            return self.inputs.count("Int8") >= 3
        return bool(self.inputs) and set(self.inputs) == {"Int8"}

    @property
    def half(self) -> bool:
        """True when it multiplies numbers of half precision."""
        return bool(self.inputs) and set(self.inputs) <= {"Half", "BFloat16"}


def read(messages: Iterable[str]) -> tuple[EngineLayer, ...]:
    """Read the layers, in the order they run in, of the last engine that a log lists."""
    lists = [text for text in messages if text.startswith(_HEADER)]
    return parse(lists[-1]) if lists else ()


def parse(text: str) -> tuple[EngineLayer, ...]:
    """Read the list of layers itself."""
    found = []
    for match in _LAYER.finditer(text):
        name = _NAME.match(match["name"])
        if name is None:
            continue
        types = tuple(_TYPE.findall(match["inputs"]))
        found.append(EngineLayer(name["node"], match["kind"], int(name["profile"]), types))
    return tuple(found)


def profiles(layers: Sequence[EngineLayer]) -> tuple[int, ...]:
    """Return the numbers of the profiles that have layers."""
    return tuple(sorted({layer.profile for layer in layers}))
