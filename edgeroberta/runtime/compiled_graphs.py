"""Keeps what an engine compiled in a folder that the user names, for later openings."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.runtime import processor
from edgeroberta.storage.artifact import digest_value, write_bytes

logger = logging.getLogger(__name__)

_HASH_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class CompiledGraphs:
    """What was compiled of one graph on this processor: a file each, its sha256 in front of it.

    The hash is there because engines trust what they are given: a damaged file could end the process.
    """

    folder: Path
    files: Mapping[str, str]  # the graph's files, weights included: name to sha256

    def read(self, key: Mapping[str, str]) -> bytes | None:
        """Return what was kept under a key; None where nothing was, or it is damaged.

        ``key``: all that the compiled graph depends on beside its files and the processor.
        """
        try:
            data = self._file(key).read_bytes()
        except OSError:
            return None
        digest, content = data[:_HASH_BYTES], data[_HASH_BYTES:]
        return content if hashlib.sha256(content).digest() == digest else None

    def write(self, key: Mapping[str, str], content: bytes) -> None:
        """Keep a compiled graph; a warning says so where it cannot be written."""
        file = self._file(key)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(file, hashlib.sha256(content).digest() + content)
        except OSError as error:
            logger.warning("cannot keep what the engine compiled (%s); it is compiled again next time", error)

    def _file(self, key: Mapping[str, str]) -> Path:
        facts = {"key": dict(key), "files": dict(self.files), "processor": processor.identity()}
        return self.folder / f"{digest_value(facts)}.graph"
