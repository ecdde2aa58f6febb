"""What ``edgeroberta bench`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeroberta.data.rows import DataSpec

#: Types that the full-size model can have on a GPU.
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Request:
    """What to measure."""

    bundle: Path  # bundle folder
    #: where the rows are; None for the data the bundle was made with, if it is here
    data: DataSpec | None = None
    target: str | None = None  # name of the device class to measure on; None for this machine
    #: folder of the full-size reference; None for the one the bundle carries, if any
    reference: Path | None = None
    model: str | None = None  # the full-size model; None for the one the bundle was made from, if it is here
    allow_pickle: bool = False  # accept weights of ``model`` that are only there as a pickle
    engines: tuple[str, ...] | None = None  # engines to take; None for all of the bundle's
    rows: int = 1000  # rows to check answers on, at most; a seeded sample
    batch: int = 1  # texts per call
    #: tokens per text, for a fixed shape of random ids; None for the data's own lengths
    length: int | None = None
    threads: int = 1  # threads for each process
    rounds: int = 5  # turns for each process
    #: types in which the full-size model is measured on a GPU, where there is one
    dtypes: tuple[str, ...] = DTYPES
