"""The stage ``tokenizer``: a vocabulary of the texts' own, or their words beside the model's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, model_validator

from edgeroberta.context import Context, RunOutline
from edgeroberta.data.document_split import SplitReader
from edgeroberta.errors import CheckpointError, DataError, RecipeError, UsageError
from edgeroberta.roberta import (
    bpe_training,
    checkpoint_validation,
    fertility,
    listed_words,
    new_words,
    vocabulary_cut,
    vocabulary_growth,
    vocabulary_swap,
)
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.names import WORDS
from edgeroberta.roberta.new_words import WordReader
from edgeroberta.runtime import token_numbers
from edgeroberta.settings import StageConfig
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind, copy_tree
from edgeroberta.storage.files import TOKENIZER
from edgeroberta.tasks import Word

# Share of the documents that nothing is learned from, and how many characters of them are measured.
_HELDOUT, _MEASURED = 0.01, 4_000_000
# New words that are named in the notes.
_NAMED = 20


class Vocabulary(Word):
    """Where the tokens come from."""

    TRAIN = "train"  #: a byte-level BPE is learned from the texts
    EXTEND = "extend"  #: words of the texts are added to the model's tokens
    KEEP = "keep"  #: the model's own; the texts are only measured


class TokenizerConfig(StageConfig):
    """Which tokens the model is to have."""

    CONTENT: ClassVar[tuple[str, ...]] = ("words",)

    vocabulary: Vocabulary = Field(
        Vocabulary.EXTEND,
        description="train: learn a byte-level BPE from the texts. extend: add words to the model's tokens."
        " keep: leave them, and only measure into how many tokens the texts are cut.",
    )
    size: int = Field(
        8000, description="Tokens of a trained vocabulary, special ones and all bytes included."
    )
    min_frequency: int = Field(
        2, ge=1, description="How often the texts must have a pair of tokens to join it, or a word to add it."
    )
    added: int = Field(
        1000, ge=1, description="Most words to add: those that save the texts most tokens in all."
    )
    words: str | None = Field(
        None,
        description="Text file of the words to add, one a line, in place of the texts' most costly ones.",
    )

    @model_validator(mode="after")
    def _sensible(self) -> TokenizerConfig:
        if self.size < bpe_training.SMALLEST:
            raise ValueError(f"size is at least {bpe_training.SMALLEST}: all bytes and the special tokens")
        if self.words is not None and self.vocabulary is not Vocabulary.EXTEND:
            raise ValueError(f"words are added with vocabulary: extend alone, not {self.vocabulary}")
        return self


def _check(config: TokenizerConfig, outset: RunOutline) -> RunOutline:
    """Refuse a model whose vocabulary cannot change that way, and words that cannot be tokens."""
    if config.vocabulary is Vocabulary.KEEP:
        return outset
    _require_changeable(config, outset.model)
    if config.vocabulary is Vocabulary.EXTEND:
        if config.words is not None:
            listed_words.read(config.words, WordReader.open(outset.model.folder / TOKENIZER), {})
        return outset
    shape = outset.shape and replace(outset.shape, vocab_size=config.size)
    # Rows of masked words name tokens of the old vocabulary.
    return replace(outset, shape=shape, cut_vocabulary=True)


@stage(
    "tokenizer",
    config=TokenizerConfig,
    reads=(Kind.CHECKPOINT,),
    writes=Kind.CHECKPOINT,
    check=_check,
    of_text=True,
)
def tokenizer(config: TokenizerConfig, context: Context) -> Mapping[str, Any]:
    """Write the newest checkpoint with other tokens, and tables of word embeddings that go with them.

    ``config``: where the tokens come from. Returns notes: tokens and bytes of the embeddings before and
    after, into how many tokens held-out texts are cut before and after, and the most frequent words that were
    added. Raises DataError: no texts; RecipeError: too few for what is asked for.
    """
    source, corpus = context.checkpoint, context.corpus
    if config.vocabulary is not Vocabulary.KEEP:
        _require_changeable(config, source)
    if corpus is None and (config.words is None or config.vocabulary is not Vocabulary.EXTEND):
        raise DataError(
            "the stage tokenizer learns from texts without labels, and none were given",
            where="tokenizer",
            hint="give them: --unlabelled TEXTS",
        )
    with context.progress.bar("tokenizer", 0, "documents") as advance:
        texts = SplitReader(corpus, advance, _HELDOUT, _MEASURED)
        made = _MAKERS[config.vocabulary](config, context, texts)
    notes = {
        "vocabulary": config.vocabulary.value,
        "tokens": vocabulary_cut.rows(Checkpoint(context.output)),
        "tokens_before": vocabulary_cut.rows(source),
        "embedding_bytes": _bytes(Checkpoint(context.output)),
        "embedding_bytes_before": _bytes(source),
        **made,
        **_fertility(texts, source, Checkpoint(context.output)),
    }
    context.progress.line(_sentence(notes))
    return notes


def _train(config: TokenizerConfig, context: Context, texts: SplitReader) -> dict[str, Any]:
    source = context.checkpoint
    reader = WordReader.open(source.folder / TOKENIZER)
    try:
        fields = bpe_training.train(texts.training(), size=config.size, min_frequency=config.min_frequency)
    except DataError:
        raise
    except UsageError as error:
        raise RecipeError(error.what, where="tokenizer.size", hint=error.hint) from error
    bpe_training.write(fields, context.output, max_length=source.max_length)
    vocabulary = fields["model"]["vocab"]
    rows, kept = vocabulary_swap.row_sources(reader, vocabulary)
    changed = vocabulary_swap.config(source, reader, vocabulary)
    vocabulary_growth.write_model(source, context.output, rows, fields=changed)
    return {"tokens_kept": kept}


def _extend(config: TokenizerConfig, context: Context, texts: SplitReader) -> dict[str, Any]:
    source = context.checkpoint
    reader = WordReader.open(source.folder / TOKENIZER)
    counts = reader.count(texts.training())
    if config.words is None:
        words = reader.frequent(counts, least=config.min_frequency, most=config.added)
    else:
        words = listed_words.read(config.words, reader, counts)
        for line in listed_words.idle(words, counted=texts.documents > 0):
            context.progress.line(line)
        words = [each for each in words if each.pieces]
    if not words:
        raise RecipeError(
            f"the texts have no word {config.min_frequency:,} times that is more than one token",
            where="tokenizer.min_frequency",
            hint="give more texts, lower it, or leave the stage out: vocabulary: keep",
        )
    pieces = new_words.distinct(words)
    vocabulary_growth.write_tokenizer(reader, context.output, pieces)
    rows = vocabulary_growth.row_sources(source, reader.file, pieces)
    vocabulary_growth.write_model(source, context.output, rows)
    frequent = sorted(words, key=lambda each: (-each.occurrences, each.word))[:_NAMED]
    return {
        "words": len(words),
        "pieces": len(pieces),
        "most_frequent": [[each.word, each.occurrences] for each in frequent],
    }


def _keep(_: TokenizerConfig, context: Context, texts: SplitReader) -> dict[str, Any]:
    for _chunk in texts.training():
        pass
    copy_tree(context.checkpoint.folder, context.output)
    return {}


_MAKERS = {Vocabulary.TRAIN: _train, Vocabulary.EXTEND: _extend, Vocabulary.KEEP: _keep}


def _require_changeable(config: TokenizerConfig, model: Checkpoint) -> None:
    """Refuse a model whose vocabulary cannot change that way."""
    checkpoint_validation.check_tokenizer(model)
    reader = WordReader.open(model.folder / TOKENIZER)
    if token_numbers.FIELD in model.fields:
        raise CheckpointError(
            "its vocabulary was cut, and what it says of masked words are ids of before",
            where=str(model.config_file),
            hint="start from the model of before the stage vocabulary",
        )
    if config.vocabulary is Vocabulary.TRAIN:
        vocabulary_swap.check(model)
    else:
        vocabulary_growth.check(reader)


def _fertility(reader: SplitReader, before: Checkpoint, after: Checkpoint) -> dict[str, Any]:
    """Tell into how many tokens held-out texts are cut; nothing where there are none."""
    found: dict[str, Any] = {"documents": reader.documents, "heldout_documents": len(reader.heldout)}
    for suffix, model in (("", after), ("_before", before)) if reader.heldout else ():
        measured = fertility.measure(model.folder, reader.heldout)
        found[f"tokens_per_word{suffix}"] = measured.tokens_per_word
        found[f"characters_per_token{suffix}"] = measured.characters_per_token
    return found


def _bytes(model: Checkpoint) -> int:
    entry = model.tensor(WORDS)
    return entry.stop - entry.start


def _sentence(notes: Mapping[str, Any]) -> str:
    size = f"{notes['tokens_before']:,} -> {notes['tokens']:,} tokens"
    memory = f"{notes['embedding_bytes_before'] / 1e6:,.1f} MB -> {notes['embedding_bytes'] / 1e6:,.1f} MB"
    if not notes["heldout_documents"]:
        return f"{size}, embeddings {memory}"
    before, after = notes["tokens_per_word_before"], notes["tokens_per_word"]
    return f"{size}, embeddings {memory}; held-out texts {before:.2f} -> {after:.2f} tokens per word"
