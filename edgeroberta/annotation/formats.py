"""How files of rows are written, by the ends of their names."""

from __future__ import annotations

from pathlib import Path

from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.tasks import Word

#: What stands for standard input, and for standard output.
STDIN = STDOUT = "-"


class Format(Word):
    """A way to write rows."""

    CSV = "csv"  #: a header, then fields with commas (or semicolons) between them
    TSV = "tsv"  #: a header, then fields with tabs between them; quotes are ordinary
    JSONL = "jsonl"  #: a JSON value on each line
    PARQUET = "parquet"  #: typed columns; needs pyarrow
    TXT = "txt"  #: a text on each line, or two with a tab between them; only read


#: End of a name to the format.
_ENDS = {f".{each}": each for each in Format} | {".ndjson": Format.JSONL, ".log": Format.TXT}
#: What to do about files of other kinds.
_OTHERS = {
    ".json": "write one object a line, as .jsonl: jq -c '.[]' FILE > FILE.jsonl",
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst"), "unpack it on the way: zcat FILE | edgeroberta run …"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save it as CSV"),
}


def named(name: str | None, option: str) -> Format | None:
    """Return the format of a name; None of none. Raises UsageError: there is no such format."""
    if name is None:
        return None
    try:
        return Format(name.lower())
    except ValueError:
        raise UsageError(
            f"there is no format {name!r} ({', '.join(Format)})",
            where=option,
            hint=did_you_mean(name, list(Format)),
        ) from None


def is_of_rows(name: str) -> bool:
    """Tell whether a name ends as files of rows do, those included that are not read as they are."""
    return Path(name).suffix.lower() in {*_ENDS, *_OTHERS}


def of_file(name: str, option: str) -> Format:
    """Return the format that a file's name says; of standard input and others ``option`` must say it.

    Raises UsageError: the name says nothing.
    """
    known = " or ".join((", ".join(list(Format)[:-1]), list(Format)[-1]))
    if name == STDIN:
        raise UsageError(
            "nothing tells in which format it is", where=name, hint=f"add {option} FORMAT: {known}"
        )
    end = Path(name).suffix.lower()
    if end in _ENDS:
        return _ENDS[end]
    what = f"unknown file type {end!r}" if end else "the file's name has no extension"
    hint = _OTHERS.get(end) or f"say in which format it is: {option} FORMAT: {known}"
    raise UsageError(what, where=name, hint=hint)
