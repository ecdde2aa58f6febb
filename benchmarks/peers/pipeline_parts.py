"""What the contestants of several comparisons with transformers' pipelines share.

Imported by :mod:`benchmarks.worker` in foreign environments: packages are imported inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

#: Packages that a contestant tells the versions of.
TRANSFORMERS = ("transformers", "torch")
OPTIMUM = ("optimum", "optimum-onnx", "transformers", "onnxruntime", "torch")


@dataclass(frozen=True)
class PipelineContestant:
    """What answers one item at a time, as its users call it; tokenization is part of the timed call."""

    packages: Sequence[str]
    size_mb: float
    find: Callable[[Any], Any]

    def prepare(self, item: Any) -> Any:
        """Nothing to make ready: a user has the text."""
        return item

    def answer(self, prepared: Any) -> Any:
        """Answer one item."""
        return self.find(prepared)


def torch_model(auto_class: str, model: str, threads: int) -> tuple[Any, Any]:
    """Load a model of transformers in fp32, and its tokenizer."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    network = getattr(transformers, auto_class).from_pretrained(model).eval()
    return network, transformers.AutoTokenizer.from_pretrained(model)


def optimum_model(ort_class: str, model: str, file_name: str, threads: int) -> tuple[Any, Any]:
    """Load an ORTModel as Optimum's documentation shows, with one ORT thread pool, and its tokenizer."""
    import onnxruntime
    import optimum.onnxruntime
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    network = getattr(optimum.onnxruntime, ort_class).from_pretrained(
        model, file_name=file_name, session_options=options, provider="CPUExecutionProvider"
    )
    return network, AutoTokenizer.from_pretrained(model)


def runtime(bundle: str, engine: str, threads: int, **options: Any) -> tuple[Any, tuple[str, ...]]:
    """Open a bundle, with further options; returns its runtime and the packages whose versions tell."""
    from edgeroberta.runtime import Runtime

    opened: Any = Runtime.open(bundle, engine=engine, threads=threads, **options)
    return opened, ("edgeroberta", engine, "tokenizers", "numpy")
