"""A model folder with more tokens than another: whole words, beside all tokens that were there.

All old tokens keep their ids. How a new piece gets into a text is another matter in each model:

*BPE* gets no merges: they would join the same pieces in other words, too. ``ignore_merges`` makes it look for
the whole pre-token in the vocabulary first, so that a word is one token where it stands by itself, and every
other text has the tokens that it had. This asks that no old piece is found that way which merges do not make;
a tokenizer with such a piece is refused. transformers 5 leaves that field out where it rebuilds a tokenizer
of a known class, so ``tokenizer_config.json`` names the class that takes the file as it is.

*Unigram* gets a piece with the score of what it is cut into and a little more: it stands where its pieces
stood, also at the start of a longer word. No score is below the lowest one, on which those of unknown
characters hang.

*WordPiece* gets a piece that begins a word. It takes the longest one that fits, so a longer word that begins
with the new one is cut behind it.

So with the latter two, texts keep their tokens in which no word begins with a new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import files, tablecopy, vocabulary_cut
from edgeroberta.roberta.bpe_training import SPECIAL_NAMES
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import load_object
from edgeroberta.roberta.new_words import NewPiece, WordReader
from edgeroberta.roberta.row_means import RowMeans
from edgeroberta.roberta.tokenizerfile import BPE, UNIGRAM, WORDPIECE, TokenizerFile
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.storage.artifact import write_json, write_text
from edgeroberta.storage.files import CONFIG, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG

# What a new piece of Unigram has more than its pieces have together, for each of them but one: of two new
# pieces that fit, the longer one stands for more. Little against the difference of any two scores.
_MORE = 1e-4
# What an unknown character costs below the lowest score (tokenizers 0.23, ``K_UNK_PENALTY``).
_UNKNOWN = 10.0
#: The class that takes ``tokenizer.json`` as it is, and what it is to give a model without token types.
_AS_WRITTEN = "PreTrainedTokenizerFast"
_INPUTS = ["input_ids", "attention_mask"]


def check(reader: WordReader) -> None:
    """Refuse a tokenizer to which words cannot be added without changing other texts; CheckpointError."""
    file = reader.file
    if file.kind != BPE or file.fields["model"].get("ignore_merges"):
        return
    added = {token["content"] for token in file.fields.get("added_tokens") or ()}
    for piece, number in file.ids.items():
        if piece in added or reader.pieces(piece) == (number,):
            continue
        if any(reader.pretokens(before + reader.text(piece))[-1:] == [piece] for before in ("", "(")):
            raise CheckpointError(
                f"no word can be added to this tokenizer: its token {piece!r} is made by no merge, and would "
                "be found in texts from then on",
                where=str(file.path),
                hint="train a tokenizer instead: tokenizer: {vocabulary: train}",
            )


def row_sources(model: Checkpoint, file: TokenizerFile, pieces: Sequence[NewPiece]) -> RowMeans:
    """Tell what the rows of the larger tables are means of: each new one of those of its pieces."""
    first, rows = _first_id(file), vocabulary_cut.rows(model)
    sources = [(number,) for number in range(min(first, rows))]
    # Some tables have more rows than there are tokens; those are taken first.
    return RowMeans.of([*sources, *(piece.parts for piece in pieces), *_unused(first + len(pieces), rows)])


def _unused(first: int, rows: int) -> list[tuple[int]]:
    return [(number,) for number in range(first, rows)]


def _first_id(file: TokenizerFile) -> int:
    return max(file.ids.values()) + 1


def write_tokenizer(reader: WordReader, destination: Path, pieces: Sequence[NewPiece]) -> None:
    """Write a tokenizer with more pieces, whose ids follow the old ones, and the files beside it.

    ``vocab.json`` and its like are not copied: they say the same as the old ``tokenizer.json``.
    """
    file = reader.file
    fields = dict(file.fields)
    grow = {BPE: _bpe, UNIGRAM: _unigram, WORDPIECE: _word_pieces}[file.kind]
    fields["model"] = grow(file, pieces)
    write_text(destination / TOKENIZER, TokenizerFile.text(fields))
    first = _first_id(file)
    expected = {**file.ids, **{piece.text: first + number for number, piece in enumerate(pieces)}}
    if TokenizerFile.read(destination / TOKENIZER).ids != expected:
        raise CheckpointError(
            "no word can be added to this tokenizer: its ids have gaps, which would close",
            where=str(file.path),
            hint="train a tokenizer instead: tokenizer: {vocabulary: train}",
        )
    source = file.path.parent
    if (source / SPECIAL_TOKENS).is_file():  # names, no ids
        write_json(destination / SPECIAL_TOKENS, load_object(source / SPECIAL_TOKENS))
    settings = load_object(source / TOKENIZER_CONFIG) if (source / TOKENIZER_CONFIG).is_file() else {}
    if file.kind == BPE:
        named = {name: token for name, token in SPECIAL_NAMES.items() if token in file.ids}
        settings = {**named, "model_input_names": _INPUTS, **settings, "tokenizer_class": _AS_WRITTEN}
        settings["add_prefix_space"] = _prefix_space(source)  # false where nothing says so
    if settings:
        write_json(destination / TOKENIZER_CONFIG, settings)


def _prefix_space(folder: Path) -> bool:
    tokenizer, _ = tokenizerfiles.read(folder)
    return bool(getattr(tokenizer.pre_tokenizer, "add_prefix_space", False))


def write_model(
    source: Checkpoint, destination: Path, rows: RowMeans, *, fields: Mapping[str, Any] | None = None
) -> None:
    """Write config and weights that go with a tokenizer that is there already.

    ``source``: checkpoint to start from; any head, any shape of layers, any float type. ``rows``: of which
    rows of its embeddings, and of the decoder of masked words, each new one is the mean. ``fields``: content
    of the config; None for the source's own.
    """
    tablecopy.copy(source, destination / files.WEIGHTS, dict.fromkeys(tablecopy.TOKEN_TABLES, rows))
    write_json(destination / CONFIG, {**(fields or source.fields), "vocab_size": len(rows)})
    source.copy_modules(destination, source.task.sentence_embedding)


def _numbered(file: TokenizerFile, pieces: Sequence[NewPiece]) -> dict[str, int]:
    """Return ids of all pieces; of added tokens, too, which would move behind the new ones otherwise."""
    first = _first_id(file)
    return {**file.ids, **{piece.text: first + number for number, piece in enumerate(pieces)}}


def _bpe(file: TokenizerFile, pieces: Sequence[NewPiece]) -> dict[str, Any]:
    return {**file.fields["model"], "vocab": _numbered(file, pieces), "ignore_merges": True}


def _word_pieces(file: TokenizerFile, pieces: Sequence[NewPiece]) -> dict[str, Any]:
    return {**file.fields["model"], "vocab": _numbered(file, pieces)}


def _unigram(file: TokenizerFile, pieces: Sequence[NewPiece]) -> dict[str, Any]:
    vocab = [list(entry) for entry in file.fields["model"]["vocab"]]
    lowest = min(file.scores.values())
    scores = {**file.scores, file.fields["model"].get("unk_id"): lowest - _UNKNOWN}
    # An added token behind the model's own, as <mask>, has the score 0 in XLM-R's own file.
    vocab += [[file.pieces.get(number, ""), 0.0] for number in range(len(vocab), _first_id(file))]
    for piece in pieces:
        together = sum(scores[part] for part in piece.parts)
        vocab.append([piece.text, max(together + _MORE * max(len(piece.parts) - 1, 1), lowest)])
    return {**file.fields["model"], "vocab": vocab}
