"""Finds or builds the engine of a graph, and opens a session on it."""

from __future__ import annotations

import logging
from pathlib import Path

from edgeroberta.errors import EngineError
from edgeroberta.runtime.lengths import Lengths, choose
from edgeroberta.runtime.tensorrt import cuda as cuda_runtime
from edgeroberta.runtime.tensorrt import library as libraries
from edgeroberta.runtime.tensorrt.cache import EngineCache
from edgeroberta.runtime.tensorrt.cuda import Gpu
from edgeroberta.runtime.tensorrt.engine import Built, Options, Profile, build, make_profiles
from edgeroberta.runtime.tensorrt.identity import device_name, engine_key
from edgeroberta.runtime.tensorrt.library import Library
from edgeroberta.runtime.tensorrt.loaded import Loaded
from edgeroberta.runtime.tensorrt.session import Origin, TensorRtSession

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
    profiles = make_profiles(_bundle_lengths(graph.parent) or lengths)
    key = engine_key(library, gpu, graph, profiles=profiles, precision=precision)

    def make() -> Built:
        cap = workspace_bytes or min(cuda.free_bytes() // _SHARE, _MOST)
        return _build(library, gpu, cache, graph, profiles, cap)

    source = graph.resolve()
    stored = cache.get(key, source, make)
    try:
        loaded = Loaded(library, stored.plan)
    except EngineError as error:
        if not stored.reused:
            raise
        # Whole, of the same versions, and still refused: what it depends on is not all in the key.
        logger.warning("the engine that was kept cannot be loaded (%s)", error.what)
        cache.discard(stored)
        stored = cache.get(key, source, make)
        loaded = Loaded(library, stored.plan)
    return TensorRtSession(cuda, loaded, Origin(name, precision, gpu, stored), lengths)


def _build(
    library: Library, gpu: Gpu, cache: EngineCache, graph: Path, profiles: tuple[Profile, ...], cap: int
) -> Built:
    device = device_name(library, gpu)
    options = Options(profiles, workspace_bytes=cap, timing_cache=cache.learned(device))
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
