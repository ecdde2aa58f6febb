"""Where a training run stands, kept on disk so that a killed run resumes as if nothing had been.

A state holds all that the rest of the run depends on. Batches and dropout are functions of the seed
and the step, so no random generator has to be kept.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeroberta.distributed import Ranks
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage.artifact import flush

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
KEPT = 2  # the newest, and the one before it in case the newest cannot be read
_PREFIX = "step-"
_FILE = "state.pt"
_ALONE = Ranks()
#: What torch.load raises on files that are cut off, overwritten or of another program.
_UNREADABLE = (OSError, EOFError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError)


@dataclass
class TrainingState:
    """Everything the rest of a run depends on."""

    key: str  # digest of what determines the run; a state of another run is not used
    step: int = 0  # optimizer steps done
    weights: dict[str, Tensor] = field(default_factory=dict)  # trainable parameters by name
    optimizer: dict[str, Any] = field(default_factory=dict)
    best_score: float | None = None  # task metric of the best evaluation so far, None before the first
    best_step: int = 0  # step of that evaluation
    best_weights: dict[str, Tensor] = field(default_factory=dict)  # trainable parameters at that step
    #: one entry per evaluation: epoch, step, mean losses since the last, score
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)  # sum of each loss since the last evaluation
    #: what each of these sums runs over: texts, or what the run counts
    units: dict[str, float] = field(default_factory=dict)
    tokens: int = 0  # of the texts of all steps, padding aside
    seconds: float = 0.0  # that all steps took, evaluations aside


def save(folder: Path, state: TrainingState) -> None:
    """Keep a state under a temporary name, flush it to disk, rename it, and drop the oldest."""
    folder.mkdir(parents=True, exist_ok=True)
    final = _place(folder, state.step)
    partial = folder / f".partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    fields = dict(vars(state))
    torch.save({"schema_version": SCHEMA_VERSION, **fields}, partial / _FILE)
    flush(partial / _FILE)
    flush(partial)
    if final.exists():
        shutil.rmtree(final)
    partial.replace(final)
    flush(folder)
    for old in _states(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def restore(folder: Path, key: str, ranks: Ranks = _ALONE) -> TrainingState | None:
    """Read back the newest state of a run; the main process decides which one that is for all.

    ``folder``: where the run's states lie; it need not exist. ``ranks``: this process among those of the
    launch; all of them call this. Returns the state, or None when there is none of this run; the main process
    then deletes the states of other runs. A state that it cannot read is passed over with a warning. Raises
    EdgeRobertaError: another process cannot read the state that the main one has read.
    """
    state = _newest(folder, key) if ranks.main else None
    step = ranks.share(None if state is None else state.step)
    if ranks.main or step is None:
        return state
    path = _place(folder, step)
    try:
        return _read(path)[1]
    except _UNREADABLE as error:
        raise EdgeRobertaError(
            f"process {ranks.index} cannot read a state that the main process has read ({error})",
            where=str(path),
            hint="put the work folder on a file system that all machines of the launch see",
        ) from error


def _newest(folder: Path, key: str) -> TrainingState | None:
    for leftover in folder.glob(".partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for path in _states(folder):
        try:
            version, state = _read(path)
        except _UNREADABLE as error:
            logger.warning("%s cannot be read (%s); going back to an earlier one", path, error)
            continue
        if version == SCHEMA_VERSION and state.key == key:
            return state
    for path in _states(folder):  # of another run: were they kept, their steps would count as newer
        shutil.rmtree(path, ignore_errors=True)
    return None


def _read(path: Path) -> tuple[int, TrainingState]:
    """Return a state and the version of its layout."""
    fields = torch.load(path / _FILE, map_location="cpu", weights_only=True)
    return fields.pop("schema_version"), TrainingState(**fields)


def _place(folder: Path, step: int) -> Path:
    return folder / f"{_PREFIX}{step:08d}"


def _states(folder: Path) -> list[Path]:
    """Return the finished states of a folder, newest first."""
    return sorted(folder.glob(f"{_PREFIX}*"), reverse=True)


def as_notes(state: TrainingState) -> dict[str, Any]:
    """Return what of a state is worth keeping in the lineage."""
    return {"best_score": state.best_score, "best_step": state.best_step, "history": state.history}
