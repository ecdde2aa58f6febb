"""How each contestant of the comparison for tokens is opened: text in, entities out.

Imported by :mod:`benchmarks.worker` in foreign environments: packages are imported inside functions. An
answer is a list of ``[label, start, end]``, characters of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.peers import pipeline_parts as parts
from benchmarks.peers.contestants import bundle_mb, weights_mb
from benchmarks.peers.pipeline_parts import PipelineContestant

Entities = list[tuple[str, int, int]]
#: How the labels of a word's tokens become one, in the pipeline and in this project's runtime alike.
AGGREGATION = "first"


def transformers_pipeline(model: str, threads: int) -> PipelineContestant:
    """transformers' own pipeline, fp32."""
    find = in_pipeline(*parts.torch_model("AutoModelForTokenClassification", model, threads))
    return PipelineContestant(parts.TRANSFORMERS, weights_mb(model, "*.safetensors"), find)


def optimum(model: str, file_name: str, threads: int) -> PipelineContestant:
    """Optimum's ORTModel in the pipeline."""
    find = in_pipeline(*parts.optimum_model("ORTModelForTokenClassification", model, file_name, threads))
    return PipelineContestant(parts.OPTIMUM, weights_mb(model, "*.onnx*"), find)


def edgeroberta(bundle: str, engine: str, threads: int) -> PipelineContestant:
    """This project's runtime on a bundle."""
    runtime, packages = parts.runtime(bundle, engine, threads)

    def find(text: str) -> Entities:
        return [(entity.label, entity.start, entity.end) for entity in runtime(text).entities]

    return PipelineContestant(packages, bundle_mb(bundle, engine), find)


def in_pipeline(network: Any, tokenizer: Any) -> Callable[[str], Entities]:
    """Wrap a model in transformers' token-classification pipeline, on the CPU."""
    import warnings

    from transformers import pipeline

    # Of each text it would say that words are told apart by spaces.
    warnings.filterwarnings("ignore", message="Tokenizer does not support real words")
    pipe = pipeline(
        "token-classification",
        model=network,
        tokenizer=tokenizer,
        device="cpu",
        aggregation_strategy=AGGREGATION,
    )

    def find(text: str) -> Entities:
        entities = ((found["entity_group"], int(found["start"]), int(found["end"])) for found in pipe(text))
        # One without a character is an entity of a space that is a token by itself, which nobody wants.
        return [(label, start, end) for label, start, end in entities if start < end]

    return find
