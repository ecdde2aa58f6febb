"""Runs in Optimum's own environment, with transformers 4.57: answers questions as that version's users do.

    python optimum_questions.py CHECKPOINT < request.json
    python optimum_questions.py BUNDLE onnxruntime|openvino < request.json

The request is ``{"items": [[question, context], …], "max_length": n, "stride": n, "ways": [{…}, …]}``; the
answer has what the pipeline says of every item, in each of the ways, and of a bundle the logits of the items
that fit, as one padded batch.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def load(folder: str, engine: str | None) -> Any:
    """Open a checkpoint with transformers, or a bundle with no argument that points at a file."""
    if engine is None:
        from transformers import AutoModelForQuestionAnswering

        return AutoModelForQuestionAnswering.from_pretrained(folder)
    if engine == "onnxruntime":
        from optimum.onnxruntime import ORTModelForQuestionAnswering

        return ORTModelForQuestionAnswering.from_pretrained(folder, provider="CPUExecutionProvider")
    from optimum.intel import OVModelForQuestionAnswering

    # Without the hint, OpenVINO computes the float part in bfloat16 on CPUs with AMX.
    return OVModelForQuestionAnswering.from_pretrained(
        folder, device="CPU", ov_config={"INFERENCE_PRECISION_HINT": "f32"}
    )


def main() -> None:
    """Answer one request."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Optimum and the engines print
    from transformers import AutoTokenizer, pipeline

    request = json.load(sys.stdin)
    items, limit = request["items"], request["max_length"]
    model = load(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    answer = pipeline("question-answering", model=model, tokenizer=tokenizer)

    def said(question: str, context: str, way: dict[str, Any]) -> list[dict[str, Any]]:
        found = answer(
            question=question,
            context=context,
            max_seq_len=limit,
            doc_stride=request["stride"],
            **way,
        )
        return [
            {**each, "score": float(each["score"])}
            for each in (found if isinstance(found, list) else [found])
        ]

    found: dict[str, Any] = {"said": [[said(*item, way) for item in items] for way in request["ways"]]}
    questions, contexts = ([item[side] for item in items] for side in (0, 1))
    inputs = tokenizer(
        questions, contexts, padding=True, truncation="only_second", max_length=limit, return_tensors="pt"
    )
    outputs = model(**inputs)
    found["lengths"] = inputs["attention_mask"].sum(1).tolist()
    found["start"], found["end"] = outputs["start_logits"].tolist(), outputs["end_logits"].tolist()
    answers.write(json.dumps(found))
    answers.flush()


if __name__ == "__main__":
    main()
