"""Engines: what each one needs, and the two methods that a session on it has."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Container, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError, UnavailableError, UsageError, did_you_mean, missing_extra
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.storage.files import FP16_GRAPH, GRAPH, OPENVINO, TENSORRT_GRAPH

if TYPE_CHECKING:
    from edgeroberta.runtime.compiled_graphs import CompiledGraphs

#: Output of a graph, float32 [masks, vocabulary], that is run for who asks for certain tokens alone.
LOG_PROBABILITIES = "log_probabilities"
#: Output of such a graph that other programs read, float32 [batch, length, vocabulary]: gigabytes of a batch.
OF_ALL_TOKENS = "logits"

Ids = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]


class Session(Protocol):
    """A graph loaded into an engine; :meth:`run` may be called from several threads at once."""

    name: str
    version: str

    def padded_length(self, length: int) -> int:
        """Return the length that an input of ``length`` tokens is to be padded to; often the same."""

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch.

        ``input_ids``: int64 [batch, length], padded on the right. ``attention_mask``: int64 [batch, length],
        1 for tokens and 0 for padding. Returns a fresh array, what the first output of the graph gives:
        float32 [batch, outputs], [batch, length, outputs] of a task per token, or [masks, outputs] of one per
        mask token, those of all texts one after the other. Raises EngineError: the engine failed.
        """

    def close(self) -> None:
        """Free the engine's memory."""


