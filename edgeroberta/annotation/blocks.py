"""A block: rows of a source that are answered together, with all their columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.runtime.encoding import Input

#: What a row asks, or why it cannot be read.
Asked = Input | EdgeRobertaError


@dataclass(frozen=True, eq=False)
class Block:
    """Rows; each kind of source has its own way to keep their columns."""

    asked: Sequence[Asked]  # what each row asks
    places: Sequence[str]  # where each row stands, for errors
    read: int  # how much of the source has been read with this block, in the source's unit

    def __len__(self) -> int:
        return len(self.asked)

    def names(self) -> list[str]:
        """Name the columns."""
        raise NotImplementedError

    def rows(self, kept: Sequence[int], names: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Give the cells of some rows, in the order of ``names``."""
        raise NotImplementedError

    def records(self, kept: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Give some rows as objects."""
        names = self.names()
        return (dict(zip(names, cells, strict=True)) for cells in self.rows(kept, names))

    def table(self, kept: Sequence[int]) -> Any:
        """Give some rows as a ``pyarrow.Table``."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class TextBlock(Block):
    """Rows of texts, as CSV, TSV and lines have them; the cells of one that cannot be read are None."""

    header: Sequence[str]
    cells: Sequence[Sequence[str | None]]

    def names(self) -> list[str]:
        """Name the columns."""
        return list(self.header)

    def rows(self, kept: Sequence[int], names: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Give the cells as they are: their columns never change."""
        return (self.cells[row] for row in kept)

    def table(self, kept: Sequence[int]) -> Any:
        """Give columns of strings."""
        import pyarrow

        chosen = [self.cells[row] for row in kept]
        columns = zip(*chosen, strict=True) if chosen else ([] for _ in self.header)
        arrays = [pyarrow.array(column, pyarrow.string()) for column in columns]
        return pyarrow.Table.from_arrays(arrays, names=list(self.header))


@dataclass(frozen=True, eq=False)
class RecordBlock(Block):
    """Objects of JSON Lines, each with the fields that it has; one that cannot be read has none."""

    objects: Sequence[dict[str, Any]]

    def names(self) -> list[str]:
        """Name the fields that any of the objects has."""
        return list(dict.fromkeys(name for each in self.objects for name in each))

    def rows(self, kept: Sequence[int], names: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Give the fields in order, None for one that an object lacks."""
        return ([self.objects[row].get(name) for name in names] for row in kept)

    def records(self, kept: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Give the objects themselves."""
        return (self.objects[row] for row in kept)

    def table(self, kept: Sequence[int]) -> Any:
        """Give columns of the types that pyarrow finds in this block."""
        import pyarrow

        rows = [self.objects[row] for row in kept]
        return pyarrow.table({name: [row.get(name) for row in rows] for name in self.names()})


@dataclass(frozen=True, eq=False)
class ArrowBlock(Block):
    """A part of a Parquet file."""

    batch: Any  # pyarrow.RecordBatch

    def names(self) -> list[str]:
        """Name the columns."""
        return list(self.batch.schema.names)

    def rows(self, kept: Sequence[int], names: Sequence[str]) -> Iterator[Sequence[Any]]:
        """Give the cells as Python's values."""
        part = self.table(kept)
        return zip(*(_values(part.column(name)) for name in names), strict=True)

    def table(self, kept: Sequence[int]) -> Any:
        """Give the columns as they are, with the types that the file has."""
        import pyarrow

        whole = pyarrow.Table.from_batches([self.batch])
        return whole if len(kept) == len(self.batch) else whole.take(pyarrow.array(kept, pyarrow.int64()))


def _values(column: Any) -> list[Any]:
    """Return the values of a column; as text those that Python's types are too small for."""
    import pyarrow

    if column.type == pyarrow.time64("ns"):  # of which Python's would lose the last digits
        column = column.cast(pyarrow.string())
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):  # years beyond 9999; nanoseconds, where pandas is not installed
        values = column.cast(pyarrow.string()).to_pylist()
    return values
