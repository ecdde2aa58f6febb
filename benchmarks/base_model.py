"""A model of RoBERTa-base's geometry with seeded random weights, and bundles made from it.

Random weights are as fast as trained ones. The tokenizer and the texts are the packaged demo's, so
token lengths are real; accuracy means nothing here.
"""

from __future__ import annotations

import csv
import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.watch import Watched, run
from edgeroberta import demo
from edgeroberta.data import Rows, load_splits
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage.cache import cache_dir, folder

logger = logging.getLogger(__name__)

SEED = 0
LABELS = ("negative", "positive")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
#: Exit codes after which a bundle exists: done, and "the gate did not pass" (the weights are random).
BUNDLE_WRITTEN = (0, 3)


@dataclass(frozen=True)
class BaseModel:
    """The checkpoint's folder and two CSV files of labelled texts."""

    checkpoint: Path
    train: Path
    heldout: Path


def prepare(cache: Path, *, texts: int, heldout: int) -> BaseModel:
    """Write the checkpoint (once) and the texts.

    Args:
        cache: Folder that keeps the checkpoint, 0.5 GB.
        texts: Rows to train or calibrate on.
        heldout: Rows for the gate.

    Returns:
        Where they are.
    """
    sources = demo.prepare(cache_dir())
    splits = load_splits(sources.data, task=None)
    checkpoint = folder(
        cache / f"roberta-base-random-{SEED}", lambda empty: _write_checkpoint(empty, sources.base)
    )
    data = cache / f"texts-{texts}-{heldout}"
    data.mkdir(parents=True, exist_ok=True)
    base = BaseModel(checkpoint, data / "train.csv", data / "heldout.csv")
    _write_rows(base.train, spread(splits.train, texts), splits.labels)
    _write_rows(base.heldout, spread(splits.heldout, heldout), splits.labels)
    return base


def compress(base: BaseModel, recipe: str, output: Path, *settings: str, target: str = "cpu") -> Watched:
    """Run ``edgeroberta compress`` as a user would and watch it.

    Args:
        base: Checkpoint and texts.
        recipe: Name of the recipe.
        output: Folder of the bundle.
        settings: Values for ``--set``.
        target: Name of the target.

    Returns:
        Seconds and peak memory.

    Raises:
        EdgeRobertaError: No bundle was made.
    """
    command = [
        sys.executable, "-m", "edgeroberta", "compress", str(base.checkpoint), "--recipe", recipe,
        "--data", str(base.train), "--eval-data", str(base.heldout), "--target", target, "-o", str(output),
    ]  # fmt: skip
    for setting in settings:
        command += ["--set", setting]
    logger.info("compress --recipe %s", recipe)
    watched = run(command)
    if watched.code not in BUNDLE_WRITTEN:
        raise EdgeRobertaError(
            f"compress --recipe {recipe} ended with {watched.code}: {watched.tail}", where="benchmarks"
        )
    return watched


def spread(rows: Rows, count: int) -> Rows:
    """Take ``count`` rows at even distances: the packaged rows are sorted by label."""
    return rows.select([number * len(rows) // count for number in range(count)])


def _write_checkpoint(output: Path, tokenizer: Path) -> None:
    """Write a fine-tuned-looking RoBERTa-base with random weights, 124.6 million parameters."""
    import torch
    from transformers import RobertaConfig, RobertaForSequenceClassification

    torch.manual_seed(SEED)
    config = RobertaConfig(
        vocab_size=50265,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    RobertaForSequenceClassification(config).save_pretrained(output)
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer / name, output / name)


def _write_rows(path: Path, rows: Rows, labels: tuple[str, ...]) -> None:
    """Write texts and label names as CSV."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("text", "label"))
        if rows.labels is not None:
            writer.writerows(
                (text, labels[int(label)]) for text, label in zip(rows.texts, rows.labels, strict=True)
            )
