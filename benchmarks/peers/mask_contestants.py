"""How each contestant of the comparison for masked words is opened: a text in, the best token out.

Imported by :mod:`benchmarks.worker` in foreign environments: packages are imported inside functions. A text
has one mask; an answer is the id of the token that a model would write there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.peers import pipeline_parts as parts
from benchmarks.peers.contestants import bundle_mb, weights_mb
from benchmarks.peers.pipeline_parts import PipelineContestant


def transformers_pipeline(model: str, threads: int) -> PipelineContestant:
    """transformers' own pipeline, fp32."""
    find = in_pipeline(*parts.torch_model("AutoModelForMaskedLM", model, threads))
    return PipelineContestant(parts.TRANSFORMERS, weights_mb(model, "*.safetensors"), find)


def optimum(model: str, file_name: str, threads: int) -> PipelineContestant:
    """Optimum's ORTModel in the pipeline."""
    find = in_pipeline(*parts.optimum_model("ORTModelForMaskedLM", model, file_name, threads))
    return PipelineContestant(parts.OPTIMUM, weights_mb(model, "*.onnx*"), find)


def edgeroberta(bundle: str, engine: str, threads: int) -> PipelineContestant:
    """This project's runtime on a bundle."""
    runtime, packages = parts.runtime(bundle, engine, threads)

    def find(text: str) -> int:
        return int(runtime(text).masks[0][0].token)

    return PipelineContestant(packages, bundle_mb(bundle, engine), find)


def in_pipeline(network: Any, tokenizer: Any) -> Callable[[str], int]:
    """Wrap a model in transformers' fill-mask pipeline, on the CPU, with its defaults."""
    from transformers import pipeline

    pipe = pipeline("fill-mask", model=network, tokenizer=tokenizer, device="cpu")

    def find(text: str) -> int:
        return int(pipe(text)[0]["token"])

    return find
