"""Runs in an environment of Optimum's: exports checkpoints as ``optimum-cli export onnx|openvino`` does.

    python optimum_exports.py onnx|openvino < request.json

The request is a list of ``{"model": folder, "task": name, "output": folder, "quantize": false}``. With
``quantize`` an int8 graph is written beside the other, in the way of Optimum's documentation, and both are
saved by ``ORTModelFor….save_pretrained``.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def export(job: dict[str, Any]) -> None:
    """Do what the command does."""
    if sys.argv[1] == "onnx":
        from optimum.exporters.onnx import main_export
    else:
        from optimum.exporters.openvino import main_export
    main_export(job["model"], output=job["output"], task=job["task"])


def quantize(job: dict[str, Any]) -> None:
    """Save by class, and quantize with the settings that the documentation shows."""
    from optimum.onnxruntime import ORTModelForSequenceClassification, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig
    from transformers import AutoTokenizer

    model = ORTModelForSequenceClassification.from_pretrained(job["model"], export=True)
    model.save_pretrained(job["output"])
    AutoTokenizer.from_pretrained(job["model"]).save_pretrained(job["output"])
    settings = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=False)
    ORTQuantizer.from_pretrained(job["output"]).quantize(save_dir=job["output"], quantization_config=settings)


if __name__ == "__main__":
    for each in json.load(sys.stdin):
        (quantize if each["quantize"] else export)(each)
