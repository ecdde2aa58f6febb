"""What a pre-trained and a fine-tuned model are worth: perplexity on reviews, accuracy on labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from edgeroberta.data.documents import DocumentList
from edgeroberta.data.rows import Rows
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint

if TYPE_CHECKING:
    from edgeroberta.training.blocks import Blocks


def packed(model: Path, documents: Sequence[str], packing: str, length: int) -> Blocks:
    """Pack documents; all but the few that any packing holds out."""
    from edgeroberta.training import packing as packer

    settings = packer.PackingSettings.model_validate(
        {"packing": packing, "heldout": 1e-6, "shuffle_buffer": 0}
    )
    with TemporaryDirectory() as own:
        return packer.pack(
            DocumentList(documents),
            Checkpoint(model),
            folder=Path(own) / "text",
            settings=settings,
            length=length,
            seed=0,
            progress=Progress(),
        ).train


def perplexity(model: Checkpoint, documents: DocumentList, length: int) -> dict[str, float]:
    """Judge a model on blocks of full sentences of documents, always with the same masks."""
    from edgeroberta.roberta import loading
    from edgeroberta.training.hyperparameters import MatmulPrecision
    from edgeroberta.training.masked_tokens import TokenMasking
    from edgeroberta.training.pretraining import HeldoutText, MaskDraws

    blocks = packed(model.folder, documents.documents, "full-sentences", length)
    draws = MaskDraws(TokenMasking.of(model, random=0.1, kept=0.1), 0)
    judge = HeldoutText(blocks, draws, 32, MatmulPrecision.AUTO)
    return judge.evaluate(loading.load_classifier(model, model.task, seed=0, dropout=0.0))


def accuracy(model: Checkpoint, rows: Rows, length: int) -> float:
    """Return the share of rows that a fine-tuned model tells right."""
    from edgeroberta import metrics
    from edgeroberta.roberta import loading
    from edgeroberta.training import batching, prediction
    from edgeroberta.training.hyperparameters import MatmulPrecision

    tokens = batching.tokenize(model, rows.read(), max_length=length)
    tuned = loading.load_classifier(model, model.task, seed=0, dropout=0.0)
    outputs = prediction.predict(tuned.eval(), tokens, precision=MatmulPrecision.AUTO)
    return metrics.score(model.task, outputs, rows.labels)
