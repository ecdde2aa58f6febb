"""The film reviews of the demo's package as unlabelled text and as labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from edgeroberta import demo
from edgeroberta.data import load_heldout, texts
from edgeroberta.data.documents import DocumentList
from edgeroberta.data.readers import read
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.storage.cache import cache_dir
from edgeroberta.tasks import Problem, Task

#: What the package calls the long reviews.
LONG = "imdb"
LABELS = demo.LABELS
#: How line breaks stand in the long reviews; they are markup, and would be one token in a hundred.
_BREAK = "<br />"


@cache
def reviews(source: str = LONG) -> Rows:
    """Read the reviews of a source, line breaks as spaces; labels int64[n], 1 where it is positive."""
    file = demo.packaged(*demo.REVIEWS)
    columns = read(file, source=file.name).columns
    chosen = [row for row, name in enumerate(columns["source"]) if name == source]
    found = tuple(" ".join(columns["text"][row].replace(_BREAK, " ").split()) for row in chosen)
    return Rows(found, None, np.array([int(columns["label"][row]) for row in chosen], np.int64), file.name)


def sentences() -> tuple[Path, Path]:
    """Return the files of Rotten Tomatoes sentences to train on and to measure on."""
    data = demo.prepare(cache_dir()).data
    return Path(data.data), Path(str(data.eval_data))


@cache
def labelled(file: Path) -> Rows:
    """Read all sentences of a file with their labels."""
    # as evaluation data, because of a training file only the held-out part is returned
    spec = DataSpec(str(file), eval_data=str(file), text="text", label="label")
    return load_heldout(spec, Task(Problem.SINGLE_LABEL, LABELS))


def encoder() -> Path:
    """Return the folder of the packaged encoder."""
    return demo.prepare(cache_dir()).base


def unlabelled(without: Sequence[Rows] = ()) -> DocumentList:
    """Give the long reviews as documents, without the texts of some rows, as the product leaves them out."""
    taken = {key for rows in without for key in texts.keys(rows)}
    found = reviews()
    kept = [text for text, key in zip(found.texts, texts.keys(found), strict=True) if key not in taken]
    return DocumentList(kept, "the long reviews")
