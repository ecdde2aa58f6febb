"""Names of the files that folders with a model, a graph or a bundle have in common.

A file of one kind of folder alone is named in the module that reads it.
"""

from __future__ import annotations

README = "README.md"
RECIPE = "recipe.yaml"
#: Of what the stage ``verify`` makes, and where a bundle has it.
REPORT = "report.json"
REPORTS = "reports/"
#: Where a bundle has what the baseline answered to the rows that it was measured on.
REFERENCE_FOLDER = "reports/reference"
#: What a card calls the folder that it lies in.
CARD_FOLDER = "path/to/this/folder"

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
#: What sentence-transformers keeps of its modules, and of prompts.
MODULES_FILE = "modules.json"
PROMPTS_FILE = "config_sentence_transformers.json"

#: The graph with a float32 body, which every folder with graphs has; ONNX Runtime runs it, and OpenVINO where
#: it has no file of its own.
GRAPH = "model.onnx"
#: The same in ONNX Runtime's own format, and the operators that a build of it needs to run that.
ORT_FORMAT, OPERATORS = "model.ort", "required_operators.config"
#: Other engines' files in a bundle.
FP16_GRAPH = "model_fp16.onnx"
TENSORRT_GRAPH = "tensorrt.onnx"
OPENVINO = ("openvino_model.xml", "openvino_model.bin")
