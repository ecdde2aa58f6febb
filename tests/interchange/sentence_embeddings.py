"""Runs in sentence-transformers' own environment: opens a bundle's folder as its users do.

    python sentence_embeddings.py FOLDER torch|onnx|openvino < request.json

The request is ``{"texts": [...], "pairs": [[...], ...]}``; the answer has the embeddings of every text alone,
of all texts as one padded batch and by Optimum's class where there is a graph, how alike the pairs are, and
what the folder says of length and prompts.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def optimum(folder: str, backend: str, texts: list[str], limit: int) -> list[Any] | None:
    """Return the states that Optimum's class gives for each text alone."""
    if backend == "torch":
        return None
    from transformers import AutoTokenizer

    if backend == "onnx":
        from optimum.onnxruntime import ORTModelForFeatureExtraction

        model = ORTModelForFeatureExtraction.from_pretrained(folder, provider="CPUExecutionProvider")
    else:
        from optimum.intel import OVModelForFeatureExtraction

        model = OVModelForFeatureExtraction.from_pretrained(
            folder, device="CPU", ov_config={"INFERENCE_PRECISION_HINT": "f32"}
        )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for text in texts:
        inputs = tokenizer([text], truncation=True, max_length=limit, return_tensors="pt")
        found.append(model(**inputs).last_hidden_state[0].tolist())
    return found


def main() -> None:
    """Answer one request."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the packages and the engines print
    from sentence_transformers import SentenceTransformer

    folder, backend = sys.argv[1:]
    request = json.load(sys.stdin)
    options: dict[str, Any] = {}
    if backend == "onnx":
        options["model_kwargs"] = {"provider": "CPUExecutionProvider"}
    if backend == "openvino":
        # Without the hint, OpenVINO computes the float part in bfloat16 on CPUs with AMX.
        options["model_kwargs"] = {"ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
    model = SentenceTransformer(folder, backend=backend, device="cpu", **options)
    texts = request["texts"]
    alike = []
    for pair in request["pairs"]:
        first, second = (model.encode([text]) for text in pair)
        alike.append(float(model.similarity(first, second)[0][0]))
    answer = {
        "alone": [model.encode([text])[0].tolist() for text in texts],
        "batch": model.encode(texts, batch_size=len(texts)).tolist(),
        "bare": model.encode(texts, prompt="").tolist(),
        "states": optimum(folder, backend, texts, model.max_seq_length),
        "similarities": alike,
        "max_length": model.max_seq_length,
        "prompts": {name: text for name, text in model.prompts.items() if text},
        "default": model.default_prompt_name,
    }
    answers.write(json.dumps(answer))
    answers.flush()


if __name__ == "__main__":
    main()
