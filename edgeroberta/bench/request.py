"""What ``edgeroberta bench`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeroberta.data.rows import DataSpec

#: Types that the full-size model can have on a GPU.
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        bundle: Bundle folder.
        data: Where the rows are; None for the data the bundle was made with, if it is here.
        target: Name of the device class to measure on; None for this machine.
        reference: Folder of the full-size reference; None for the one the bundle carries, if any.
        model: The full-size model; None for the one the bundle was made from, if it is here.
        allow_pickle: Accept weights of ``model`` that are only there as a pickle.
        engines: Engines to take; None for all of the bundle's.
        rows: Rows to check answers on, at most; a seeded sample.
        batch: Texts per call.
        length: Tokens per text, for a fixed shape of random ids; None for the data's own lengths.
        threads: Threads for each process.
        rounds: Turns for each process.
        dtypes: Types in which the full-size model is measured on a GPU, where there is one.
    """

    bundle: Path
    data: DataSpec | None = None
    target: str | None = None
    reference: Path | None = None
    model: str | None = None
    allow_pickle: bool = False
    engines: tuple[str, ...] | None = None
    rows: int = 1000
    batch: int = 1
    length: int | None = None
    threads: int = 1
    rounds: int = 5
    dtypes: tuple[str, ...] = DTYPES
