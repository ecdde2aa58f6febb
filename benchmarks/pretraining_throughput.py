"""Tokens per second of the stage ``pretrain`` beside transformers' Trainer with its collator of masked words.

    python -m benchmarks.pretraining_throughput [--rounds 5] [--steps 8] [--cases encoder small short]

Both train the same model on the same text with the same batches, optimizer and dropout, one thread, in turns
within one process; what is timed is the time of the processor (on a GPU, of the wall) from the end of the
first step to that of the last but one, and what is counted is tokens that are no padding. The Trainer gets
its usual best settings: fused AdamW, batches of texts of similar length, the faster kind of attention, bf16
where that is faster, no logging, no saving. On a GPU: ``--batches 16 --documents 4000 --steps 24``. Of long
texts both get the blocks that ``pretrain`` packs; of short ones (Rotten Tomatoes sentences) the Trainer gets
each text by itself, as many a step as have the same number of tokens.
Writes benchmarks/results/<machine>/pretraining_throughput.json.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import estimates, judging, reviews, stage_runs
from benchmarks.results import RESULTS, Check, Result, Row, now, this_machine, write
from benchmarks.stage_runs import StageRun
from benchmarks.trainer_run import Means, Trained, clock, train
from edgeroberta.data.documents import DocumentList
from edgeroberta.progress import Advance, Progress

if TYPE_CHECKING:
    from edgeroberta.training.batching import Tokens

logger = logging.getLogger(__name__)

OURS, TRAINER = "`pretrain`", "transformers Trainer"
DROPOUT, RATE = 0.1, 1e-4


@dataclass(frozen=True)
class Case:
    """A model and texts. ``least``: how many times the Trainer's speed was promised."""

    name: str
    title: str
    least: float
    length: int
    batch: int
    accumulation: int
    small: bool = False  # 2 layers x 128 with random weights and a vocabulary of 4,000
    short: bool = False  # sentences in place of reviews

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the stage, beside steps."""
        shape = {
            "initialization": "random",
            "layers": 2,
            "hidden_size": 128,
            "attention_heads": 2,
            "intermediate_size": 512,
        }
        return {
            **(shape if self.small else {"head_steps": 0}),
            "max_length": self.length,
            "batch_size": self.batch,
            "accumulation": self.accumulation,
            "learning_rate": RATE,
            "dropout": DROPOUT,
            "attention_dropout": DROPOUT,
            "checkpoint_seconds": 1e6,
        }


CASES = (
    Case("encoder", "packaged encoder, 6 layers x 384, blocks of 512", 0.95, 512, 4, 2),
    Case("small", "2 layers x 128, random weights, blocks of 512", 0.95, 512, 4, 2, small=True),
    # as long as the recipes `adapt` and `from-scratch` have their blocks
    Case(
        "short",
        "packaged encoder, short texts: in blocks of 256, and each by itself",
        1.3,
        256,
        8,
        1,
        short=True,
    ),
    Case(
        "short-small",
        "2 layers x 128, short texts: in blocks of 128",
        1.3,
        128,
        16,
        2,
        small=True,
        short=True,
    ),
)


class StepTimes(Progress):
    """Notes the time at the end of each step of a stage."""

    def __init__(self, label: str) -> None:
        self._label = label
        self.times: list[float] = []

    @contextmanager
    def bar(self, label: str, total: int, unit: str, *, done: int = 0) -> Iterator[Advance]:
        """Time the bar of the stage's steps; say nothing."""

        def advance(n: int = 1, note: str = "") -> None:
            if label == self._label:
                self.times.append(clock())

        yield advance


def model(case: Case, work: Path) -> Path:
    """Return what a case starts from: the packaged encoder, or one with fewer tokens, made of the reviews."""
    if not case.small:
        return reviews.encoder()
    settings = {"vocabulary": "train", "size": 4000}
    corpus = DocumentList(reviews.reviews().texts[:2000], "the long reviews")
    made = StageRun("tokenizer", settings, reviews.encoder(), work / "tokenizer", 0, corpus)
    stage_runs.done(made)
    return made.output


