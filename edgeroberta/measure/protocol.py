"""What goes between the parent and a worker: one JSON object per line, both ways.

The first line to a worker is a :class:`SubjectSpec`; its answer says what was opened and how long that took.
After that, each line to it is a request with a field ``do`` (see ``worker``) and each line from it an
answer, or an object ``{"error": …}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeroberta.tasks import Word

Inputs = Sequence[str] | Sequence[tuple[str, str]]


#: Types that the baseline can have on a GPU.
DTYPES = ("float32", "float16", "bfloat16")


class RowStatus(Word):
    """How a row of a table ended; "ran" and "still right" are two things."""

    OK = "ok"  #: it ran, and its answers were checked
    WRONG = "wrong"  #: it ran, and its answers are not those of the baseline
    UNCHECKED = "unchecked"  #: it ran; there were no baseline answers, or labels that mean nothing
    MISSING = "not installed"  #: a package it needs is not here
    FAILED = "failed"  #: it said what went wrong
    CRASHED = "crashed"  #: its process died
    TIMED_OUT = "timed out"  #: it did not answer in time and was stopped
    INVALID = "invalid"  #: it ran and its answers were not found wrong, but the device throttled
    STORED = "stored"  #: measured elsewhere, or earlier


@dataclass(frozen=True)
class SubjectSpec:
    """What a worker is to open."""

    subject: str  # ``module:function`` that opens it; see the table in ``subjects``
    path: str  # bundle or model folder, or the graph of another program
    inputs: Inputs  # texts or pairs that requests refer to by number
    threads: int = 1  # threads for the engine
    engine: str | None = None  # engine name, where there is a choice
    device: str = "cpu"  # ``cpu`` or ``cuda``, for what PyTorch runs
    #: tokens that windows of a long text overlap by, for the baseline; None where it is cut. Bundles do what
    #: their manifest says, but that what they refuse is cut here.
    overlap: int | None = None
    dtype: str = "float32"  # type that PyTorch's weights have: ``float32``, ``float16`` or ``bfloat16``
    #: true tokens of each input's masks, whose log-probabilities are wanted in the accuracy pass; None for
    #: inputs without masks
    targets: Sequence[Sequence[int]] | None = None
    tier: str | None = None  # the tier of a cascade that is to answer alone; None for all of them
    #: of a graph of another program, the folder of the bundle that it answers beside; None of what is ours
    bundle: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> SubjectSpec:
        """Read :meth:`to_json`'s object back; JSON's lists become pairs again."""
        inputs = [tuple(each) if isinstance(each, list) else each for each in fields["inputs"]]
        return cls(**{**fields, "inputs": inputs})


@dataclass(frozen=True)
class WorkerReady:
    """A worker's first answer."""

    engine: str  # what runs the model
    version: str  # version of the engine
    device: str  # what it runs on, ``cpu`` or the name of a GPU
    bytes: int  # size on disk of the files it loads
    #: seconds from before the first import to the first answer (Python's own start is left out; the files may
    #: well be in the system's cache)
    cold_start_s: float
    vocab_size: int  # token ids there are, for random input
    device_clock: bool = False  # True when the engine can tell its time by the device's own clock
    tiers: Sequence[str] = ()  # names of a cascade's tiers, in the order in which they are asked
