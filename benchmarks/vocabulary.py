"""What cutting the vocabulary costs and saves: bytes, texts that change, answers that change.

    python -m benchmarks.vocabulary --model CHECKPOINT --data train.tsv --eval-data dev.tsv

The tokens are chosen by the texts of --data alone. Writes
benchmarks/results/<machine>/vocabulary.json.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.data import DataSpec, load_splits
from edgeroberta.roberta import corpus, token_prior, token_selection, vocabulary_cut
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.roberta.token_selection import VocabularyLimits
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Task
from edgeroberta.training import batching, prediction

logger = logging.getLogger(__name__)

CASES = {
    "used": VocabularyLimits(keep=0),
    "keep-0.4": VocabularyLimits(),
    **{f"size-{size}": VocabularyLimits(size=size) for size in (15_000, 12_000, 10_000, 8_000, 6_000)},
}
CHUNK = 8192
SAVED = "embeddings saved %"


@dataclass(frozen=True)
class Source:
    """The whole model, the counts of its tokens in the texts, and the likelihood of the others."""

    model: Checkpoint
    task: Task
    file: TokenizerFile
    counts: Any
    likely: Any


def chunks(inputs: list[Any]) -> Iterator[list[Any]]:
    """Cut texts into lists of some thousand."""
    for start in range(0, len(inputs), CHUNK):
        yield inputs[start : start + CHUNK]


def answers(model: Checkpoint | Path, task: Task, texts: list[Any]) -> np.ndarray:
    """Return the label of each text, int64[n]."""
    classifier = load_classifier(model, task)
    tokens = batching.tokenize(model, texts, max_length=512)
    return np.argmax(prediction.predict(classifier, tokens, precision="fp32").values, axis=1)


def measure(name: str, source: Source, texts: list[Any], labels: Any, expected: np.ndarray) -> Row:
    """Cut the vocabulary one way and compare answers with the whole model's."""
    with tempfile.TemporaryDirectory() as place:
        folder, started = Path(place), time.perf_counter()
        kept = token_selection.choose(
            source.file,
            source.counts,
            limits=CASES[name],
            fixed=vocabulary_cut.fixed_ids(source.model),
            prior=source.likely,
        )
        vocabulary_cut.write_tokenizer(source.file, folder, kept)
        vocabulary_cut.write_model(source.model, folder, kept, max_length=None)
        seconds = time.perf_counter() - started
        found, rows = answers(folder, source.task, texts), len(source.counts)
        after = corpus.count(source.model.folder, chunks(texts), rows)
        after[list(source.file.named)] = 0
        width = source.model.config.hidden_size
        values = (
            ("tokens", len(kept)),
            (SAVED, round(100 * (1 - len(kept) / rows), 2)),
            ("int8 embeddings MB", round(len(kept) * width / 1e6, 3)),
            ("tokenizer.json MB", round((folder / TOKENIZER).stat().st_size / 1e6, 3)),
            ("coverage %", round(100 * float(after[kept].sum() / after.sum()), 2)),
            ("changed texts", corpus.changed(source.model.folder, folder, kept, chunks(texts))),
            ("surgery s", round(seconds, 2)),
        )
    return Row(
        name=name,
        title=f"vocabulary: {name}",
        accuracy=round(float((found == labels).mean()), 4),
        same_answers=round(float((found == expected).mean()), 4),
        values=values,
    )


def checks(rows: list[Row]) -> tuple[Check, ...]:
    """Hold the default to what was promised."""
    found: list[Check] = []
    for row in rows:
        if row.name == "keep-0.4":
            saved, same = dict(row.values)[SAVED], round(100 * (row.same_answers or 0), 2)
            found = [
                Check(title="keep 0.4: embedding bytes saved", value=saved, unit="%", direction="at least",
                      bar=60),
                Check(title="keep 0.4: same answers", value=same, unit="%", direction="at least", bar=99.5),
            ]  # fmt: skip
    return tuple(found)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="fine-tuned checkpoint")
    parser.add_argument("--data", required=True, help="texts that tell which tokens are used")
    parser.add_argument("--eval-data", required=True, help="labelled texts to compare answers on")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    machine, model = this_machine(arguments.machine), Checkpoint(arguments.model)
    task = model.task
    splits = load_splits(DataSpec(arguments.data, eval_data=arguments.eval_data), task=task)
    texts, rows = splits.heldout.inputs(), vocabulary_cut.rows(model)
    file = TokenizerFile.read(model.folder / TOKENIZER)
    parts = (splits.train, splits.validation)
    counts = sum(corpus.count(model.folder, chunks(part.inputs()), rows) for part in parts)
    used = token_selection.needed(file, counts) > 0
    likely = token_prior.score(model, used, token_selection.ranks(file, rows))
    source, expected = Source(model, task, file, counts, likely), answers(model, task, texts)
    table = []
    for name in arguments.cases:
        table.append(measure(name, source, texts, splits.heldout.labels, expected))
        logger.info("%s", table[-1])
    settings: dict[str, Any] = {"texts": len(texts), "tokens": rows}
    result = Result(
        benchmark="vocabulary", measured=now(), machine=machine, settings=settings, rows=tuple(table),
        checks=checks(table),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