def texts(case: Case, count: int) -> list[str]:
    """Return what is learned from, about as much of either kind of text."""
    if case.short:
        return list(reviews.labelled(reviews.sentences()[0]).texts[: 10 * count])
    return list(reviews.reviews().texts[:count])


def ours(case: Case, source: Path, documents: Sequence[str], steps: int) -> Trained:
    """Run the stage for some steps from a model."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {**case.settings, "steps": steps, "eval_steps": steps}
        run = StageRun("pretrain", settings, source, Path(folder), 0, DocumentList(documents))
        timed = StepTimes("pretrain")
        notes = stage_runs.done(run, progress=timed)
    return Trained(timed.times, [notes["tokens_seen"] / notes["steps"]] * len(timed.times))


def theirs(case: Case, source: Path, documents: Sequence[str], steps: int, means: Means) -> Trained:
    """Let the Trainer train the same model for as many steps of as many tokens."""
    blocks: Tokens = judging.packed(source, documents, "full-sentences", case.length)
    batch = case.batch
    if case.short:
        from edgeroberta.training import batching

        sentences = batching.tokenize(source, list(documents), max_length=case.length)
        batch = round(case.batch * blocks.lengths.mean() / sentences.lengths.mean())
        blocks = sentences
    return train(case.settings, source, blocks, batch=batch, steps=steps, means=means)


def fastest_means(case: Case, source: Path, documents: Sequence[str], steps: int) -> Means:
    """Try both kinds of attention of transformers, in both types, and return what is fastest."""
    means = [Means(attention, bf16) for attention in ("sdpa", "eager") for bf16 in (False, True)]
    tried = {each: theirs(case, source, documents, steps, each).speed for each in means}
    logger.info("%s: %s", case.name, tried)
    return max(tried, key=lambda each: tried[each])


def measured(case: Case, count: int, steps: int, rounds: int) -> list[tuple[float, float]]:
    """Let both train in turns; returns tokens per second of both in each round."""
    documents, found = texts(case, count), []
    with tempfile.TemporaryDirectory() as folder:
        source = model(case, Path(folder))
        means = fastest_means(case, source, documents, max(3, steps // 2))
        for number in range(rounds):
            one = ours(case, source, documents, steps).speed
            other = theirs(case, source, documents, steps, means).speed
            logger.info("%s, round %d: %.0f and %.0f tokens a second", case.name, number, one, other)
            found.append((one, other))
    return found


def rows(case: Case, found: Sequence[tuple[float, float]]) -> Iterator[Row]:
    """Make the lines of a case; ``found``: tokens per second of both in each round."""
    name = "tokens per second"
    ratios = [one / other for one, other in found]
    for title, speeds in ((OURS, [one for one, _ in found]), (TRAINER, [other for _, other in found])):
        known = [estimates.estimate(name, speeds)]
        known += [estimates.estimate("times the Trainer", ratios)] if title == OURS else []
        yield Row(name=f"{case.name}/{title}", title=title, group=case.title, estimates=tuple(known))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both in turns and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=8, help="of each round; the first and last are not timed"
    )
    parser.add_argument("--documents", type=int, default=200, help="reviews, or tens of sentences")
    parser.add_argument("--batches", type=int, default=1, help="times the texts of a pass that a CPU gets")
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", default=names, choices=names)
    parser.add_argument("--machine", help="name of the results folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import torch

    torch.set_num_threads(1)
    machine, lines, checks = this_machine(options.machine), list[Row](), list[Check]()
    chosen = [each for each in CASES if each.name in options.cases]
    for case in [replace(each, batch=each.batch * options.batches) for each in chosen]:
        found = measured(case, options.documents, options.steps, options.rounds)
        lines += rows(case, found)
        ratio = statistics.median(one / other for one, other in found)
        checks.append(
            Check(
                title=f"pre-training, {case.title}: tokens per second against transformers' Trainer",
                value=round(ratio, 4),
                unit="x",
                direction="at least",
                bar=case.least,
            )
        )
    result = Result(
        benchmark="pretraining_throughput",
        measured=now(),
        machine=machine,
        settings={"rounds": options.rounds, "steps": options.steps, "threads": 1, "dropout": DROPOUT},
        rows=tuple(lines),
        checks=tuple(checks),
    )
    logger.info("%s", write(result, folder=RESULTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
