"""Which scores of units lose least when heads and FFN neurons go and nothing is trained afterwards.

    python -m benchmarks.pruning_scores --model CHECKPOINT --data train.tsv --eval-data dev.tsv

Each method prunes the checkpoint once, with several seeds: a seed draws the texts that units are scored on,
and random scores. Answers are those of the pruned checkpoint as it was written and loaded again. Writes
benchmarks/results/<machine>/pruning-scores.json.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.data import DataSpec, Splits, load_splits
from edgeroberta.prune import allocation, importance
from edgeroberta.prune.importance import Importance, ImportanceMethod, ScoringExamples
from edgeroberta.roberta import loading, surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.tasks import Task
from edgeroberta.training import batching, prediction
from edgeroberta.training.batching import Tokens

logger = logging.getLogger(__name__)

HEADS, FFN = 0.67, 0.5
SEEDS = (0, 1, 2)
LENGTH = 128


@dataclass(frozen=True, eq=False)
class Subject:
    """The checkpoint, its rows, and the held-out texts with their labels and its answers."""

    model: Path
    task: Task
    data: Splits
    heldout: Tokens
    labels: Any
    expected: np.ndarray


def answers(folder: Path, task: Task, tokens: Tokens) -> np.ndarray:
    """Return the label of each text, int64[n]."""
    outputs = prediction.predict(loading.load_classifier(folder, task), tokens, precision="fp32")
    found: np.ndarray = np.argmax(outputs.values, axis=1)
    return found


def scores(subject: Subject, method: ImportanceMethod, seed: int, texts: int) -> Importance:
    """Score the units on texts that the seed draws."""
    train = subject.data.train
    rows = train.select(np.random.default_rng(seed).permutation(len(train))[:texts])
    tokens = batching.tokenize(subject.model, rows.inputs(), max_length=LENGTH)
    examples = ScoringExamples(tokens, np.asarray(rows.labels), subject.task.problem)
    model = loading.load_classifier(subject.model, subject.task)
    return importance.score(model, examples, method=method, seed=seed)


def pruned(subject: Subject, found: Importance) -> tuple[float, float]:
    """Prune by scores; return the accuracy, and the share of answers that stay the same."""
    whole = loading.load_classifier(subject.model, subject.task)
    shape = surgery.shape_of(whole)
    kept = allocation.allocate_counts(
        found,
        heads=round(HEADS * sum(layer.heads for layer in shape.layers)),
        neurons=round(FFN * sum(layer.intermediate for layer in shape.layers)),
    )
    with tempfile.TemporaryDirectory() as folder:
        loading.save_classifier(surgery.prune(whole, kept), Path(folder), tokenizer=subject.model)
        given = answers(Path(folder), subject.task, subject.heldout)
    return float((given == subject.labels).mean()), float((given == subject.expected).mean())


def measure(subject: Subject, method: ImportanceMethod, texts: int, seeds: Sequence[int]) -> Row:
    """Prune by one method with every seed."""
    accuracies, same, seconds = [], [], []
    for seed in seeds:
        started = time.perf_counter()
        found = scores(subject, method, seed, texts)
        seconds.append(time.perf_counter() - started)
        accuracy, equal = pruned(subject, found)
        accuracies.append(accuracy)
        same.append(equal)
    each = zip(seeds, accuracies, strict=True)
    title = f"{method}, {texts} texts" if method is ImportanceMethod.TAYLOR else str(method)
    return Row(
        name=f"{method}-{texts}" if method is ImportanceMethod.TAYLOR else str(method),
        title=title,
        accuracy=round(float(np.mean(accuracies)), 4),
        same_answers=round(float(np.mean(same)), 4),
        values=(
            *((f"accuracy, seed {seed}", round(accuracy, 4)) for seed, accuracy in each),
            ("scoring s", round(float(np.mean(seconds)), 2)),
        ),
    )


def checks(rows: Sequence[Row], texts: int) -> tuple[Check, ...]:
    """Hold Taylor scores on the given number of texts against the other two."""
    accuracy = {row.name: float(row.accuracy or 0) for row in rows}
    taylor = accuracy[f"{ImportanceMethod.TAYLOR}-{texts}"]
    return tuple(
        Check(
            title=f"Taylor's accuracy minus {other}'s",
            value=round(100 * (taylor - accuracy[str(other)]), 2),
            unit="points",
            direction="at least",
            bar=0,
        )
        for other in (ImportanceMethod.MAGNITUDE, ImportanceMethod.RANDOM)
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="fine-tuned checkpoint, one label a text")
    parser.add_argument("--data", required=True, help="labelled texts to score units on")
    parser.add_argument("--eval-data", required=True, help="labelled texts to answer")
    parser.add_argument("--texts", type=int, nargs="+", default=[2048], help="how many; the first is checked")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    machine, model = this_machine(arguments.machine), arguments.model
    task = Checkpoint(model).task
    splits = load_splits(DataSpec(arguments.data, eval_data=arguments.eval_data), task=task)
    heldout = batching.tokenize(model, splits.heldout.inputs(), max_length=512)
    expected, labels = answers(model, task, heldout), np.asarray(splits.heldout.labels)
    subject = Subject(model, task, splits, heldout, labels, expected)
    whole = Row(name="whole", title="not pruned", accuracy=round(float((expected == labels).mean()), 4))
    table, first = [whole], arguments.texts[0]
    # Magnitudes are of the weights alone: every seed gives the same.
    todo = [(ImportanceMethod.MAGNITUDE, first, SEEDS[:1]), (ImportanceMethod.RANDOM, first, SEEDS)]
    for method, texts, seeds in [
        *((ImportanceMethod.TAYLOR, count, SEEDS) for count in arguments.texts),
        *todo,
    ]:
        table.append(measure(subject, method, texts, seeds))
        logger.info("%s", table[-1])
    settings: dict[str, Any] = {"heads": HEADS, "ffn": FFN, "held-out texts": len(heldout)}
    result = Result(
        benchmark="pruning-scores", measured=now(), machine=machine, settings=settings, rows=tuple(table),
        checks=checks(table, first),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
