"""What a manifest says of a cascade: who is asked first, and how sure one must be to have the last word."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.tasks import Calibration, Problem, Task

#: Folder of a bundle that holds its tiers but the last, which is the bundle itself.
TIERS = "tiers"
#: What tiers are called, and their folders: what every system can call a folder.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class TierFacts:
    """A model that is asked before the last one."""

    name: str  # what a prediction calls it
    #: below the bundle's folder, with ``/``: a bundle of its own, whose manifest tells the rest, without the
    #: tokenizer where that is the last tier's
    folder: str
    digest: str  # of that bundle, see :attr:`edgeroberta.runtime.manifest.Manifest.digest`
    threshold: float  # least confidence with which its answer is given
    calibration: Calibration  # what makes a confidence of its outputs
    share: float  # part of all texts that it answered where the threshold was chosen
    #: file below the bundle's folder, int32 ``[V]`` as ``.npy``: id of each of the last tier's tokens in its
    #: own vocabulary, -1 for those that it has not. None where both are the same
    token_ids: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**vars(self), "calibration": self.calibration.to_json()}


@dataclass(frozen=True)
class CascadeFacts:
    """Several models that are asked one after the other, until one is sure enough."""

    tiers: tuple[TierFacts, ...]  # all but the last, in the order in which they are asked
    last: str  # what a prediction calls the last one
    agreement: float  # share of texts that have the last tier's answer, at least
    confidence: float  # how sure that is
    rows: int  # different texts that the thresholds were chosen by

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each tier, the last one included."""
        return (*(tier.name for tier in self.tiers), self.last)

    @property
    def escalated(self) -> float:
        """Part of all texts that the last tier answered where the thresholds were chosen."""
        return 1 - sum(tier.share for tier in self.tiers)

    def to_json(self) -> dict[str, Any]:
        """Return it as the field ``cascade`` of a manifest."""
        return {**vars(self), "tiers": [tier.to_json() for tier in self.tiers]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> CascadeFacts:
        """Read what :meth:`to_json` gave. Raises KeyError, TypeError or ValueError: it is something else."""
        tiers = tuple(_tier(each) for each in _list(fields["tiers"]))
        found = cls(
            tiers=tiers,
            last=_name(fields["last"]),
            agreement=_share(fields["agreement"]),
            confidence=_share(fields["confidence"]),
            rows=_rows(fields["rows"]),
        )
        if not tiers or len(set(found.names)) != len(found.names):
            raise ValueError(f"the tiers of a cascade are {list(found.names)}")
        return found


def mismatch(task: Task, last: Task, calibration: Calibration, *, cut: bool) -> str | None:
    """Say why answers of a model cannot stand for the last tier's; None where they can.

    What is fitted to one model may differ: all are read as the last one's. ``calibration``: the model's.
    ``cut``: whether it has fewer tokens.
    """
    if (task.problem, task.labels, task.pair) != (last.problem, last.labels, last.pair):
        return "it has another task than the last tier"
    if task.problem is Problem.EMBEDDING:
        return "embeddings of two models cannot stand for each other"
    if (task.num_outputs, task.mask_id) != (last.num_outputs, last.mask_id) or (
        task.problem is Problem.MASKED and cut
    ):
        return "it fills masks with other tokens than the last tier"
    if task.problem is Problem.REGRESSION and not calibration.values:
        return "its calibration does not say how far numbers are off"
    return None


def _tier(fields: Mapping[str, Any]) -> TierFacts:
    table, name, folder = fields["token_ids"], _name(fields["name"]), _text(fields["folder"])
    if folder != f"{TIERS}/{name}":
        raise ValueError(f"the folder of the tier {name} is {folder!r}")
    if table is not None and _text(table).rpartition("/")[0] != folder:
        raise ValueError(f"a table of the tier {name} is {table!r}")
    return TierFacts(
        name=name,
        folder=folder,
        digest=_text(fields["digest"]),
        threshold=_number(fields["threshold"]),
        calibration=Calibration.from_json(fields["calibration"]),
        share=_share(fields["share"]),
        token_ids=table,
    )


def _name(value: object) -> str:
    if not NAME.fullmatch(_text(value)):
        raise ValueError(f"{value!r} is no name of a tier")
    return str(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is not a text")
    return value


def _number(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a number")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not finite")
    return float(value)


def _share(value: object) -> float:
    found = _number(value)
    if not 0 <= found <= 1:
        raise ValueError(f"{value!r} is not from 0 to 1")
    return found


def _rows(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is not a whole number")
    return value
