"""Reading an engine's own list of layers, in the forms of TensorRT 10 and 11."""

from __future__ import annotations

import json

import pytest

from edgeroberta.runtime.tensorrt.layer_info import Inspection, fell_back_by_size, read


def tensor(kind: str, *, eleven: bool = True) -> dict[str, object]:
    if eleven:
        return {"Name": "x", "Dimensions": [-1, 8], "Datatype": kind, "Format": "(Linear) Row major"}
    return {"Name": "x", "Dimensions": [1, 8], "Format/Datatype": f"Row major {kind} format"}


def layer(name: str, kind: str, *types: str, kernel: str = "", eleven: bool = True) -> dict[str, object]:
    inputs = [tensor(each, eleven=eleven) for each in types]
    return {"Name": name, "LayerType": kind, "Inputs": inputs, "TacticName": kernel}


# As tensorrt_rtx 1.7 lists the doctor's graph: look-up and quantize are kernels of their own, then a gemm.
LOOKUP = layer("__myl_CastReshCastGathCastMulMulSum_myl0_1", "kgen", "Int64", "Int64")
QUANTIZE = layer(
    "__myl_MulMinMaxRounCast_myl0_2", "kgen", "Float", kernel="__myl_MulMin_0xfc81282df81d976a94f6"
)
INT8 = layer("node_of_logits_myl0_3", "gemm", "Int8", kernel="__myelin_CASK_STUB")
HALF = layer("__myl_FcCast_myl0_2", "runtime_fusion", "Half")
DEQUANTIZE = layer("__myl_Dequ_myl0_4", "kgen", "Int8")


def inspect(*layers: object) -> Inspection:
    return read(json.dumps({"Layers": layers, "I/O Tensors": []}))


def test_int8_matmuls_are_counted_among_all_matmuls():
    assert inspect(LOOKUP, QUANTIZE, INT8, HALF) == Inspection(4, 2, 1)
    assert inspect(LOOKUP, QUANTIZE, INT8, HALF).computes_int8 is True


def test_quantizing_and_dequantizing_around_a_float_matmul_is_a_fall_back():
    assert inspect(LOOKUP, QUANTIZE, DEQUANTIZE, HALF).computes_int8 is False


def test_a_dequantize_layer_is_no_int8_matmul_although_its_node_belongs_to_an_attention():
    before = layer("layer.0.attention.output.dequantize", "Reformat", "Int8", eleven=False)
    after = layer("layer.0.attention.output.matmul", "MatrixMultiply", "FP16", eleven=False)
    assert inspect(before, after) == Inspection(2, 1, 0)


def test_version_10_s_form_and_its_kernels_are_understood():
    old = layer("MatMul_7", "gemm", "Int8", eleven=False)
    assert inspect(old).computes_int8 is True
    kernel = layer("MatMul_7", "gemm", "FP16", kernel="sm80_xmma_gemm_i8f16_i8i32_f32_tn", eleven=False)
    assert inspect(kernel).computes_int8 is True
    half = layer("MatMul_7", "gemm", "FP16", kernel="sm80_xmma_gemm_f16f16_f16f16", eleven=False)
    assert inspect(half).computes_int8 is False
    attention = layer("_gemm_mha_v2_myl0_9", "kgen", "Int8")
    assert inspect(attention).int8 == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"Layers": ["a", "b"]}', '{"Layers": []}'])
def test_an_engine_that_does_not_tell_is_not_judged(text):
    assert read(text).computes_int8 is None


def test_an_engine_as_large_as_the_fp16_one_fell_back():
    # Half of the fp16 graph is embeddings that stay as they are, so int8 saves a quarter of it.
    assert fell_back_by_size(100, 100, 75, 100)
    assert not fell_back_by_size(76, 100, 75, 100)


def test_layers_of_further_profiles_are_told_apart():
    second = layer("layer.0.ffn.in.matmul [profile 1]_U117_myl1_9", "gemm", "Int8")
    assert inspect(INT8).profiles == 1
    assert inspect(INT8, second) == Inspection(2, 2, 2, profiles=2)
