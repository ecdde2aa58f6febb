"""A bundle on TensorRT: a lane per thread, all on one engine."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeroberta.errors import EngineError
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import Ids, Logits
from edgeroberta.runtime.tensorrt.cuda import Cuda, CudaDevice
from edgeroberta.runtime.tensorrt.engine_cache import CachedEngine
from edgeroberta.runtime.tensorrt.execution import ExecutionContext, GraphUse
from edgeroberta.runtime.tensorrt.layer_info import Inspection, inspect
from edgeroberta.runtime.tensorrt.loaded import DeserializedEngine


@dataclass(frozen=True)
class EngineProvenance:
    """Where a session's engine comes from."""

    name: str  # the engine's name, ``tensorrt`` or ``tensorrt-fp16``
    precision: str  # ``int8`` or ``fp16``
    gpu: CudaDevice
    stored: CachedEngine  # the engine as the cache gave it


class TensorRtSession:
    """A session whose calls may overlap, each in a lane; another build has another ``fingerprint``."""

    def __init__(
        self,
        cuda: Cuda,
        loaded: DeserializedEngine,
        origin: EngineProvenance,
        lengths: Lengths,
        *,
        graphs: bool = True,
    ) -> None:
        """Make the first lane and warm it up; ``graphs``: use CUDA graphs where the engine allows it."""
        self.name, self.version = origin.name, loaded.library.version
        self.fingerprint = hashlib.sha256(origin.stored.plan).hexdigest()
        self._cuda, self._loaded, self._lengths = cuda, loaded, lengths
        self._facts = self._describe(origin)
        self._use = GraphUse(graphs)
        # append and pop of a deque are atomic; there are never more lanes than threads at once.
        self._idle: deque[ExecutionContext] = deque()
        self._closing = threading.Lock()
        self._closed, self._lanes = False, 0
        try:
            self._warm_up()
        except BaseException:
            self.close()
            raise

    def padded_length(self, length: int) -> int:
        """Return the prepared length that an input of ``length`` tokens is padded to."""
        return self._lengths.padded(length)

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch, in parts if the engine takes less, padded to a length it was built for."""
        return self._run(input_ids, attention_mask, timed=False)[0]

    def run_timed(self, input_ids: Ids, attention_mask: Ids) -> tuple[Logits, float]:
        """Run one batch and time the engine on the device, by CUDA events around it.

        ``input_ids``: int64 [batch, length]. ``attention_mask``: int64 [batch, length]. Returns float32
        [batch, labels], or [batch, length, labels] of a head per token, and the seconds of the engine alone:
        without padding, copies, and what the CPU does before and after.
        """
        return self._run(input_ids, attention_mask, timed=True)

    def facts(self) -> dict[str, Any]:
        """Return what belongs beside a measurement.

        Returns ``precision``, ``build_seconds``, ``reused``, ``engine_bytes``, ``kept`` (the cache folder or
        None), ``device``, ``sm``, ``library``, ``cuda_graphs`` (True or False) and ``graph_note`` (who
        captures them, or why there are none).
        """
        use = self._use
        rtx = self._loaded.library.rtx
        if not use.wanted:
            note = "not asked for"
        elif rtx:
            note = "captured by TensorRT-RTX itself"
        else:
            note = use.refused or f"{use.captured} shapes captured"
        return {**self._facts, "cuda_graphs": use.wanted and (rtx or not use.refused), "graph_note": note}

    @property
    def most_masks(self) -> int | None:
        """Masks that a text may have; None for a model that fills none."""
        return self._loaded.masks

    def inspection(self) -> Inspection:
        """Return what the engine says of its layers."""
        return inspect(self._loaded)

    def close(self) -> None:
        """Free the engine and its lanes; calls that are under way end first."""
        with self._closing:
            self._closed = True
        with contextlib.suppress(IndexError):  # none is left, perhaps because another closed it, too
            while True:
                self._drop(self._idle.pop())
        self._finish()

    def _run(self, input_ids: Ids, attention_mask: Ids, *, timed: bool) -> tuple[Logits, float]:
        shapes, length = self._loaded.fitting(input_ids.shape[1])
        execution = self._take()
        try:
            parts = [
                execution.run(
                    input_ids[start : start + shapes.batch],
                    attention_mask[start : start + shapes.batch],
                    shapes,
                    length,
                    timed=timed,
                )
                for start in range(0, len(input_ids), shapes.batch)
            ]
        except BaseException:
            self._drop(execution)  # work may be left on its stream
            self._finish()
            raise
        self._give_back(execution)
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self._loaded.outputs(np.empty(0, np.uint8), 0, input_ids.shape[1]), 0.0
        return np.concatenate([part[0] for part in parts]), sum(part[1] for part in parts)

    def _take(self) -> ExecutionContext:
        with self._closing:
            if self._closed:
                raise EngineError("the session is closed")
            if self._idle:
                return self._idle.pop()
            self._lanes += 1
        try:
            return ExecutionContext(self._cuda, self._loaded, self._use)
        except BaseException:
            with self._closing:
                self._lanes -= 1
            self._finish()  # the session may have been closed meanwhile
            raise

    def _give_back(self, execution: ExecutionContext) -> None:
        with self._closing:
            if not self._closed:
                self._idle.append(execution)
                return
        self._drop(execution)
        self._finish()

    def _drop(self, execution: ExecutionContext) -> None:
        execution.close()
        with self._closing:
            self._lanes -= 1

    def _finish(self) -> None:
        """Free the engine when its last lane is gone."""
        with self._closing:
            if self._closed and not self._lanes:
                self._loaded.close()

    def _warm_up(self) -> None:
        """Load kernels and capture graphs for single texts of the frequent lengths."""
        for length in self._lengths.warm:
            ids = np.zeros((1, length), np.int64)
            for _ in range(2):
                self.run(ids, np.ones_like(ids))

    def _describe(self, origin: EngineProvenance) -> Mapping[str, Any]:
        stored = origin.stored
        return {
            "library": self._loaded.library.title,
            "precision": origin.precision,
            "build_seconds": round(stored.seconds, 3),
            "reused": stored.reused,
            "engine_bytes": len(stored.plan),
            "kept": None if stored.folder is None else str(stored.folder),
            "device": origin.gpu.name,
            "sm": origin.gpu.sm,
        }