class MaskSession(Session, Protocol):
    """A session of a model that fills masks, on an engine that gives more than the best tokens."""

    def log_probabilities(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch, and return those of all tokens at each mask, float32 [masks, vocabulary]."""


@dataclass(frozen=True)
class Engine:
    """What an engine needs."""

    package: str  # name its Python package is imported by
    extra: str  # extra of this package that installs it
    files: tuple[str, ...]  # files in a bundle that it runs
    module: str  # module of ``edgeroberta.runtime`` that runs it
    #: import names of which any will do, the preferred one first; empty for ``package`` alone
    packages: tuple[str, ...] = ()
    opener: str = "open"  # the function of the runtime's module that opens it
    precision: str = "int8"  # what it computes a quantized model in, ``int8`` or ``fp16``
    on_device: bool = False  # runs on a GPU, and nothing of it is needed to make a bundle for it
    #: pattern of a file in the package's folder without which the engine is not part of it
    library: str | None = None
    install: str | None = None  # command that installs it, where that is not the extra
    #: files of another engine's that it runs in a bundle without its own; see :meth:`files_in`
    shared: tuple[str, ...] = ()
    keeps_compiled: bool = False  # its opener takes ``compiled``, where it may keep what it compiles

    def files_in(self, names: Container[str]) -> tuple[str, ...]:
        """Return the files that it runs in a bundle: its own, or shared ones that stand for them."""
        own = all(name in names for name in self.files)
        return self.shared if self.shared and not own and self.shared[0] in names else self.files


_TENSORRT = ("tensorrt", "tensorrt_rtx")

#: Engine name to what it needs. ``edgeroberta.runtime.<module>`` runs it; a new engine is that file, one in
#: ``edgeroberta.backends``, and a row in the table of each.
ENGINES = {
    "onnxruntime": Engine("onnxruntime", "onnxruntime", (GRAPH,), "onnxruntime"),
    "openvino": Engine(
        "openvino",
        "openvino",
        OPENVINO,
        "openvino",
        shared=(GRAPH,),
        keeps_compiled=True,
    ),
    "tensorrt": Engine("tensorrt", "tensorrt", (TENSORRT_GRAPH,), "tensorrt", _TENSORRT, on_device=True),
    "tensorrt-fp16": Engine(
        "tensorrt",
        "tensorrt",
        (FP16_GRAPH,),
        "tensorrt",
        _TENSORRT,
        opener="open_fp16",
        precision="fp16",
        on_device=True,
    ),
    "onnxruntime-cuda": Engine(
        "onnxruntime",
        "onnxruntime",
        (FP16_GRAPH,),
        "onnxruntime_cuda",
        precision="fp16",
        on_device=True,
        library="capi/*onnxruntime_providers_cuda*",
        # Both packages own the folder "onnxruntime", so that one of them has to go.
        install="pip uninstall onnxruntime; pip install onnxruntime-gpu",
    ),
}


def host_packages() -> tuple[str, ...]:
    """Return the packages of the engines that need no GPU: those that a bundle is made and judged with."""
    return tuple(dict.fromkeys(engine.package for engine in ENGINES.values() if not engine.on_device))


def installed(name: str) -> bool:
    """Tell whether the engine's package is installed, without importing it."""
    engine = ENGINES[name]
    for package in engine.packages or (engine.package,):
        found = importlib.util.find_spec(package)
        if found is not None and _has(found, engine.library):
            return True
    return False


def _has(package: ModuleSpec, library: str | None) -> bool:
    if library is None:
        return True
    return any(any(Path(folder).glob(library)) for folder in package.submodule_search_locations or ())


def not_installed(name: str, *, purpose: str) -> UnavailableError:
    """Make the error for an engine that is not installed, with the command that installs it."""
    engine = ENGINES[name]
    error = missing_extra(engine.package, engine.extra, purpose=purpose)
    if engine.install is None:
        return error
    return UnavailableError(f"{purpose} needs {name}, which is not installed", hint=engine.install)


def choose_engine(
    wanted: str | None,
    offered: Sequence[str],
    *,
    preferred: str | None = None,
    model: str = "the bundle",
) -> str:
    """Choose the engine to run a bundle on, or a tier of one.

    ``wanted``: the engine the user asks for; None for the first of ``offered`` that is installed.
    ``preferred``: the engine that was found best on this device; it counts where none is wanted. ``model``:
    what errors call it. Raises UsageError: it was not built for the engine; UnavailableError: that is not
    installed, or none is.
    """
    if wanted is not None and wanted not in offered:
        suggestion = did_you_mean(wanted, offered)
        raise UsageError(
            f"{model} was not built for {wanted!r}, only for {', '.join(offered)}"
            + (f"; {suggestion}" if suggestion else ""),
            where="engine",
        )
    if wanted is None and preferred in offered:
        offered = (str(preferred), *offered)
    known = [name for name in ([wanted] if wanted is not None else offered) if name in ENGINES]
    here = [name for name in known if installed(name)]
    for name in here:
        if wanted is not None or _has_device(name):
            return name
    if here:
        return here[0]  # opening it tells what is missing
    if not known:
        raise UnavailableError(
            f"this version knows none of the bundle's engines ({', '.join(offered)})",
            hint="pip install --upgrade edgeroberta",
        )
    raise not_installed(known[0], purpose="this bundle")


def _has_device(name: str) -> bool:
    """Tell whether the machine has what an engine runs on; builders without a GPU have the package, too."""
    if not ENGINES[name].on_device:
        return True
    from edgeroberta.runtime import driver

    return driver.driver_version() is not None


def opened(engine: Any) -> Any:
    """Return an engine's own session; EngineError when it is closed, perhaps by another thread."""
    if engine is None:
        raise EngineError("the session is closed", hint="open the bundle again with Runtime.open")
    return engine


def open_session(
    name: str, folder: Path, *, threads: int, lengths: Lengths, compiled: CompiledGraphs | None = None
) -> Session:
    """Load a bundle's graph into an engine; ``compiled``: where one that can may keep what it compiles."""
    engine = ENGINES[name]
    module: Any = importlib.import_module(f"edgeroberta.runtime.{engine.module}")
    settings: dict[str, Any] = {"threads": threads, "lengths": lengths}
    if engine.keeps_compiled:
        settings["compiled"] = compiled
    session: Session = getattr(module, engine.opener)(folder, **settings)
    return session
