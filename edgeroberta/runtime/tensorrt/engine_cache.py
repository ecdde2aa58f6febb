"""Keeps built engines on the device: ``engines/<key>/engine.plan`` and ``engine.json`` in the cache folder.

An engine is bound to the TensorRT version, the GPU and the graph it was built from, so all of that is its
key, written out beside it. A plan is handed out only when every field of the key and its sha256 match.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.runtime.tensorrt.builder import SerializedEngine
from edgeroberta.runtime.tensorrt.plan_files import FACTS, Key, difference, read, remove, write
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import digest_value, write_bytes
from edgeroberta.storage.cache import VARIABLE, cache_dir

# Engines kept of one graph file: the one in use and, while versions are compared, one more.
_PER_SOURCE = 2
# And of all graphs together; an engine of RoBERTa-base takes 0.2 GB.
_IN_ALL = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedEngine:
    """An engine from the cache, or one that was just built."""

    plan: bytes  # the serialized engine
    seconds: float  # time it took to build
    reused: bool  # False when it was built now
    folder: Path | None  # where it is kept; None when it could not be kept


@dataclass(frozen=True, eq=False)
class CacheEntry:
    """An engine in the cache: its folder, key and graph file, and when it was last used."""

    folder: Path
    key: Key
    source: str
    used: float

    def of(self, key: Key, source: Path) -> bool:
        """Tell whether it was built from the same file in the same precision."""
        return self.source == str(source) and self.key.get("precision") == key["precision"]


class EngineCache:
    """The engines of this user on this device."""

    def __init__(self, root: Path | None) -> None:
        """Use a folder; with None, nothing is kept."""
        self.root = root

    @classmethod
    def default(cls) -> EngineCache:
        """Use the user's cache folder, or none where there is none."""
        try:
            return cls(cache_dir() / "engines")
        except EdgeRobertaError as error:
            logger.warning("engines are not kept (%s)", error.what)
            return cls(None)

    def get(self, key: Key, source: Path, build: Callable[[], SerializedEngine]) -> CachedEngine:
        """Return the engine of a key, building it if there is none that is whole.

        Of several processes at it at once, one builds; the others wait and then reuse what it built.
        ``source``: the graph file, to find older engines of the same one.
        """
        if self.root is None:
            _announce(key, source, None)
            return self._built(build(), None)
        folder = self.root / _name(key)
        reading = read(folder, key)
        if reading.plan is None:
            with self._lock(folder):
                reading = read(folder, key)  # another process may have built it meanwhile
                if reading.plan is None:
                    return self._make(folder, key, source, build, reading.reason)
        with contextlib.suppress(OSError):  # a read-only cache: then nothing is collected either
            os.utime(folder / FACTS)
        return CachedEngine(reading.plan, reading.seconds, True, folder)

    def discard(self, stored: CachedEngine) -> None:
        """Remove an engine that turned out to be of no use."""
        if stored.folder is not None:
            remove(stored.folder)

    def learned(self, name: str) -> bytes:
        """Return a device's timing cache; empty when there is none."""
        if self.root is None:
            return b""
        try:
            return (self.root / f"{name}.timing").read_bytes()
        except OSError:
            return b""

    def learn(self, name: str, timings: bytes) -> None:
        """Keep a device's timing cache; where that is not possible the next build takes longer."""
        if self.root is None or not timings:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_bytes(self.root / f"{name}.timing", timings)
        except OSError as error:
            logger.info("the timing cache is not kept (%s)", error)

    def _make(
        self, folder: Path, key: Key, source: Path, build: Callable[[], SerializedEngine], reason: str | None
    ) -> CachedEngine:
        _announce(key, source, reason or self._outdated(key, source))
        built = build()
        try:
            write(folder, key, source, built)
        except OSError as error:
            logger.warning(
                "the engine is not kept and will be built again next time (%s: %s); set %s to a folder "
                "with room that you may write to",
                folder.parent,
                error.strerror or error,
                VARIABLE,
            )
            return self._built(built, None)
        self._collect(folder, key, source)
        return self._built(built, folder)

    @staticmethod
    def _built(built: SerializedEngine, folder: Path | None) -> CachedEngine:
        return CachedEngine(built.plan, built.seconds, False, folder)

    def _outdated(self, key: Key, source: Path) -> str | None:
        """Say how the newest engine of the same graph file and precision differs from what is wanted."""
        former = next((each for each in self._kept() if each.of(key, source)), None)
        return None if former is None else difference(former.key, key)

    def _collect(self, folder: Path, key: Key, source: Path) -> None:
        """Remove the engines that have not been used for longest; a program that runs one keeps it."""
        kept = [each for each in self._kept() if each.folder != folder]
        same = [each for each in kept if each.of(key, source)]
        # One of each number is the engine that was just built.
        for each in {*same[_PER_SOURCE - 1 :], *kept[_IN_ALL - 1 :]}:
            remove(each.folder)

    def _kept(self) -> list[CacheEntry]:
        """Return every readable engine, the one that was used last first."""
        found = []
        for file in self.root.glob(f"[!.]*/{FACTS}") if self.root is not None else ():
            try:
                facts = jsontext.loads(file.read_bytes(), finite=False)
                if file.parent.name == _name(facts["key"]):  # else a copy of the user's: not to be collected
                    found.append(
                        CacheEntry(file.parent, facts["key"], str(facts["source"]), file.stat().st_mtime)
                    )
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return sorted(found, key=lambda each: -each.used)

    @contextlib.contextmanager
    def _lock(self, folder: Path) -> Iterator[None]:
        """Hold the lock of one key; without it where the cache cannot be written."""
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            logger.info("no lock on the engine cache (%s)", error)
            yield
            return
        try:
            _reserve(handle)
            yield
        finally:
            os.close(handle)  # lets go of the lock as well


def _name(key: Key) -> str:
    return digest_value(key)[:32]


def _announce(key: Key, source: Path, reason: str | None) -> None:
    anew = f" anew: {reason}" if reason else ""
    logger.warning("building the %s engine of %s%s; this can take minutes", key["precision"], source, anew)


def _reserve(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two builders do the work twice, and the last one's engine is kept
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.warning("another process is building this engine; waiting for it")
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:  # a file system without locks
        logger.info("no lock on the engine cache (%s)", error)
