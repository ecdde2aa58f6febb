"""Reads the layers of an engine from TensorRT's verbose log; reading them from the engine needs a GPU."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
class Layer:
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


def read(messages: Iterable[str]) -> tuple[Layer, ...]:
    """Read the layers, in the order they run in, of the last engine that a log lists."""
    lists = [text for text in messages if text.startswith(_HEADER)]
    return parse(lists[-1]) if lists else ()


def parse(text: str) -> tuple[Layer, ...]:
    """Read the list of layers itself."""
    found = []
    for match in _LAYER.finditer(text):
        name = _NAME.match(match["name"])
        if name is None:
            continue
        types = tuple(_TYPE.findall(match["inputs"]))
        found.append(Layer(name["node"], match["kind"], int(name["profile"]), types))
    return tuple(found)


def profiles(layers: Sequence[Layer]) -> tuple[int, ...]:
    """Return the numbers of the profiles that have layers."""
    return tuple(sorted({layer.profile for layer in layers}))
