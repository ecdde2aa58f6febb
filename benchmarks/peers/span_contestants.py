"""How each contestant of the comparison for questions is opened: question and context in, a span out.

Imported by :mod:`benchmarks.worker` in foreign environments: packages are imported inside functions. An
answer is ``[start, end]``, characters of the context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.peers import pipeline_parts as parts
from benchmarks.peers.contestants import bundle_mb, weights_mb
from benchmarks.peers.pipeline_parts import PipelineContestant

#: Most tokens of an answer: the pipeline's default, so that spans can be compared.
LONGEST = 15
Question = tuple[str, str]
Span = tuple[int, int]


def transformers_pipeline(model: str, threads: int) -> PipelineContestant:
    """transformers' own pipeline, fp32."""
    find = in_pipeline(*parts.torch_model("AutoModelForQuestionAnswering", model, threads))
    return PipelineContestant(parts.TRANSFORMERS, weights_mb(model, "*.safetensors"), find)


def optimum(model: str, file_name: str, threads: int) -> PipelineContestant:
    """Optimum's ORTModel in the pipeline."""
    find = in_pipeline(*parts.optimum_model("ORTModelForQuestionAnswering", model, file_name, threads))
    return PipelineContestant(parts.OPTIMUM, weights_mb(model, "*.onnx*"), find)


def edgeroberta(bundle: str, engine: str, threads: int) -> PipelineContestant:
    """This project's runtime on a bundle."""
    runtime, packages = parts.runtime(bundle, engine, threads, max_answer_tokens=LONGEST)

    def find(item: Question) -> Span:
        answer = runtime((item[0], item[1]))
        return answer.start, answer.end

    return PipelineContestant(packages, bundle_mb(bundle, engine), find)


def in_pipeline(network: Any, tokenizer: Any) -> Callable[[Question], Span]:
    """Wrap a model in transformers' question-answering pipeline, on the CPU, with its defaults."""
    from transformers import pipeline

    pipe = pipeline("question-answering", model=network, tokenizer=tokenizer, device="cpu")

    def find(item: Question) -> Span:
        found = pipe(question=item[0], context=item[1])
        return int(found["start"]), int(found["end"])

    return find
