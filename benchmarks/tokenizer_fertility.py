"""Into how many tokens film reviews are cut: by the packaged encoder's vocabulary, with words, by their own.

    python -m benchmarks.tokenizer_fertility

The stage ``tokenizer`` learns from the 25,000 IMDB reviews of the demo extra without the documents that it
holds out, on which everything is measured. Writes benchmarks/results/<machine>/tokenizer_fertility.json.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Result, Row, now, this_machine, write
from edgeroberta import demo, stages, targets
from edgeroberta.context import Context
from edgeroberta.data.readers import read
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.cache import cache_dir
from edgeroberta.storage.files import TOKENIZER

logger = logging.getLogger(__name__)

CASES: dict[str, dict[str, Any]] = {
    "its own": {"vocabulary": "keep"},
    "extend, 500": {"vocabulary": "extend", "added": 500},
    "extend, 2,000": {"vocabulary": "extend", "added": 2000},
    "train, 4,000": {"vocabulary": "train", "size": 4000},
    "train, 8,000": {"vocabulary": "train", "size": 8000},
    "train, 16,000": {"vocabulary": "train", "size": 16000},
    "train, 32,000": {"vocabulary": "train", "size": 32000},
}
CHUNK = 1000


@dataclass(frozen=True)
class Reviews:
    """The reviews as documents."""

    texts: Sequence[str]
    source: str = "IMDB reviews"
    digest: str = ""

    def chunks(self) -> Iterator[Sequence[str]]:
        """Give all of them."""
        for start in range(0, len(self.texts), CHUNK):
            yield self.texts[start : start + CHUNK]


def reviews() -> Reviews:
    """Read those that are not Rotten Tomatoes sentences."""
    file = demo.packaged(*demo.REVIEWS)
    columns = read(file, source=file.name).columns
    pairs = zip(columns["text"], columns["source"], strict=True)
    return Reviews([str(text) for text, source in pairs if source != demo.REVIEWS_SOURCE])


def run(model: Checkpoint, corpus: Reviews, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run the stage, and return its notes with the size of the tokenizer's file."""
    stage, none = stages.get("tokenizer"), Rows((), None, np.zeros(0, np.int64), "no rows")
    context = Context(
        output=folder,
        scratch=folder,
        inputs={},
        checkpoint=model,
        baseline=model,
        task=model.task,
        data=Splits(none, none, none, None, model.task.labels),
        target=targets.load("cpu"),
        seed=0,
        reference=None,
        progress=Progress(),
        corpus=corpus,
    )
    return {**stage.run(stage.config(**settings), context), "file": (folder / TOKENIZER).stat().st_size}


def row(name: str, notes: dict[str, Any]) -> Row:
    """Make a line of the table of a stage's notes."""
    values = (
        ("tokens", notes["tokens"]),
        ("tokens per word", round(notes["tokens_per_word"], 3)),
        ("characters per token", round(notes["characters_per_token"], 2)),
        ("rows kept", notes.get("tokens_kept", notes["tokens_before"])),
        ("embeddings MB", round(notes["embedding_bytes"] / 1e6, 1)),
        ("tokenizer.json MB", round(notes["file"] / 1e6, 2)),
    )
    return Row(name=name, title=name, values=values)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    machine, corpus = this_machine(arguments.machine), reviews()
    model, table, held = Checkpoint(demo.prepare(cache_dir()).base), [], 0
    for name in arguments.cases:
        with tempfile.TemporaryDirectory() as place:
            notes = run(model, corpus, CASES[name], Path(place))
        held = notes["heldout_documents"]
        table.append(row(name, notes))
        logger.info("%s", table[-1])
    settings = {"texts": len(corpus.texts), "held out": held}
    result = Result(
        benchmark="tokenizer_fertility", measured=now(), machine=machine, settings=settings,
        rows=tuple(table), checks=(),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
