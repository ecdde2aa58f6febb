"""How an embedding is made of the states of a text's tokens, as ``config.json`` states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import CheckpointError, did_you_mean, shown
from edgeroberta.tasks.similarity import SIMILARITIES

#: The field of ``config.json`` that an embedding model has.
FIELD = "sentence_embedding"
#: How states become one, by the name that sentence-transformers gives.
POOLINGS: Mapping[str, str] = {
    "mean": "the mean over all tokens",
    "cls": "the first token",
    "max": "the largest value of each dimension over all tokens",
}
#: What ends the classes of transformers whose encoder alone may be wanted.
_ENCODERS = ("Model", "ForMaskedLM", "ForPreTraining")


@dataclass(frozen=True)
class SentenceEmbedding:
    """What stands behind the encoder of an embedding model."""

    pooling: str  # a key of :data:`POOLINGS`
    normalize: bool = False  # whether embeddings are scaled to length 1
    similarity: str | None = None  # a key of :data:`.similarity.SIMILARITIES`; None for the cosine

    def to_json(self) -> dict[str, Any]:
        """Return the field of ``config.json``."""
        fields: dict[str, Any] = {"pooling": self.pooling, "normalize": self.normalize}
        return fields if self.similarity is None else {**fields, "similarity": self.similarity}

    @classmethod
    def from_json(cls, fields: Any, *, where: str) -> SentenceEmbedding:
        """Read what :meth:`to_json` gave. Raises CheckpointError: it is something else."""
        if not isinstance(fields, Mapping):
            raise CheckpointError(
                f"must be a table, not {shown(fields)}",
                where=where,
                hint='e.g. {"pooling": "mean", "normalize": true}',
                code="checkpoint.pooling-unknown",
            )
        if unknown := sorted(set(map(str, fields)) - {"pooling", "normalize", "similarity"}):
            raise CheckpointError(f"has an unknown field {shown(unknown[0])}", where=where)
        normalize, similarity = fields.get("normalize", False), fields.get("similarity")
        if not isinstance(normalize, bool):
            raise CheckpointError(f"normalize must be true or false, not {shown(normalize)}", where=where)
        return cls(
            checked_pooling(fields.get("pooling"), where=where),
            normalize,
            checked_similarity(similarity, where=where),
        )


def checked_pooling(name: Any, *, where: str) -> str:
    """Return the name of a pooling. Raises CheckpointError: there is no such one here."""
    if not isinstance(name, str) or name not in POOLINGS:
        raise CheckpointError(
            f"there is no pooling {shown(name)}",
            where=where,
            hint=did_you_mean(str(name), POOLINGS) or f"one of {', '.join(POOLINGS)}",
            code="checkpoint.pooling-unknown",
        )
    return name


def checked_similarity(name: Any, *, where: str) -> str | None:
    """Return the name of a similarity, None for the cosine. Raises CheckpointError: there is no such one."""
    if name is not None and (not isinstance(name, str) or name not in SIMILARITIES):
        raise CheckpointError(
            f"there is no similarity {shown(name)}",
            where=where,
            hint=did_you_mean(str(name), SIMILARITIES) or f"one of {', '.join(SIMILARITIES)}",
        )
    return None if name == "cosine" else name


def stated(config: Mapping[str, Any], *, where: str = "config.json") -> SentenceEmbedding | None:
    """Read how embeddings are made from a parsed ``config.json``; None where it is no embedding model.

    Raises CheckpointError: the field is damaged, or the model has a head of another task.
    """
    if config.get(FIELD) is None:
        return None
    known = config.get("architectures")
    for name in known if isinstance(known, list) else ():
        if isinstance(name, str) and "For" in name and not name.endswith(_ENCODERS):
            raise CheckpointError(
                f"{shown(name)} has a head of another task, of which no embeddings are made",
                where=f"{where}: {FIELD}",
                hint=f"take {FIELD} out, or name the encoder without the head",
                code="checkpoint.pooling-head",
            )
    return SentenceEmbedding.from_json(config[FIELD], where=f"{where}: {FIELD}")
