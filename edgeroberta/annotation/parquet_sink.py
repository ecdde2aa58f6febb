"""Writes Parquet: the columns of the rows as they are, those of the answers with types of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

from edgeroberta.annotation.answer_columns import AnswerColumn
from edgeroberta.annotation.blocks import Block
from edgeroberta.annotation.sources import Source
from edgeroberta.errors import DataError

#: A row group ends with as many bytes, or rows: groups of a block alone would be too small for readers, and
#: one of all rows would be held in memory until the end.
GROUP_BYTES, GROUP_ROWS = 16 << 20, 1 << 16


class ParquetSink:
    """One file; the first block of rows says the types of its columns."""

    def __init__(self, file: Any, source: Source, answers: Sequence[AnswerColumn]) -> None:
        self._file, self._source, self._answers = file, source, answers
        self._types = [each.type() for each in answers]
        self._writer: Any = None
        self._schema: Any = None
        self._held: list[Any] = []

    def write(self, block: Block, kept: Sequence[int], cells: Sequence[Sequence[Any]]) -> None:
        """Write some rows of a block."""
        where = block.places[kept[0]]
        try:
            table = self._with_answers(block.table(kept), cells)
            if self._schema is None:
                self._writer = pyarrow.parquet.ParquetWriter(self._file, table.schema)
                self._schema = table.schema
        except (pyarrow.ArrowException, OverflowError, UnicodeError) as error:
            raise _unfit(f"the rows from here on have values that Parquet has not: {error}", where) from error
        if table.schema != self._schema:
            table = self._fitted(table, where)
        if self._held and _narrow_dictionaries(table) != _narrow_dictionaries(self._held[-1]):
            self._write_group()
        self._held.append(table)
        held = self._held
        if sum(len(part) for part in held) >= GROUP_ROWS or sum(part.nbytes for part in held) >= GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        """Write what is held back, and the end of the file."""
        if self._writer is None:
            names = [(name, pyarrow.string()) for name in self._source.names]
            schema = self._source.schema or pyarrow.schema(names)
            table = self._with_answers(schema.empty_table(), [[] for _ in self._answers])
            self._writer = pyarrow.parquet.ParquetWriter(self._file, table.schema)
        self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        """End the file as it is: a writer that is left open complains once the file is closed."""
        self._held = []
        if self._writer is not None:
            self._writer.close()

    def _with_answers(self, table: Any, cells: Sequence[Sequence[Any]]) -> Any:
        for each, type_, column in zip(self._answers, self._types, cells, strict=True):
            table = table.append_column(pyarrow.field(each.name, type_), pyarrow.array(column, type_))
        return table

    def _write_group(self) -> None:
        if self._held:
            self._writer.write_table(pyarrow.concat_tables(self._held))
            self._held = []
            # Else the pool keeps what a large group took, and the process seems to grow (pyarrow 26).
            pyarrow.default_memory_pool().release_unused()

    def _fitted(self, table: Any, where: str) -> Any:
        """Give rows of JSON Lines the types of the first ones; columns that they lack are empty."""
        more = [name for name in table.schema.names if name not in self._schema.names]
        try:
            if more:
                raise ValueError(f"a column {more[0]!r}, which the first rows do not have")
            columns = [
                table.column(field.name).cast(field.type)
                if field.name in table.schema.names
                else pyarrow.nulls(len(table), field.type)
                for field in self._schema
            ]
        except (pyarrow.ArrowException, ValueError) as error:
            what = f"the rows from here on do not have the types of the first ones: {error}"
            raise _unfit(what, where) from error
        return pyarrow.Table.from_arrays(columns, schema=self._schema)


def _unfit(what: str, where: str) -> DataError:
    hint = "write JSON Lines, where each row may have its own types: -o FILE.jsonl"
    return DataError(what, where=where, hint=hint)


def _narrow_dictionaries(table: Any) -> list[Any]:
    """Return the dictionaries of columns whose indices have no room for those of several blocks.

    A group with more values than that is written without an error, and cannot be read (pyarrow 26).
    """
    return [
        column.chunk(0).dictionary
        for column in table.columns
        if pyarrow.types.is_dictionary(column.type) and column.type.index_type.bit_width < 32
    ]
