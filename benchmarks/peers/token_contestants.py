"""How each contestant of the comparison for tokens is opened: text in, entities out.

Imported by :mod:`benchmarks.worker` in foreign environments: packages are imported inside functions. An
answer is a list of ``[label, start, end]``, characters of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.contestants import weights_mb

Entities = list[tuple[str, int, int]]
#: How the labels of a word's tokens become one, in the pipeline and in this project's runtime alike.
AGGREGATION = "first"


@dataclass(frozen=True)
class EntityContestant:
    """A model that finds entities in one text at a time; tokenization is part of the timed call."""

    packages: Sequence[str]
    size_mb: float
    find: Callable[[str], Entities]

    def prepare(self, item: str) -> str:
        """Nothing to make ready: a user has a text."""
        return item

    def answer(self, prepared: str) -> Entities:
        """Find the entities of one text."""
        return self.find(prepared)


def transformers_pipeline(model: str, threads: int) -> EntityContestant:
    """transformers' own pipeline, fp32."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    torch.set_num_threads(threads)
    network = AutoModelForTokenClassification.from_pretrained(model).eval()
    find = in_pipeline(network, AutoTokenizer.from_pretrained(model))
    return EntityContestant(("transformers", "torch"), weights_mb(model, "*.safetensors"), find)


def optimum(model: str, file_name: str, threads: int) -> EntityContestant:
    """Optimum's ORTModel in the pipeline, as its documentation shows; one ORT thread pool."""
    import onnxruntime
    import torch
    from optimum.onnxruntime import ORTModelForTokenClassification
    from transformers import AutoTokenizer

    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    network = ORTModelForTokenClassification.from_pretrained(
        model, file_name=file_name, session_options=options, provider="CPUExecutionProvider"
    )
    find = in_pipeline(network, AutoTokenizer.from_pretrained(model))
    packages = ("optimum", "optimum-onnx", "transformers", "onnxruntime", "torch")
    return EntityContestant(packages, weights_mb(model, "*.onnx*"), find)


def edgeroberta(bundle: str, engine: str, threads: int) -> EntityContestant:
    """This project's runtime on a bundle."""
    from edgeroberta.runtime import Runtime

    runtime: Any = Runtime.open(bundle, engine=engine, threads=threads)
    files = {"onnxruntime": "model.onnx*", "openvino": "openvino_model.*"}[engine]

    def find(text: str) -> Entities:
        return [(entity.label, entity.start, entity.end) for entity in runtime(text).entities]

    return EntityContestant(("edgeroberta", engine, "tokenizers", "numpy"), weights_mb(bundle, files), find)


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
