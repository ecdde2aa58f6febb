"""The stage ``vocabulary``: only the tokens that the user's texts need, and the likeliest others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.roberta import corpus, tablecopy, token_prior, vocabulary_cut
from edgeroberta.roberta import token_selection as tokens
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.names import WORDS
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.runtime.lengths import BIN
from edgeroberta.settings import StageConfig
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind
from edgeroberta.storage.files import TOKENIZER

if TYPE_CHECKING:
    from pathlib import Path

    from edgeroberta.data.rows import Texts
    from edgeroberta.roberta.corpus import Ids
    from edgeroberta.runtime.tokenizer import Input

# Tokens that are gone and named in the notes.
_NAMED = 10


class VocabularyConfig(StageConfig):
    """Which tokens to keep, and how many positions."""

    keep: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Share of the tokens to keep; those that your texts use stay even above it.",
    )
    size: int | None = Field(
        None,
        ge=1,
        description="Exactly this many tokens instead; if your texts use more, their rarest are removed.",
    )
    min_count: int = Field(
        1, ge=1, description="How often your texts must use a token for it to count as used."
    )
    max_length: Literal["data"] | Annotated[int, Field(ge=3)] | None = Field(
        None,
        description="Most tokens of a text; cuts the position table. data: those of your longest text.",
    )


def _check(config: VocabularyConfig, outset: RunOutline) -> RunOutline:
    """Refuse a tokenizer that cannot be cut down, and more positions than the model has."""
    TokenizerFile.read(outset.model.folder / TOKENIZER)
    if isinstance(config.max_length, int):
        _within(config.max_length, outset.model)
    return replace(outset, cut_vocabulary=True)


@stage("vocabulary", config=VocabularyConfig, reads=(Kind.CHECKPOINT,), writes=Kind.CHECKPOINT, check=_check)
def vocabulary(config: VocabularyConfig, context: Context) -> Mapping[str, Any]:
    """Take tokens out of the newest checkpoint's tokenizer and embeddings.

    The training and unlabelled rows tell which tokens are used; the validation rows are only counted.
    ``config``: how many tokens and positions to keep. Returns notes: tokens and bytes before and after, what
    share of the texts' tokens is kept, how many texts are tokenized otherwise than before, and the most
    frequent tokens that are gone.
    """
    source = context.checkpoint
    file = TokenizerFile.read(source.folder / TOKENIZER)
    data, rows = context.data, vocabulary_cut.rows(source)
    training = corpus.count(source.folder, _chunks(data.train), rows)
    counts = training + corpus.count(source.folder, _chunks(data.unlabelled), rows)
    for texts in (data.train, data.unlabelled):
        counts += corpus.on_the_way(file, _chunks(texts), rows)
    used = tokens.needed(file, counts) > 0
    try:
        kept = tokens.choose(
            file,
            counts,
            limits=tokens.VocabularyLimits(config.keep, config.size, config.min_count),
            fixed=vocabulary_cut.fixed_ids(source),
            prior=token_prior.score(source, used, tokens.ranks(file, rows)),
        )
    except UsageError as error:
        raise RecipeError(error.what, where="vocabulary.size", hint=error.hint) from error
    vocabulary_cut.write_tokenizer(file, context.output, kept)
    length = _length(config, context, source)
    vocabulary_cut.write_model(source, context.output, kept, max_length=length)
    validation = corpus.count(source.folder, _chunks(data.validation), rows)
    cut = _CutTokenizer(file, kept, context.output)
    notes = {
        "tokens": len(kept),
        "tokens_before": len(counts),
        "tokens_used": int(used.sum()),
        **_bytes(source, Checkpoint(context.output)),
        "max_length": length,
        "training": cut.report(data.train, training),
        "validation": cut.report(data.validation, validation),
    }
    context.progress.line(_sentence(notes))
    return notes


def _chunks(texts: Texts | None) -> Iterator[Sequence[Input]]:
    for rows in texts.chunks() if texts is not None else ():
        yield rows.read()


def _length(config: VocabularyConfig, context: Context, source: Checkpoint) -> int | None:
    """Return how many tokens to keep positions for, None for all."""
    if config.max_length is None:
        return None
    if config.max_length == "data":
        # To the end of the bin: texts to come are not all shorter than the longest so far.
        texts = itertools.chain(_chunks(context.data.train), _chunks(context.data.unlabelled))
        return min(-(-corpus.longest(context.output, texts) // BIN) * BIN, source.max_length)
    _within(config.max_length, source)
    return config.max_length


def _within(length: int, source: Checkpoint) -> None:
    limit = source.max_length
    if length > limit:
        raise RecipeError(
            f"the model takes {limit} tokens, not {length}",
            where="vocabulary.max_length",
            hint="leave it out to keep all positions",
        )


def _bytes(source: Checkpoint, output: Checkpoint) -> dict[str, int]:
    """Return the size of the word embeddings and the position table, before and after."""
    found = {}
    for name, tensor in (("embedding", WORDS), ("position", tablecopy.POSITIONS)):
        for suffix, model in (("", output), ("_before", source)):
            entry = model.tensor(tensor)
            found[f"{name}_bytes{suffix}"] = entry.stop - entry.start
    return found


@dataclass(frozen=True)
class _CutTokenizer:
    """A tokenizer, the ids kept of it, and the folder of the result."""

    file: TokenizerFile
    kept: Ids
    output: Path

    def report(self, rows: Texts, counts: Ids) -> dict[str, Any]:
        """Tell what the cut means for some texts.

        ``counts``: occurrences of each old token in them. Returns texts; how many of them are tokenized
        otherwise than before; the share of their old tokens that is kept, special tokens aside; the most
        frequent of the others with their counts.
        """
        words = counts.copy()
        words[list(self.file.named)] = 0
        gone = words.copy()
        gone[self.kept] = 0
        order = np.argsort(-gone, kind="stable")[:_NAMED]
        return {
            "texts": len(rows),
            "changed": corpus.changed(self.file.path.parent, self.output, self.kept, _chunks(rows)),
            "coverage": 1 - int(gone.sum()) / max(int(words.sum()), 1),
            "dropped": [[self.file.pieces[int(each)], int(gone[each])] for each in order if gone[each]],
        }


def _sentence(notes: Mapping[str, Any]) -> str:
    before, after = notes["embedding_bytes_before"], notes["embedding_bytes"]
    validation = notes["validation"]
    return (
        f"{notes['tokens']:,} of {notes['tokens_before']:,} tokens kept, embeddings "
        f"{before / 1e6:,.1f} MB -> {after / 1e6:,.1f} MB; {notes['training']['changed']:,} training and "
        f"{validation['changed']:,} of {validation['texts']:,} validation texts are cut into other tokens"
    )
