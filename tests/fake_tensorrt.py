"""TensorRT without a GPU: modules with the API that a version really has, which run graphs on the CPU.

What a version lacks is absent, so using it fails as it does there. An engine's plan holds the graph, and its
contexts run it in ONNX Runtime on the bytes at the addresses they were given, so profiles, buffers, batches,
graphs and threads are tested by the values that come out.

Sources: the API references of TensorRT 10.3, 10.16 and 11.4, the migration guide from 10 to 11, and
``tensorrt_rtx`` 1.7.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from enum import IntEnum
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_cuda import FakeCuda

from edgeroberta.runtime import driver

VERSIONS = ("10.3.0", "10.16.0", "11.4.0")
RTX = "1.7.1"
#: A file that every build appends a line to, and seconds that a build takes; for tests with processes.
BUILDS, SECONDS = "FAKE_TENSORRT_BUILDS", "FAKE_TENSORRT_SECONDS"

_MAGIC = b"fake-plan\n"
_TYPES = {1: "FLOAT", 10: "HALF", 6: "INT32", 7: "INT64", 16: "BF16"}
_NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32, "INT64": np.int64}


class FakeTensorRt:
    """One version.

    Attributes:
        module: What ``import tensorrt`` gives.
        builds: Options of each build so far.
        contexts: Weak references to all execution contexts that were made.
        falls_back: True to build int8 graphs as float ones, as an engine does that does not fuse.
        silent: True when the inspector prints names only.
        capturable: False when execution cannot be captured.
        refuses: True when execution fails and nothing is logged of it.
        nan: True to answer NaN.
    """

    def __init__(self, version: str = "10.3.0", *, rtx: bool = False, gpu: FakeCuda | None = None) -> None:
        self.version, self.rtx = version, rtx
        self.gpu = gpu or FakeCuda()
        self.major = 11 if rtx else int(version.split(".")[0])
        self.builds: list[dict[str, Any]] = []
        self.contexts: list[Any] = []
        self.falls_back = self.silent = self.nan = self.refuses = False
        self.capturable = True
        self.fails_to_build = False
        self.module = self._module()

    def _module(self) -> ModuleType:
        name = "tensorrt_rtx" if self.rtx else "tensorrt"
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__version__ = self.version
        module.ILogger = _ILogger
        flags = ["EXPLICIT_BATCH", "STRONGLY_TYPED"] if self.major < 11 else ["STRONGLY_TYPED"]
        module.NetworkDefinitionCreationFlag = IntEnum(
            "NetworkDefinitionCreationFlag", {flag: index for index, flag in enumerate(flags)}
        )
        weak = ["FP16", "INT8", "BF16", "OBEY_PRECISION_CONSTRAINTS"] if self.major < 11 else []
        module.BuilderFlag = IntEnum("BuilderFlag", ["TF32", "REFIT", *weak])
        if self.major < 11:
            module.IInt8EntropyCalibrator2 = type("IInt8EntropyCalibrator2", (), {})
        module.MemoryPoolType = IntEnum("MemoryPoolType", ["WORKSPACE", "TACTIC_DRAM"])
        module.ProfilingVerbosity = IntEnum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "NONE", "DETAILED"])
        module.LayerInformationFormat = IntEnum("LayerInformationFormat", ["ONELINE", "JSON"])
        module.ExecutionContextAllocationStrategy = IntEnum(
            "ExecutionContextAllocationStrategy", ["STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED"]
        )
        if self.rtx:
            module.CudaGraphStrategy = IntEnum("CudaGraphStrategy", ["DISABLED", "WHOLE_GRAPH_CAPTURE"])
            module.ComputeCapability = IntEnum("ComputeCapability", ["NONE", "CURRENT", "SM86", "SM89"])
        module.Builder = lambda logger: _builder(self, logger)
        module.OnnxParser = _OnnxParser
        module.Runtime = lambda logger: _Runtime(self, logger)
        return module

    def install(self, patch: pytest.MonkeyPatch) -> FakeTensorRt:
        """Be what ``import tensorrt`` and ``import cuda.bindings.runtime`` find, and nothing else."""
        for name in _NAMES:
            patch.setitem(sys.modules, name, None)
        patch.setitem(sys.modules, self.module.__name__, self.module)
        for name in ("cuda", "cuda.bindings"):
            patch.setitem(sys.modules, name, ModuleType(name))
        patch.setitem(sys.modules, "cuda.bindings.runtime", self.gpu.module)
        patch.setattr(driver, "driver_version", lambda: (12, 6))
        return self

    @contextlib.contextmanager
    def installed(self) -> Iterator[FakeTensorRt]:
        """Be installed for as long as the context is open; see :meth:`install`."""
        with pytest.MonkeyPatch.context() as patch:
            yield self.install(patch)


_NAMES = ("tensorrt", "tensorrt_rtx", "cuda", "cuda.bindings", "cuda.bindings.runtime", "cuda.cudart")


class _Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class _ILogger:
    Severity = _Severity

    def __init__(self) -> None:
        self.ready = True

    def log(self, severity: _Severity, message: str) -> None:
        raise NotImplementedError


def _say(logger: _ILogger, severity: _Severity, message: str) -> None:
    assert logger.ready, "the base class's __init__ was not called"
    logger.log(severity, message)


def _builder(fake: FakeTensorRt, logger: _ILogger) -> Any:
    builder = SimpleNamespace(
        create_network=lambda flags=0: _Network(fake, flags),
        create_builder_config=lambda: _config(fake),
        create_optimization_profile=_Profile,
        build_serialized_network=lambda network, config: _build(fake, logger, network, config),
    )
    if fake.major < 11:
        builder.platform_has_fast_fp16 = builder.platform_has_fast_int8 = True
    return builder


class _Network:
    def __init__(self, fake: FakeTensorRt, flags: int) -> None:
        strongly = 1 << int(fake.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self.strongly_typed = fake.major >= 11 or bool(flags & strongly)
        self.model: Any = None

    @property
    def num_inputs(self) -> int:
        return len(self.model.graph.input)

    def get_input(self, index: int) -> Any:
        return SimpleNamespace(name=self.model.graph.input[index].name)


class _OnnxParser:
    def __init__(self, network: _Network, logger: _ILogger) -> None:
        self._network, self._errors = network, []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def parse_from_file(self, path: str) -> bool:
        import onnx

        assert isinstance(path, str)
        try:
            self._network.model = onnx.load(path)  # with what lies beside it
        except Exception as error:  # protobuf's errors, a missing file
            self._errors.append(_parser_error(f"Failed to parse the ONNX model ({type(error).__name__})"))
            return False
        for node in self._network.model.graph.node:
            if node.op_type == "Unsupported":
                self._errors.append(_parser_error("No importer registered", node.name, node.op_type))
        return not self._errors


def _parser_error(text: str, node: str = "", operator: str = "") -> Any:
    return SimpleNamespace(desc=lambda: text, node_name=lambda: node, node_operator=lambda: operator)


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, least: Any, usual: Any, most: Any) -> None:
        if not all(a <= b <= c for a, b, c in zip(least, usual, most, strict=True)):
            raise ValueError("inconsistent dimensions")
        self.shapes[name] = [list(least), list(usual), list(most)]


def _config(fake: FakeTensorRt) -> Any:
    config = SimpleNamespace(
        profiles=[], pools={}, timing_cache=None, profiling_verbosity=1, builder_optimization_level=3
    )
    config.set_memory_pool_limit = lambda pool, size: config.pools.__setitem__(pool.name, size)

    def add(profile: _Profile) -> int:
        config.profiles.append(profile)
        return len(config.profiles) - 1

    config.add_optimization_profile = add
    if fake.rtx:
        config.num_compute_capabilities = 0
        config.set_compute_capability = lambda capability, index: index < config.num_compute_capabilities
        return config

    def create(data: bytes) -> Any:
        cache = SimpleNamespace(data=data)
        cache.serialize = lambda: cache.data
        return cache

    def use(cache: Any, ignore_mismatch: bool) -> bool:
        if cache.data and not cache.data.startswith(b"timings of "):
            return False
        config.timing_cache = cache
        return True

    config.create_timing_cache, config.set_timing_cache = create, use
    if fake.major < 11:
        config.int8_calibrator = None
    return config


def _build(fake: FakeTensorRt, logger: _ILogger, network: _Network, config: Any) -> Any:
    assert network.strongly_typed, "a weakly typed network ignores the graph's own types"
    options = {
        "workspace": config.pools.get("WORKSPACE"),
        "profiles": [profile.shapes for profile in config.profiles],
        "detailed": config.profiling_verbosity == fake.module.ProfilingVerbosity.DETAILED,
        "level": config.builder_optimization_level,
        "timing": None if config.timing_cache is None else config.timing_cache.data,
    }
    fake.builds.append(options)
    if log := os.environ.get(BUILDS):
        with Path(log).open("a", encoding="utf-8") as handle:
            handle.write(f"{os.getpid()}\n")
        time.sleep(float(os.environ.get(SECONDS, "0")))
    if fake.fails_to_build:
        _say(logger, _Severity.ERROR, "Error Code 10: Could not find any implementation for node {Foreign}")
        return None
    if config.timing_cache is not None:
        config.timing_cache.data = f"timings of {fake.gpu.facts.name.decode()}".encode()
    quantized = any(node.op_type == "QuantizeLinear" for node in network.model.graph.node)
    header = {
        "version": fake.version,
        "rtx": fake.rtx,
        "sm": [fake.gpu.facts.major, fake.gpu.facts.minor],
        "profiles": options["profiles"],
        "int8": quantized and not fake.falls_back,
        "detailed": options["detailed"] and not fake.silent,
    }
    model = network.model.SerializeToString()
    # Weights that were not kept as int8 take twice the room.
    padding = b"\0" * (len(model) if quantized and fake.falls_back else 0)
    data = json.dumps({**header, "model": len(model)}).encode() + b"\n" + model + padding
    return memoryview(_MAGIC + len(data).to_bytes(8, "big") + data)


class _Runtime:
    def __init__(self, fake: FakeTensorRt, logger: _ILogger) -> None:
        self._fake, self._logger = fake, logger

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        start = len(_MAGIC) + 8
        size = int.from_bytes(plan[len(_MAGIC) : start], "big")
        if not plan.startswith(_MAGIC) or len(plan) != start + size:
            _say(self._logger, _Severity.ERROR, "Serialization assertion plan->header.magicTag failed.")
            return None
        line, _, rest = plan[start:].partition(b"\n")
        header = json.loads(line)
        gpu = self._fake.gpu.facts
        if (header["version"], header["sm"]) != (self._fake.version, [gpu.major, gpu.minor]):
            _say(self._logger, _Severity.ERROR, "The engine plan file is not compatible with this version.")
            return None
        return _Engine(self._fake, self._logger, header, rest[: header["model"]])


class _Engine:
    def __init__(self, fake: FakeTensorRt, logger: _ILogger, header: dict[str, Any], model: bytes) -> None:
        import onnx
        import onnxruntime

        self.fake, self.logger, self.header = fake, logger, header
        graph = onnx.load_from_string(model).graph
        self.tensors = {each.name: each.type.tensor_type for each in [*graph.input, *graph.output]}
        self.operators = [node.op_type for node in graph.node]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.num_io_tensors = len(self.tensors)
        self.num_optimization_profiles = len(header["profiles"])
        if fake.rtx:
            self.create_runtime_config = _runtime_config

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name=_TYPES[self.tensors[name].elem_type])

    def get_tensor_shape(self, name: str) -> Any:
        return tuple(each.dim_value or -1 for each in self.tensors[name].shape.dim)

    def get_tensor_profile_shape(self, name: str, index: int) -> Any:
        return [tuple(shape) for shape in self.header["profiles"][index][name]]

    def create_execution_context(self, given: Any = None) -> Any:
        strategies = self.fake.module.ExecutionContextAllocationStrategy
        if self.fake.rtx:
            assert given.strategy is strategies.ON_PROFILE_CHANGE
        else:
            assert given is strategies.ON_PROFILE_CHANGE
        context = _Context(self)
        self.fake.contexts.append(weakref.ref(context))
        return context

    def create_engine_inspector(self) -> Any:
        return SimpleNamespace(get_engine_information=lambda form: self._information(form))

    def _information(self, form: Any) -> str:
        assert form is self.fake.module.LayerInformationFormat.JSON
        layers: list[Any] = [f"layer_{index}" for index, _ in enumerate(self.operators)]
        if self.header["detailed"]:
            layers = [self._layer(index) for index, _ in enumerate(self.operators)]
        bindings = "Bindings" if self.fake.major < 11 else "I/O Tensors"
        return json.dumps({"Layers": layers, bindings: []})

    def _layer(self, index: int) -> dict[str, Any]:
        kind = "Int8" if self.header["int8"] else "FP16"
        tensor = (
            {"Name": "x", "Format/Datatype": f"Row major {kind} format"}
            if self.fake.major < 11
            else {"Name": "x", "DataType": kind, "Format": "Row major"}
        )
        kernel = "sm80_xmma_gemm_i8i8_i32" if self.header["int8"] else "sm80_xmma_gemm_f16f16_f16"
        return {"Name": f"gemm_{index}", "LayerType": "gemm", "Inputs": [tensor], "TacticName": kernel}


def _runtime_config() -> Any:
    config = SimpleNamespace(strategy=None, cuda_graph_strategy=None)
    config.set_execution_context_allocation_strategy = lambda strategy: setattr(config, "strategy", strategy)
    return config


class _Context:
    """Checks what a real one demands: a profile and shapes before a run, and no use by two at once."""

    def __init__(self, engine: _Engine) -> None:
        self._engine, self._fake = engine, engine.fake
        self.active_optimization_profile = 0
        self._memory = False  # with ON_PROFILE_CHANGE there is none before a profile is set
        self.shapes: dict[str, Any] = {}
        self.addresses: dict[str, int] = {}
        self.state = 0  # counts changes
        self._flushed = -1
        self._busy = threading.Lock()

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        assert isinstance(stream, int)
        assert stream in self._fake.gpu.streams
        self.active_optimization_profile, self.shapes, self._memory = index, {}, True
        self.state += 1
        return True

    def set_input_shape(self, name: str, shape: Any) -> bool:
        least, _, most = self._engine.header["profiles"][self.active_optimization_profile][name]
        if not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            _say(
                self._engine.logger, _Severity.ERROR, f"setInputShape: {name} {shape} not in {least}, {most}"
            )
            return False
        self.shapes[name] = tuple(shape)
        self.state += 1
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        start = next(
            each for each, memory in self._fake.gpu.memory.items() if each <= address < each + len(memory)
        )
        assert (address - start) % 256 == 0, "tensors must be aligned to 256 bytes"
        self.addresses[name] = address
        self.state += 1
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if self._fake.refuses:
            return False
        assert self._memory, "no profile was set, so there is no memory for activations"
        on, state = self._fake.gpu.streams[stream], self.state
        if on.recording is not None and (self._flushed != state or not self._fake.capturable):
            # What a new shape needs cannot be captured; nor can some engines at all.
            on.invalid = True
            _say(self._engine.logger, _Severity.ERROR, "operation not permitted when stream is capturing")
            return False
        self._flushed = state
        shapes, addresses = dict(self.shapes), dict(self.addresses)

        def work() -> None:
            assert self.state == state, "the context was changed before its work was done"
            self._run(shapes, addresses)

        on.put(work)
        return True

    def _run(self, shapes: dict[str, Any], addresses: dict[str, int]) -> None:
        assert self._busy.acquire(blocking=False), "two threads use one context"
        try:
            feed = {name: self._read(name, shape, addresses[name]) for name, shape in shapes.items()}
            logits = self._engine.session.run(["logits"], feed)[0]
            if self._fake.nan:
                logits = logits * np.nan
            ctypes.memmove(addresses["logits"], np.ascontiguousarray(logits).ctypes.data, logits.nbytes)
        finally:
            self._busy.release()

    def _read(self, name: str, shape: Any, address: int) -> Any:
        kind = np.dtype(_NUMPY[self._engine.get_tensor_dtype(name).name])
        size = int(np.prod(shape)) * kind.itemsize
        return np.frombuffer(ctypes.string_at(address, size), kind).reshape(shape)
