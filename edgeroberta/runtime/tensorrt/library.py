"""Finds TensorRT or TensorRT-RTX, and keeps what they log for error messages.

No CUDA here: graphs are parsed and, with TensorRT-RTX, engines are built on machines without a GPU.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import UnavailableError

#: Import name to what the library is called, the preferred one first.
FLAVOURS = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
#: Hint where neither is installed.
INSTALL = (
    "on a Jetson, JetPack brings it: sudo apt-get install python3-libnvinfer, and make virtual environments "
    "with --system-site-packages; elsewhere: pip install 'edgeroberta[tensorrt]'"
)

_SEVERITIES = ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
# The verbose log of a build of 12 layers has some 30,000 lines; the engine's layers come last.
_KEPT = 100_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """One line of TensorRT's log."""

    severity: str  # ``INTERNAL_ERROR``, ``ERROR``, ``WARNING``, ``INFO`` or ``VERBOSE``
    text: str  # the line


@dataclass(frozen=True)
class TensorRtLibrary:
    """TensorRT, imported."""

    module: Any
    name: str  # its import name, a key of :data:`FLAVOURS`
    version: str

    @property
    def title(self) -> str:
        """Name and version for people."""
        return f"{FLAVOURS[self.name]} {self.version}"

    @property
    def rtx(self) -> bool:
        """True for TensorRT-RTX: no timing cache, and it captures CUDA graphs by itself."""
        return self.name == "tensorrt_rtx"

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.split(".")[0])


def find() -> TensorRtLibrary:
    """Import TensorRT, or TensorRT-RTX where there is none."""
    for name in FLAVOURS:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name == name:
                continue
            raise _broken(name, error) from error
        # The Python half without the libraries it loads, as of another CUDA version.
        except (ImportError, OSError, RuntimeError) as error:
            raise _broken(name, error) from error
        return TensorRtLibrary(module, name, str(module.__version__))
    raise UnavailableError(
        "TensorRT engines need the package 'tensorrt' or 'tensorrt_rtx', which is not installed", hint=INSTALL
    )


def _broken(name: str, error: Exception) -> UnavailableError:
    return UnavailableError(f"{FLAVOURS[name]} is installed but cannot be loaded ({error})", hint=INSTALL)


class EngineLog:
    """The messages of one library object, in order; the oldest go first when there are very many.

    ``messages``: what was kept; threads of the library add to it at any time. ``logger``: the object to hand
    to TensorRT; keep this log for as long as it is in use.
    """

    def __init__(self, library: TensorRtLibrary, *, least: str = "WARNING") -> None:
        """Make a log. ``least``: least severe kind that is kept; ``VERBOSE`` lists every layer of a build."""
        self.messages: deque[Message] = deque(maxlen=_KEPT)
        self._lock, self._count = threading.Lock(), 0
        keep, limit = self._keep, _SEVERITIES.index(least)
        base: Any = library.module.ILogger

        class Keeping(base):
            def __init__(self) -> None:
                base.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                level = int(severity)
                if level <= limit:
                    keep(Message(_SEVERITIES[level], message))

        self.logger = Keeping()

    def _keep(self, message: Message) -> None:
        with self._lock:
            self.messages.append(message)
            self._count += 1

    def mark(self) -> int:
        """Return a mark of this moment, for :meth:`errors`."""
        return self._count

    def errors(self, since: int = 0) -> str:
        """Return the last errors since a :meth:`mark` as one line; empty when there were none."""
        with self._lock:
            messages, after = tuple(self.messages), self._count - since
        recent = messages[-after:] if after else ()
        found = [message.text for message in recent if message.severity.endswith("ERROR")]
        return "; ".join(dict.fromkeys(found[-3:]))
