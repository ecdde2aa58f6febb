"""Finds or builds the engine of a graph, and opens a session on it."""

from __future__ import annotations

import logging
from pathlib import Path

from edgeroberta.errors import EngineError
from edgeroberta.runtime.lengths import Lengths, choose
from edgeroberta.runtime.tensorrt import cuda as cuda_runtime
from edgeroberta.runtime.tensorrt import library as libraries
from edgeroberta.runtime.tensorrt.builder import (
    BuildOptions,
    OptimizationProfile,
    SerializedEngine,
    build,
    optimization_profiles,
)
from edgeroberta.runtime.tensorrt.cuda import CudaDevice
from edgeroberta.runtime.tensorrt.engine_cache import EngineCache
from edgeroberta.runtime.tensorrt.identity import device_name, engine_key
from edgeroberta.runtime.tensorrt.library import TensorRtLibrary
from edgeroberta.runtime.tensorrt.loaded import DeserializedEngine
from edgeroberta.runtime.tensorrt.tensorrt_session import EngineProvenance, TensorRtSession

# A layer's scratch memory, unless the target says otherwise. A quarter of what is free, since a Jetson's CPU
# lives from the same memory; RoBERTa-base with 8 texts of 512 tokens needs 0.1 GB.
_SHARE, _MOST = 4, 1 << 30

logger = logging.getLogger(__name__)


def open_engine(
    name: str, graph: Path, precision: str, *, lengths: Lengths, workspace_bytes: int | None = None
) -> TensorRtSession:
    """Open a session on the engine of a graph; see :func:`edgeroberta.runtime.tensorrt.open`."""
    library = libraries.find()
    cuda = cuda_runtime.load()
    gpu = cuda.gpu()
    cache = EngineCache.default()
    profiles = optimization_profiles(_bundle_lengths(graph.parent) or lengths)
    key = engine_key(library, gpu, graph, profiles=profiles, precision=precision)

    def make() -> SerializedEngine:
        cap = workspace_bytes or min(cuda.free_bytes() // _SHARE, _MOST)
        return _build(library, gpu, cache, graph, profiles, cap)

    source = graph.resolve()
    stored = cache.get(key, source, make)
    try:
        loaded = DeserializedEngine(library, stored.plan)
    except EngineError as error:
        if not stored.reused:
            raise
        # Whole, of the same versions, and still refused: what it depends on is not all in the key.
        logger.warning("the engine that was kept cannot be loaded (%s)", error.what)
        cache.discard(stored)
        stored = cache.get(key, source, make)
        loaded = DeserializedEngine(library, stored.plan)
    return TensorRtSession(cuda, loaded, EngineProvenance(name, precision, gpu, stored), lengths)


def _build(
    library: TensorRtLibrary,
    gpu: CudaDevice,
    cache: EngineCache,
    graph: Path,
    profiles: tuple[OptimizationProfile, ...],
    cap: int,
) -> SerializedEngine:
    device = device_name(library, gpu)
    options = BuildOptions(profiles, workspace_bytes=cap, timing_cache=cache.learned(device))
    built = build(library, graph, options)
    cache.learn(device, built.timing_cache)
    return built


def _bundle_lengths(folder: Path) -> Lengths | None:
    """Return the lengths of a bundle's texts, so that whoever opens it finds the same engine."""
    from edgeroberta.runtime import manifest

    if not (folder / manifest.MANIFEST_FILE).is_file():
        return None
    facts = manifest.read(folder)
    return choose(facts.lengths, facts.max_length)
