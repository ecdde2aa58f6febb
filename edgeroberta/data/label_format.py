"""How the cells of a label column are read: as names, as ids, as zeros and ones, or as values.

It is decided once, on the training rows, and kept: for the rows of the gate, and with the bundle. A cell
"1" may be the name of a label or the id of another, so nothing is read anew file by file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.tasks import Word


class Format(Word):
    """What a cell, or an element of a list in a cell, stands for."""

    NAMES = "names"  #: a label by its name
    IDS = "ids"  #: a label by its number, counted from 0 in the order of the model or of the data set
    MULTI_HOT = "multi-hot"  #: lists of one 0 or 1 per label
    VALUES = "values"  #: the value of a regression
    TAGS = "tags"  #: one tag per word, in any scheme


@dataclass(frozen=True)
class LabelFormat:
    """How labels are read."""

    format: Format  # what a cell stands for
    #: what the data's own ids, or places in a list, stand for, where its features or its columns say so; None
    #: where they are the model's
    names: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"format": self.format.value, "names": None if self.names is None else list(self.names)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LabelFormat:
        """Read back what :meth:`to_json` gave; KeyError, TypeError or ValueError of anything else."""
        names = fields["names"]
        return cls(Format(fields["format"]), None if names is None else tuple(map(str, names)))


def parse(name: str) -> Format:
    """Read what ``--label-format`` says. Raises UsageError: there is no such format."""
    known = [each.value for each in Format]
    if name in known:
        return Format(name)
    hint = did_you_mean(name, known) or f"one of {', '.join(known)}"
    raise UsageError(f"unknown format {name!r}", where="--label-format", hint=hint)
