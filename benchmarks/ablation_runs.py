"""One run of the ablation: a RoBERTa from random weights, its perplexity, its accuracy after fine-tuning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import reviews, stage_runs
from benchmarks.judging import accuracy, packed, perplexity
from benchmarks.stage_runs import StageRun
from edgeroberta.data.documents import DocumentList
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import digest_value

#: Documents that tell how long the blocks of a packing are on average.
_PROBED = 300
#: Reviews that the best epoch of fine-tuning is chosen by.
VALIDATED = 500
#: What a run's numbers are kept in.
_JUDGED = "judged.json"
#: Tokens of a pass, about: those of larger batches are several.
_AT_ONCE = 8192


@dataclass(frozen=True)
class Preset:
    """Shape of the model, and how much it sees."""

    layers: int
    hidden_size: int
    attention_heads: int
    vocabulary: int  # tokens of the BPE
    tokens: int  # that a run sees
    documents: int | None  # reviews to learn from; None for all
    batch: int  # blocks of a step where the batch is not what differs
    learning_rate: float
    batches: tuple[tuple[int, tuple[float, ...]], ...]  # batches to compare, and the rates of each
    batch_length: int  # tokens of their blocks
    length: int = 128
    long: int = 512
    dropout: float = 0.0
    judged: int = 300  # reviews for perplexity, of which no run sees anything
    labelled: int = 2000  # reviews with labels to fine-tune on
    tested: int = 2000  # reviews with labels that accuracy is measured on
    epochs: int = 2  # of fine-tuning
    tuning_rate: float = 1e-3
    passes: int = 40  # over little text, of which masks are drawn anew or ten times


@dataclass(frozen=True)
class Case:
    """A row of the table: what is different from the baseline.

    ``partner``: the row that it is compared with. ``expected``: 1 where the paper found its perplexity
    higher than the partner's, -1 where lower. ``paper``: what the paper says.
    """

    name: str
    title: str
    partner: str = ""
    expected: int = 0
    paper: str = ""
    packing: str = "full-sentences"
    masking: str = "dynamic"
    batch: int | None = None  # a batch of the preset's to compare
    rate: int = 0  # which of its rates
    long: bool = False
    few: bool = False  # many passes over little text

    def length(self, preset: Preset) -> int:
        """Return how many tokens a block has at most."""
        if self.batch is not None:
            return preset.batch_length
        return preset.long if self.long else preset.length


@dataclass(frozen=True, eq=False)
class ReviewParts:
    """What each review is used for."""

    judged: DocumentList
    corpus: DocumentList
    splits: Splits
    tested: Rows


@dataclass(frozen=True)
class Ablation:
    """What all runs share."""

    preset: Preset
    work: Path

    @property
    def vocabulary(self) -> StageRun:
        """The run that makes the tokenizer, of the text that is learned from."""
        settings = {"vocabulary": "train", "size": self.preset.vocabulary}
        corpus = parts(self.preset).corpus
        return StageRun("tokenizer", settings, reviews.encoder(), self.work / "tokenizer", 0, corpus)

    def corpus(self, case: Case) -> DocumentList:
        """Return the text of a case."""
        whole = parts(self.preset).corpus
        if not case.few:
            return whole
        per_document = mean_tokens(self.vocabulary.output, whole)
        count = round(self.preset.tokens / self.preset.passes / per_document)
        return DocumentList(whole.documents[: max(count, 20)], "some of the long reviews")

    def pretraining(self, case: Case, seed: int) -> StageRun:
        """Return the run of the stage ``pretrain``; its steps have as many tokens as others of its batch."""
        preset, model = self.preset, self.vocabulary.output
        corpus, length = self.corpus(case), case.length(self.preset)
        batch, rate = preset.batch, preset.learning_rate
        if case.batch is not None:
            batch, rate = case.batch, dict(preset.batches)[case.batch][case.rate]
        passes = 1 << max(0, math.ceil(math.log2(batch * length / _AT_ONCE)))
        mean = mean_block(model, corpus, case.packing, length)
        usual = mean if case.batch else mean_block(model, corpus, "full-sentences", preset.length)
        size = max(1, round(batch / passes * usual / mean))
        steps = max(2, round(preset.tokens / (size * passes * mean)))
        settings: dict[str, Any] = {
            "initialization": "random",
            "layers": preset.layers,
            "hidden_size": preset.hidden_size,
            "attention_heads": preset.attention_heads,
            "intermediate_size": 4 * preset.hidden_size,
            "dropout": preset.dropout,
            "attention_dropout": preset.dropout,
            "packing": case.packing,
            "masking": case.masking,
            "max_length": length,
            "batch_size": size,
            "accumulation": passes,
            "steps": steps,
            "eval_steps": steps,  # the last weights are judged, not the best
            "learning_rate": rate,
        }
        return StageRun("pretrain", settings, model, self.folder(case, seed) / "pretrained", seed, corpus)

    def tuning(self, case: Case, seed: int) -> StageRun:
        """Return the run of the stage ``finetune`` on some labelled reviews."""
        settings = {
            "epochs": self.preset.epochs,
            "learning_rate": self.preset.tuning_rate,
            "max_length": self.preset.length,
            "dropout": self.preset.dropout,
            "freeze_embeddings": False,
        }
        folder = self.folder(case, seed)
        source = folder / "pretrained" / "output"
        splits = parts(self.preset).splits
        return StageRun("finetune", settings, source, folder / "tuned", seed, rows=splits)

    def folder(self, case: Case, seed: int) -> Path:
        """Return where a run keeps what it makes."""
        return self.work / f"{case.name}-{seed}"

    def kept(self, case: Case, seed: int) -> bool:
        """Tell whether a run is done."""
        return (self.folder(case, seed) / _JUDGED).is_file()

    def run(self, case: Case, seed: int) -> dict[str, Any]:
        """Pre-train, judge, fine-tune and judge again, or recall what came of it."""
        pretraining = self.pretraining(case, seed)
        notes = stage_runs.done(pretraining)
        tuning = self.tuning(case, seed)
        stage_runs.done(tuning)
        key = digest_value([pretraining.key, tuning.key, self.preset.judged, self.preset.tested])

        def judge() -> dict[str, Any]:
            preset, model = self.preset, Checkpoint(pretraining.output)
            held = parts(preset)
            found = {
                name: perplexity(model, held.judged, length)
                for name, length in (("perplexity", preset.length), ("long_perplexity", preset.long))
            }
            tested = Checkpoint(tuning.output)
            return {
                **{name: each["perplexity"] for name, each in found.items()},
                "masked_accuracy": found["perplexity"]["accuracy"],
                "accuracy": accuracy(tested, held.tested, preset.length),
                "steps": notes["steps"],
                "tokens": notes["tokens_seen"],
                "blocks_per_step": pretraining.settings["batch_size"] * pretraining.settings["accumulation"],
                "passes": notes["tokens_seen"] / max(1, notes["tokens"]),
                "seconds": notes["seconds"],
            }

        return stage_runs.kept(self.folder(case, seed) / _JUDGED, key, judge)


@cache
def parts(preset: Preset) -> ReviewParts:
    """Deal the reviews out: to judge by, to test, to validate, to fine-tune on, and to learn from.

    Each text is in one part; those to fine-tune on are also learned from without their labels.
    """
    found = reviews.reviews()
    first = dict(zip(reversed(found.texts), reversed(range(len(found))), strict=True))
    order = np.random.default_rng(0).permutation(sorted(first.values()))
    sizes = (preset.judged, preset.tested, VALIDATED, preset.labelled)
    judged, tested, validation, labelled = np.split(order[: sum(sizes)], np.cumsum(sizes)[:-1])
    rest = order[sum(sizes) - preset.labelled :][: preset.documents]
    train, valid, test = (found.select(each) for each in (labelled, validation, tested))
    return ReviewParts(
        judged=DocumentList([found.texts[row] for row in judged], "reviews to judge by"),
        corpus=DocumentList([found.texts[row] for row in rest], "reviews to learn from"),
        splits=Splits(train, valid, test, None, reviews.LABELS),
        tested=test,
    )


@cache
def mean_block(model: Path, corpus: DocumentList, packing: str, length: int) -> float:
    """Return how many tokens a block of a packing has on average, by some documents."""
    return float(packed(model, corpus.documents[:_PROBED], packing, length).row_lengths.mean())


@cache
def mean_tokens(model: Path, corpus: DocumentList) -> float:
    """Return how many tokens a document has on average."""
    some = corpus.documents[:_PROBED]
    return float(packed(model, some, "full-sentences", 128).lengths.sum()) / len(some)
