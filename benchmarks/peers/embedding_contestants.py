"""How each contestant of the comparison for embeddings is opened: text in, embedding out.

Imported by :mod:`benchmarks.worker` in foreign environments: packages are imported inside functions. An
answer is a list of numbers.
"""

from __future__ import annotations

from typing import Any

from benchmarks.peers import pipeline_parts as parts
from benchmarks.peers.contestants import bundle_mb, weights_mb
from benchmarks.peers.pipeline_parts import PipelineContestant

Embedding = list[float]
PACKAGES = ("sentence-transformers", "transformers", "torch")
#: Where sentence-transformers puts its graphs.
ONNX_FOLDER = "onnx"


def sentence_transformers(model: str, threads: int) -> PipelineContestant:
    """sentence-transformers with torch, fp32."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    opened = SentenceTransformer(model, device="cpu")
    return PipelineContestant(PACKAGES, weights_mb(model, "*.safetensors"), encoder(opened))


def onnx(model: str, file_name: str, threads: int) -> PipelineContestant:
    """sentence-transformers with a graph of its own, as its page on speeding up inference shows."""
    import onnxruntime
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    opened = SentenceTransformer(
        model,
        device="cpu",
        backend="onnx",
        model_kwargs={
            "file_name": file_name,
            "provider": "CPUExecutionProvider",
            "session_options": options,
        },
    )
    size = weights_mb(f"{model}/{ONNX_FOLDER}", file_name.rpartition("/")[2])
    return PipelineContestant((*PACKAGES, "optimum-onnx", "onnxruntime"), size, encoder(opened))


def edgeroberta(bundle: str, engine: str, threads: int) -> PipelineContestant:
    """This project's runtime on a bundle."""
    runtime, packages = parts.runtime(bundle, engine, threads)

    def find(text: str) -> Embedding:
        values: Embedding = runtime(text).embedding.tolist()
        return values

    return PipelineContestant(packages, bundle_mb(bundle, engine), find)


def encoder(opened: Any) -> Any:
    """Return what embeds one text."""

    def find(text: str) -> Embedding:
        values: Embedding = opened.encode(text, show_progress_bar=False).tolist()
        return values

    return find
