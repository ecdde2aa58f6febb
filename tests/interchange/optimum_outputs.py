"""Runs in an environment of Optimum's: opens bundles as its users do, and tells what the models give.

    python optimum_outputs.py onnxruntime|openvino < request.json

The request is a list of ``{"bundle": folder, "class": "SequenceClassification", "inputs": [text or pair, …],
"max_length": n}``. The answer has for each the names of the labels, and the ids and outputs of every input
alone, in one padded batch and at one fixed shape; or ``error``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

OUTPUTS = {
    "QuestionAnswering": ("start_logits", "end_logits"),
    "FeatureExtraction": ("last_hidden_state",),
}


def load(bundle: str, engine: str, name: str) -> Any:
    """Open the bundle with no argument that points at a file: the names must be those Optimum expects."""
    if engine == "onnxruntime":
        from optimum import onnxruntime

        return getattr(onnxruntime, f"ORTModelFor{name}").from_pretrained(
            bundle, provider="CPUExecutionProvider"
        )
    from optimum import intel

    # Without the hint, OpenVINO computes the float part in bfloat16 on CPUs with AMX.
    return getattr(intel, f"OVModelFor{name}").from_pretrained(
        bundle, device="CPU", ov_config={"INFERENCE_PRECISION_HINT": "f32"}
    )


def answer(job: dict[str, Any], engine: str) -> dict[str, Any]:
    """Open one bundle, and ask it."""
    import torch
    from transformers import AutoTokenizer

    model, name, inputs = load(job["bundle"], engine, job["class"]), job["class"], job["inputs"]
    tokenizer = AutoTokenizer.from_pretrained(job["bundle"])

    def outputs(asked: list[Any], padding: str) -> list[Any]:
        columns = [asked] if isinstance(asked[0], str) else [list(each) for each in zip(*asked, strict=True)]
        tokens = tokenizer(
            *columns, padding=padding, truncation=True, max_length=job["max_length"], return_tensors="pt"
        )
        given = model(**tokens)
        found = [getattr(given, each) for each in OUTPUTS.get(name, ("logits",))]
        values = found[0] if len(found) == 1 else torch.stack(found, dim=-1)
        if name == "SequenceClassification":
            return values.tolist()
        kept = tokens["attention_mask"].bool()
        if name == "MaskedLM":
            kept = tokens["input_ids"] == tokenizer.mask_token_id
        return [row[there].tolist() for row, there in zip(values, kept, strict=True)]

    def ids(item: Any) -> list[int]:
        pair = [item] if isinstance(item, str) else item
        return tokenizer(*pair, truncation=True, max_length=job["max_length"])["input_ids"]

    found: dict[str, Any] = {
        "labels": [model.config.id2label[number] for number in range(model.config.num_labels)],
        "ids": [ids(each) for each in inputs],
        "alone": [outputs([each], "longest")[0] for each in inputs],
        "batch": outputs(inputs, "longest"),
    }
    if engine == "openvino":
        model.reshape(1, job["max_length"])
        model.compile()
    found["fixed"] = [outputs([each], "max_length")[0] for each in inputs]
    return found


def main() -> None:
    """Answer a request."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Optimum and the engines print
    found = []
    for job in json.load(sys.stdin):
        try:
            found.append(answer(job, sys.argv[1]))
        except Exception:
            found.append({"error": traceback.format_exc()})
    answers.write(json.dumps(found))
    answers.flush()


if __name__ == "__main__":
    main()
