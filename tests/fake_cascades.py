"""Tiny cascades: the last tier is a bundle of :mod:`fake_bundles`, the others answer nearly as it does.

They take milliseconds to write and to open. By default the first tier has its own, smaller vocabulary: the
merges of common letters are gone, so that some texts of :data:`fake_bundles.WORDS` have all of their tokens
there and some have not.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np

from edgeroberta import cascade_writer
from edgeroberta.cascade_writer import TierDraft
from edgeroberta.roberta import token_selection
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Calibration

#: Text whose tokens a cut tokenizer has all, and one that it cuts into others.
KEPT, GONE = "The film was great.", "It was the worst story."


def write(
    folder: Path,
    *,
    names: Sequence[str] = ("tiny", "int8"),
    thresholds: Sequence[float] = (0.9,),
    cut: bool = True,
    data: Path | None = None,
    engines: tuple[str, ...] = ("onnxruntime",),
    max_lengths: Sequence[int] = (),
    **promise: Any,
) -> Manifest:
    """Write a cascade without reports into an empty folder; its drafts are left in ``<folder>.drafts``.

    ``cut``: whether the tiers but the last have fewer tokens than that. ``max_lengths``: of each tier in
    tokens. ``promise``: arguments of :func:`edgeroberta.cascade_writer.write`.
    """
    tiers = []
    for number, name in enumerate(names):
        last = number == len(names) - 1
        length = max_lengths[number] if max_lengths else fake_bundles.MAX_LENGTH
        draft = write_draft(
            folder.parent / f"{folder.name}.drafts" / name,
            noise=0.0 if last else 0.3 / (number + 1),
            cut=cut and not last,
            data=data,
            engines=engines,
            max_length=length,
        )
        tiers.append(TierDraft(name, draft, *(() if last else (thresholds[number], Calibration(1.5), 0.5))))
    facts = {"agreement": 0.99, "confidence": 0.95, "rows": 2000, **promise}
    return cascade_writer.write(folder, tiers, **facts)


def write_draft(
    folder: Path,
    *,
    noise: float = 0.0,
    cut: bool = False,
    data: Path | None = None,
    engines: tuple[str, ...] = ("onnxruntime",),
    max_length: int = fake_bundles.MAX_LENGTH,
) -> Path:
    """Write one tier: the table of :mod:`fake_bundles` with some noise, perhaps of fewer tokens."""
    table = (
        fake_bundles.default_table() + np.random.default_rng(2).normal(size=(fake_bundles.VOCAB, 2)) * noise
    )
    tokenizer = fake_bundles.TOKENIZER
    if cut:
        kept = kept_ids(TokenizerFile.read(tokenizer / TOKENIZER))
        table = table[kept]
        tokenizer = write_cut(tokenizer, folder.with_name(f"{folder.name}.tokenizer"), kept)
    return fake_bundles.write(
        folder,
        data=data,
        engines=engines,
        table=table.astype(np.float32),
        tokenizer=tokenizer,
        max_length=max_length,
    )


def kept_ids(file: TokenizerFile) -> list[int]:
    """Choose two thirds of the pieces, those of the words of :data:`KEPT` among them, as a stage does."""
    counts = np.zeros(len(file.ids), np.int64)
    counts[file.words.encode(KEPT).ids] = 1
    prior = -token_selection.ranks(file, len(counts))
    prior[file.words.encode(GONE).ids[-3]] = -np.inf
    limits = token_selection.VocabularyLimits(keep=0.6)
    return token_selection.choose(file, counts, limits=limits, prior=prior).tolist()


def write_cut(source: Path, destination: Path, kept: Sequence[int]) -> Path:
    """Write a tokenizer with some of another's pieces."""
    shutil.copytree(source, destination)
    text = TokenizerFile.read(source / TOKENIZER).only(kept)
    (destination / TOKENIZER).write_text(text, encoding="utf-8")
    return destination
