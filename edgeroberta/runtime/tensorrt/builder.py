"""Builds engines: parses a graph, sets its optimization profiles and serializes the plan.

One way for TensorRT 10.3 … 11 and TensorRT-RTX: strongly typed networks, whose precision is written in
the graph (explicit quantize and dequantize nodes), since TensorRT 11 has no other kind. No CUDA here: see
:mod:`edgeroberta.runtime.tensorrt.library`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.errors import EngineError
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.tensorrt.library import EngineLog, Message, TensorRtLibrary

#: Most texts in one call of an engine; larger batches are split. Its memory grows with it: RoBERTa-base at
#: 512 tokens takes 8 x 12 x 512 x 512 x 2 B = 50 MB for attention scores, per execution context.
MAX_BATCH = 8


@dataclass(frozen=True)
class OptimizationProfile:
    """A range of shapes that an engine is optimized for: 1 … ``batch`` texts."""

    shortest: int  # least tokens per text
    usual: int  # tokens per text, one text at a time, that kernels are chosen for
    longest: int  # most tokens per text
    batch: int = MAX_BATCH  # most texts


@dataclass(frozen=True)
class BuildOptions:
    """How to build."""

    profiles: tuple[OptimizationProfile, ...]  # at least one
    workspace_bytes: int | None = None  # most scratch memory of a layer; None for all that the device has
    optimization_level: int | None = None  # 0 … 5, how long to look for fast kernels; None: 3
    detailed: bool = True  # keep each layer's data types in the plan, so that the engine can be inspected
    timing_cache: bytes = b""  # what an earlier build on this device learned; not used by TensorRT-RTX
    compute_capability: str | None = None  # for TensorRT-RTX, a GPU to build for that is not here: ``SM86``
    #: least severe log message that is kept (:class:`~edgeroberta.runtime.tensorrt.library.EngineLog`)
    least: str = "WARNING"


@dataclass(frozen=True)
class SerializedEngine:
    """A serialized engine."""

    plan: bytes  # the engine
    seconds: float  # time it took to parse the graph and build
    timing_cache: bytes  # what was learned, for the next build; empty with TensorRT-RTX
    messages: tuple[Message, ...]  # the log


def optimization_profiles(lengths: Lengths, *, batch: int = MAX_BATCH) -> tuple[OptimizationProfile, ...]:
    """Choose the profiles for the lengths that inputs are padded to.

    Two at most: one for the frequent lengths, whose kernels are chosen for the most frequent of them, and one
    for the rarer, longer ones. Every profile has kernels of its own, so each adds to the engine's bytes and
    to the time to build. Returns profiles that between them cover every length of ``lengths``.
    """
    frequent = OptimizationProfile(lengths.warm[0], lengths.usual, lengths.warm[-1], batch)
    if not lengths.later:
        return (frequent,)
    return frequent, OptimizationProfile(lengths.warm[-1] + 1, lengths.later[0], lengths.later[-1], batch)


def build(library: TensorRtLibrary, graph: Path, options: BuildOptions) -> SerializedEngine:
    """Build the engine of an ONNX file with inputs ``[batch, length]``; external weights lie beside it."""
    trt, started = library.module, time.perf_counter()
    log = EngineLog(library, least=options.least)
    builder = trt.Builder(log.logger)
    network = parse(library, builder, graph, log)
    config = builder.create_builder_config()
    cache = _configure(library, config, options)
    for profile in options.profiles:
        _add_profile(builder, network, config, profile, graph)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(
            f"{library.title} cannot build an engine: {log.errors() or 'it does not say why'}",
            where=str(graph),
            hint="edgeroberta check BUNDLE --target jetson names the node; free memory with: sudo systemctl "
            "isolate multi-user.target",
        )
    learned = b"" if cache is None else bytes(cache.serialize())
    return SerializedEngine(bytes(plan), time.perf_counter() - started, learned, tuple(log.messages))


def parse(library: TensorRtLibrary, builder: Any, graph: Path, log: EngineLog) -> Any:
    """Read a graph into a strongly typed network; an EngineError names all errors and nodes."""
    trt = library.module
    flags = 0
    # TensorRT 11 knows no other networks; there the flag is deprecated and may go.
    # https://docs.nvidia.com/deeplearning/tensorrt/11.4.0/api/migration/tensorrt-10x-to-11x.html
    if library.rtx or library.major < 11:
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log.logger)
    # By path, so that weights in files beside the graph are found.
    if not parser.parse_from_file(str(graph)):
        errors = [_described(parser.get_error(index)) for index in range(parser.num_errors)]
        raise EngineError(
            f"{library.title} refuses the graph: {'; '.join(errors) or log.errors()}", where=str(graph)
        )
    return network


def _described(error: Any) -> str:
    # Not all of 10.x tell the node, and an error about an error would hide the reason.
    name, operator = (
        getattr(error, field)() if hasattr(error, field) else "" for field in ("node_name", "node_operator")
    )
    node = f" (node {name or '?'}, {operator})" if name or operator else ""
    return f"{error.desc()}{node}"


def _configure(library: TensorRtLibrary, config: Any, options: BuildOptions) -> Any:
    """Set the options; returns the timing cache in use, None where there is none."""
    trt = library.module
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.detailed:
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if library.rtx:
        if options.compute_capability is not None:
            config.num_compute_capabilities = 1
            config.set_compute_capability(getattr(trt.ComputeCapability, options.compute_capability), 0)
        # It builds without looking at a GPU, so there are no timings to keep.
        return None
    cache = config.create_timing_cache(options.timing_cache)
    # False: a cache of another device is refused, and the build starts from nothing.
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _add_profile(builder: Any, network: Any, config: Any, profile: OptimizationProfile, graph: Path) -> None:
    shapes = (
        (1, profile.shortest),
        (1, profile.usual),
        (profile.batch, profile.longest),
    )
    added = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        added.set_shape(network.get_input(index).name, *shapes)
    if config.add_optimization_profile(added) < 0:
        raise EngineError(f"the shapes {shapes} do not fit the graph's inputs", where=str(graph))
