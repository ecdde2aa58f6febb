"""What ``edgeroberta bench`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeroberta.data.rows import DataSpec
from edgeroberta.measure.protocol import DTYPES


@dataclass(frozen=True)
class BenchRequest:
    """What to measure."""

    bundle: Path  # bundle folder
    data: DataSpec | None = None  # where the rows are; None for the data the bundle was made with
    target: str | None = None  # name of the device class to measure on; None for this machine
    reference: Path | None = None  # folder of the baseline; None for the bundle's own, if any
    model: str | None = None  # the baseline; None for the one the bundle was made from, if it is here
    #: graphs of other programs that get a row each: their files, or folders with one
    beside: tuple[Path, ...] = ()
    allow_pickle: bool = False  # accept weights of ``model`` that are only there as a pickle
    engines: tuple[str, ...] | None = None  # engines to take; None for all of the bundle's
    rows: int = 1000  # rows to check answers on, at most; a seeded sample
    batch: int = 1  # texts per call
    length: int | None = None  # tokens per text, for random ids; None for the data's own lengths
    threads: int = 1  # threads for each process
    rounds: int = 5  # turns for each process
    dtypes: tuple[str, ...] = DTYPES  # types in which the baseline is measured on a GPU
    metric: str | None = None  # name of the metric that is shown; None for the one the bundle was judged by
