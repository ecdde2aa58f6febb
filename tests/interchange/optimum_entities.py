"""Runs in Optimum's own environment: loads a bundle that labels tokens as Optimum's users do.

    python optimum_entities.py BUNDLE onnxruntime|openvino < request.json

The request is ``{"texts": [...], "max_length": n, "strategies": [...]}``; the answer has the logits of every
text alone, of all texts as one padded batch and of every text at one fixed shape, and the entities of
transformers' pipeline by its aggregation strategy.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def load(bundle: str, engine: str) -> Any:
    """Open the bundle with no argument that points at a file: the names must be those Optimum expects."""
    if engine == "onnxruntime":
        from optimum.onnxruntime import ORTModelForTokenClassification

        return ORTModelForTokenClassification.from_pretrained(bundle, provider="CPUExecutionProvider")
    from optimum.intel import OVModelForTokenClassification

    # Without the hint, OpenVINO computes the float part in bfloat16 on CPUs with AMX.
    return OVModelForTokenClassification.from_pretrained(
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

    def logits(texts: list[str], padding: str) -> list[list[list[float]]]:
        inputs = tokenizer(texts, padding=padding, truncation=True, max_length=limit, return_tensors="pt")
        kept = inputs["attention_mask"].sum(1).tolist()
        found = model(**inputs).logits
        return [each[:length].tolist() for each, length in zip(found, kept, strict=True)]

    def entities(strategy: str) -> list[list[tuple[Any, ...]]]:
        read = pipeline(
            "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=strategy
        )
        return [
            [(each["entity_group"], each["start"], each["end"], float(each["score"])) for each in read(text)]
            for text in texts
        ]

    answer = {
        "alone": [logits([text], "longest")[0] for text in texts],
        "batch": logits(texts, "longest"),
        "labels": [model.config.id2label[number] for number in range(model.config.num_labels)],
        "entities": {strategy: entities(strategy) for strategy in request["strategies"]},
    }
    if sys.argv[2] == "openvino":
        model.reshape(1, limit)
        model.compile()
    answer["fixed"] = [logits([text], "max_length")[0] for text in texts]
    answers.write(json.dumps(answer))
    answers.flush()


if __name__ == "__main__":
    main()
