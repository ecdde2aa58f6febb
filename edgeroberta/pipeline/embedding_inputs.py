"""The model of a run that makes embeddings: what states its pooling, and what base encoders become."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError, UsageError
from edgeroberta.roberta import files
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage import artifact, codedigest
from edgeroberta.storage import cache as cached
from edgeroberta.storage.files import CONFIG
from edgeroberta.tasks import Problem, SentenceEmbedding
from edgeroberta.tasks.pooling import FIELD, checked_pooling

#: What a base encoder gets where nobody says otherwise, as in sentence-transformers.
DEFAULT = "mean"


def wanted(model: Checkpoint, task: str | None, pooling: str | None) -> bool:
    """Tell whether a run is one of embeddings.

    It is where the user says so, by the task or by a pooling, and where the model is one of embeddings and no
    other task is asked for. Raises UsageError: a pooling is named for another task.
    """
    asked = task == "sentence-similarity"
    if pooling is not None and task is not None and not asked:
        raise UsageError(
            f"--pooling is of embeddings, not of {task}",
            where="--pooling",
            hint="leave it out, or add --task sentence-similarity",
        )
    return asked or pooling is not None or (task is None and model.task.problem is Problem.EMBEDDING)


def of_embeddings(model: Checkpoint, pooling: str | None, *, trained: bool, cache: Path) -> Checkpoint:
    """Return the model as one of embeddings: as it is, or a copy that states how its tokens are pooled.

    ``pooling``: what the user asks for. ``trained``: whether a ``finetune`` stage comes first, so that a
    model may get another pooling than it was made for. Raises UsageError: the model has another pooling;
    CheckpointError: there is no such pooling, or the model has a head of another task.
    """
    if pooling is not None:
        checked_pooling(pooling, where="--pooling")
    stated = model.task.sentence_embedding
    if stated is None:
        _require_encoder(model)
        return _stating(model, SentenceEmbedding(pooling or DEFAULT), cache)
    if pooling in (None, stated.pooling):
        return model
    if not trained:
        raise UsageError(
            f"the model was made for the pooling {stated.pooling}, not {pooling}",
            where="--pooling",
            hint="leave it out; a recipe with a finetune stage can train another one",
        )
    return _stating(model, SentenceEmbedding(str(pooling), stated.normalize, stated.similarity), cache)


def _require_encoder(model: Checkpoint) -> None:
    """Refuse a model with the head of a task; that of the pre-training, masked words, is left out."""
    if model.task.problem is not Problem.MASKED and model.has_head:
        raise CheckpointError(
            f"a model of {model.task.optimum_task}, of which no embeddings are made",
            where=str(model),
            hint="name a base encoder, or a folder of sentence-transformers",
            code="checkpoint.pooling-head",
        )


def _stating(model: Checkpoint, how: SentenceEmbedding, cache: Path) -> Checkpoint:
    fields = {**model.fields, "architectures": [_encoder(model.fields)], FIELD: how.to_json()}
    content = artifact.digest_value([codedigest.of(__name__), model.digest, fields])
    copy = cache / "checkpoints" / content[:32]
    return Checkpoint(cached.folder(copy, lambda partial: _write(model, fields, partial)))


def _encoder(fields: Mapping[str, Any]) -> str:
    """Return the name of a model's class without a head."""
    names = fields.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else "RobertaModel"
    return f"{name.partition('For')[0]}Model" if "For" in name else name


def _write(model: Checkpoint, fields: Mapping[str, Any], copy: Path) -> None:
    """Write the config anew, and copy the rest."""
    artifact.write_json(copy / CONFIG, fields)
    model.copy_tokenizer(copy)
    for file in model.weight_files:
        shutil.copyfile(file, copy / file.name)
    if (model.folder / files.WEIGHTS_INDEX).is_file():
        shutil.copyfile(model.folder / files.WEIGHTS_INDEX, copy / files.WEIGHTS_INDEX)
