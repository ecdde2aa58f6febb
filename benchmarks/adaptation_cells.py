"""The cells of the table of adaptation: an encoder, adapted or not, fine-tuned on sentences, compressed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import reviews, stage_runs
from benchmarks.judging import accuracy
from benchmarks.stage_runs import StageRun
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import digest_value

AS_IT_IS, ADAPTED = "as it is", "adapted"
ARMS = (AS_IT_IS, ADAPTED)
#: Passes over the sentences by how many there are: enough steps for the fewest.
EPOCHS = {500: 6, 2000: 3}
#: Longest sentence in tokens; of all sentences, one in three hundred is longer.
LENGTH = 64
RECIPE = "int8-distill"
#: What a cell's numbers are kept in.
_TUNED, _COMPRESSED = "tuned.json", "compressed.json"
#: A gate that lets everything pass: here the numbers are wanted, whatever they are.
OPEN = ("verify.gate.max_drop=1.0", "verify.gate.min_agreement=0.0", "verify.latency_rows=5")


@dataclass(frozen=True)
class Adaptation:
    """What all cells share.

    ``head_tokens``: that the fresh head sees first; ``tokens``: that encoder and head see then; ``rate``:
    their highest learning rate. ``frozen``: lowest layers that fine-tuning leaves as they are. ``near``: how
    much the hidden states count that the encoder had before, beside the masked words; 0 for not at all.
    """

    work: Path
    tokens: int
    head_tokens: int
    rate: float
    block: int
    batch: int
    frozen: int
    near: float = 0.0
    seed: int = 0

    @property
    def run(self) -> StageRun:
        """The run of the stage ``pretrain``, once for all cells."""
        steps, head_steps = (self._steps(each) for each in (self.tokens, self.head_tokens))
        kept = {"hidden": self.near, "attention": 0.0}
        layers = Checkpoint(reviews.encoder()).config.layers
        more = {"student": {"layers": layers, "weights": kept}} if self.near else {}
        return self._pretraining(f"adapted-{self.seed}", steps, head_steps=head_steps, **more)

    @property
    def control(self) -> StageRun:
        """A run whose head alone learns, for as many steps as head and encoder have in :attr:`run`."""
        head_steps = self._steps(self.tokens) + self._steps(self.head_tokens)
        return self._pretraining(f"control-{self.seed}", 1, head_steps=head_steps)

    def _steps(self, tokens: int) -> int:
        return max(1, tokens // (self.block * self.batch))

    def _pretraining(self, name: str, steps: int, *, head_steps: int, **more: Any) -> StageRun:
        settings = {
            **more,
            "max_length": self.block,
            "batch_size": self.batch,
            "accumulation": 1,
            "steps": steps,
            "head_steps": head_steps,
            "learning_rate": self.rate,
            "freeze_embeddings": True,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "eval_steps": max(1, steps // 4),
            "heldout": 0.005,
        }
        corpus = reviews.unlabelled([reviews.labelled(reviews.sentences()[1])])
        return StageRun("pretrain", settings, reviews.encoder(), self.work / name, self.seed, corpus)

    def encoder(self, arm: str) -> Path:
        """Return the encoder that is fine-tuned."""
        return self.run.output if arm == ADAPTED else reviews.encoder()

    def tuning(self, cell: Cell) -> StageRun:
        """Return the run of the stage ``finetune``."""
        settings = {
            "epochs": EPOCHS.get(cell.size, 2),
            "learning_rate": 2e-4,
            "batch_size": 32,
            "max_length": LENGTH,
            "freeze_embeddings": True,
            "freeze_layers": self.frozen,
        }
        rows = drawn(cell.size, cell.seed)
        valid = max(2, len(rows) // 10)
        train, validation = rows.select(range(valid, len(rows))), rows.select(range(valid))
        splits = Splits(train, validation, validation, None, reviews.LABELS)
        folder = self.work / cell.name / "tuned"
        return StageRun("finetune", settings, self.encoder(cell.arm), folder, cell.seed, rows=splits)

    def kept(self, cell: Cell, *, compressed: bool) -> bool:
        """Tell whether a cell is filled."""
        return (self.work / cell.name / (_COMPRESSED if compressed else _TUNED)).is_file()

    def tuned(self, cell: Cell) -> dict[str, Any]:
        """Fine-tune and measure, or recall what came of it."""
        run, heldout = self.tuning(cell), reviews.labelled(reviews.sentences()[1])
        stage_runs.done(run)

        def judge() -> dict[str, Any]:
            return {"accuracy": accuracy(Checkpoint(run.output), heldout, LENGTH)}

        file = self.work / cell.name / _TUNED
        return stage_runs.kept(file, digest_value([run.key, heldout.digest]), judge)

    def compressed(self, cell: Cell) -> dict[str, Any]:
        """Compress the fine-tuned model on the same sentences, or recall what came of it."""
        run = self.tuning(cell)
        folder = self.work / cell.name

        def make() -> dict[str, Any]:
            data = folder / "sentences.csv"
            write_rows(drawn(cell.size, cell.seed), data)
            report = compress(run.output, data, reviews.sentences()[1], folder / "bundle", cell)
            engine = next(each for each in report["engines"] if each["engine"] == "onnxruntime")
            return {"accuracy": engine["metrics"][report["metric"]], "agreement": engine["agreement"]}

        return stage_runs.kept(folder / _COMPRESSED, digest_value([run.key, RECIPE]), make)


@dataclass(frozen=True)
class Cell:
    """One fine-tuned model: which encoder, how many sentences, and the seed that draws them."""

    arm: str
    size: int
    seed: int

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.arm.replace(' ', '-')}-{self.size}-{self.seed}"


def drawn(size: int, seed: int) -> Rows:
    """Draw sentences to train on; both arms of a seed get the same."""
    rows = reviews.labelled(reviews.sentences()[0])
    return rows.select(np.random.default_rng(seed).permutation(len(rows))[:size])


def write_rows(rows: Rows, file: Path) -> None:
    """Write labelled sentences as the product reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows(
            (text, reviews.LABELS[label]) for text, label in zip(rows.texts, rows.labels, strict=True)
        )


def compress(model: Path, data: Path, heldout: Path, bundle: Path, cell: Cell) -> Mapping[str, Any]:
    """Run the recipe as a user does, and return its report. Raises RuntimeError: it failed."""
    command = [
        sys.executable, "-m", "edgeroberta", "compress", str(model), "--recipe", RECIPE, "--data", str(data),
        "--eval-data", str(heldout), "--seed", str(cell.seed), "-o", str(bundle),
        *(part for each in OPEN for part in ("--set", each)),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-800:]}")
    found: dict[str, Any] = json.loads((bundle / "reports" / "report.json").read_text(encoding="utf-8"))
    return found
