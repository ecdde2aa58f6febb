"""Runs in Optimum's own environment: loads a bundle folder as Optimum's users do, prints its logits.

    python optimum_logits.py BUNDLE onnxruntime|openvino < request.json

The request is ``{"texts": [...], "max_length": n}``, of texts or pairs; the answer has the logits of every
text alone, of all texts as one padded batch, and of every text at one fixed shape.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def load(bundle: str, engine: str) -> Any:
    """Open the bundle with no argument that points at a file: the names must be those Optimum expects."""
    if engine == "onnxruntime":
        from optimum.onnxruntime import ORTModelForSequenceClassification

        return ORTModelForSequenceClassification.from_pretrained(bundle, provider="CPUExecutionProvider")
    from optimum.intel import OVModelForSequenceClassification

    # Without the hint, OpenVINO computes the float part in bfloat16 on CPUs with AMX.
    return OVModelForSequenceClassification.from_pretrained(
        bundle, device="CPU", ov_config={"INFERENCE_PRECISION_HINT": "f32"}
    )


def main() -> None:
    """Answer one request."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Optimum and the engines print
    from transformers import AutoTokenizer

    request = json.load(sys.stdin)
    model = load(sys.argv[1], sys.argv[2])
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])

    def logits(texts: list[Any], padding: str) -> list[list[float]]:
        settings = {"truncation": True, "max_length": request["max_length"], "return_tensors": "pt"}
        columns = (
            [texts] if isinstance(texts[0], str) else [list(column) for column in zip(*texts, strict=True)]
        )
        inputs = tokenizer(*columns, padding=padding, **settings)
        return model(**inputs).logits.tolist()

    answer = {
        "alone": [logits([text], "longest")[0] for text in request["texts"]],
        "batch": logits(request["texts"], "longest"),
        "labels": [model.config.id2label[number] for number in range(model.config.num_labels)],
    }
    if sys.argv[2] == "openvino":
        model.reshape(1, request["max_length"])
        model.compile()
    answer["fixed"] = [logits([text], "max_length")[0] for text in request["texts"]]
    answers.write(json.dumps(answer))
    answers.flush()


if __name__ == "__main__":
    main()
