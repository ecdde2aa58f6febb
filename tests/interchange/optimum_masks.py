"""Runs in Optimum's own environment: loads a bundle that fills masks as Optimum's users do.

    python optimum_masks.py BUNDLE onnxruntime|openvino < request.json

The request is ``{"texts": [...], "max_length": n}``; the answer has the logits at the masks of every text
alone and of all texts as one padded batch, and what transformers' pipeline fills in.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def load(bundle: str, engine: str) -> Any:
    """Open the bundle with no argument that points at a file: the names must be those Optimum expects."""
    if engine == "onnxruntime":
        from optimum.onnxruntime import ORTModelForMaskedLM

        return ORTModelForMaskedLM.from_pretrained(bundle, provider="CPUExecutionProvider")
    from optimum.intel import OVModelForMaskedLM

    # Without the hint, OpenVINO computes the float part in bfloat16 on CPUs with AMX.
    return OVModelForMaskedLM.from_pretrained(
        bundle, device="CPU", ov_config={"INFERENCE_PRECISION_HINT": "f32"}
    )


def main() -> None:
    """Answer one request."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Optimum and the engines print
    from transformers import AutoTokenizer, pipeline

    request = json.load(sys.stdin)
    texts, limit = request["texts"], request["max_length"]
    model = load(sys.argv[1], sys.argv[2])
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], model_max_length=limit)

    def logits(texts: list[str]) -> list[list[float]]:
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        found = model(**inputs).logits
        return found[inputs["input_ids"] == tokenizer.mask_token_id].tolist()

    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    filled = [fill(text) for text in texts]
    answer = {
        "alone": [row for text in texts for row in logits([text])],
        "batch": logits(texts),
        "filled": [each if isinstance(each[0], list) else [each] for each in filled],
    }
    answers.write(json.dumps(answer))
    answers.flush()


if __name__ == "__main__":
    main()
