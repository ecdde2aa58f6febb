"""Tells from an engine's own layer list whether it computes in int8, or fell back to float.

Strong typing should not allow a silent fall-back, but a pattern that does not fuse runs as dequantize,
float matmul, quantize, which is slower than fp16 and reads like success.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.runtime.tensorrt.loaded import DeserializedEngine

# "Format/Datatype" in TensorRT 10 ("Row major Int8 format"), a field of its own since 11.
_TYPE_FIELDS = ("Format/Datatype", "Datatype", "DataType")
# How kernels are called: sm80_xmma_gemm_i8i8_i32_…, ampere_int8_…, …imma….
_INT8_KERNEL = re.compile(r"int8|i8i8|i8f16|i8i32|imma", re.IGNORECASE)
# Layers that multiply matrices, by type ("gemm", "MatrixMultiply") or by name ("_gemm_mha_v2_…",
# "__myl_FcMul_…", "layer.0.attention.qkv.matmul"). "attention" counts as a type alone: our graphs have it in
# the names of quantize and dequantize nodes, too, and those read int8 before a matmul that fell back.
_TYPES = re.compile(r"gemm|mat(rix_?)?mul|mha|attention|convolution", re.IGNORECASE)
# Layers of further profiles say so: "layer.0.ffn.in.matmul [profile 1]_U117_myl1_9".
_PROFILE = re.compile(r"\[profile (\d+)\]")
_NAMES = re.compile(r"gemm|matmul|mha|convolution|_Fc")


@dataclass(frozen=True)
class Inspection:
    """What an engine says of its layers."""

    layers: int  # how many there are
    matmuls: int  # how many of them are known to multiply matrices and name their data types
    int8: int  # how many of those multiply int8
    profiles: int = 1  # optimization profiles whose layers are listed, each with all of the network's

    @property
    def computes_int8(self) -> bool | None:
        """True or False where the layers tell, None where they do not."""
        return self.int8 > 0 if self.matmuls else None


def inspect(loaded: DeserializedEngine) -> Inspection:
    """Ask an engine, built with detailed profiling verbosity, for its layers."""
    trt = loaded.library.module
    inspector = loaded.engine.create_engine_inspector()
    return read(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def read(text: str) -> Inspection:
    """Count layers in the engine inspector's JSON (TensorRT 10 and 11); all 0 where it is not that."""
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        return Inspection(0, 0, 0)
    matmuls = [
        layer
        for layer in layers
        if isinstance(layer, Mapping) and _multiplies(layer) and any(_types(layer.get("Inputs")))
    ]
    profiles = 1 + max((int(each) for each in _PROFILE.findall(text)), default=0)
    return Inspection(len(layers), len(matmuls), sum(1 for layer in matmuls if _in_int8(layer)), profiles)


def _types(tensors: Any) -> Iterator[str]:
    for tensor in tensors or ():
        if isinstance(tensor, Mapping):
            yield from (str(tensor[name]) for name in _TYPE_FIELDS if name in tensor)


def _multiplies(layer: Mapping[str, Any]) -> bool:
    kind, name = str(layer.get("LayerType")), str(layer.get("Name"))
    return bool(_TYPES.search(kind) or _NAMES.search(name))


def _in_int8(layer: Mapping[str, Any]) -> bool:
    # A matmul that fell back reads float: the dequantize layer before it has turned int8 into that.
    reads = any("int8" in text.lower() for text in _types(layer.get("Inputs")))
    return reads or bool(_INT8_KERNEL.search(str(layer.get("TacticName") or "")))


def fell_back_by_size(int8_plan: int, fp16_plan: int, int8_graph: int, fp16_graph: int) -> bool:
    """Judge by size whether an int8 engine holds its weights as float.

    Its graph is smaller than the fp16 one by what int8 saves. An engine that kept that is smaller by as much;
    one that went back to float is as large as the fp16 engine. The line is half-way. ``int8_plan``: bytes of
    the int8 engine. ``fp16_plan``: bytes of the fp16 engine of the same model and profiles. ``fp16_graph``:
    bytes of the graph the second was built from.
    """
    return int8_plan / fp16_plan > (1 + int8_graph / fp16_graph) / 2
