"""Names of the files in a bundle, and in every folder that a tokenizer or a graph is read from."""

from __future__ import annotations

MANIFEST = "manifest.json"
GOLDENS = "goldens.json"
README = "README.md"
REPORT = "reports/report.json"

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"

#: The graph of ONNX Runtime, which every folder that holds graphs has, and the other engines' forms of it.
GRAPH = "model.onnx"
HALF_GRAPH = "model_fp16.onnx"
TENSORRT_GRAPH = "tensorrt.onnx"
OPENVINO_GRAPH, OPENVINO_WEIGHTS = "openvino_model.xml", "openvino_model.bin"
