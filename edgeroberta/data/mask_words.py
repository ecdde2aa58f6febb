"""Texts in which the user has written masks, and the words that a column gives for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.data import cells, columns, texts
from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError, shown
from edgeroberta.runtime.mask_token import USUAL

if TYPE_CHECKING:
    from edgeroberta.data.rows import DataSpec
    from edgeroberta.runtime.mask_token import MaskToken
    from edgeroberta.runtime.token_numbers import TokenNumbers
    from edgeroberta.runtime.tokenizer import TextTokenizer

#: Names of the column of masked words that are looked for, the first match first.
WORDS = ("word", "words", "label", "labels", "answer", "target", "masked")
#: The column of true tokens by their ids, one for each mask, in rows that go to a device: not every token is
#: a word that could be written.
TOKEN_IDS = "mask_token_ids"


@dataclass(frozen=True)
class MaskedText:
    """A text with masks."""

    text: str  # with the mask token written in it
    tokens: tuple[int, ...]  # the true token of each mask, in the order of the text


def original(tokens: Sequence[int], numbers: TokenNumbers | None) -> tuple[int, ...]:
    """Return the ids of tokens as labels have them: those of before the vocabulary was cut."""
    return tuple(tokens) if numbers is None else numbers.originals_of(tokens)


def column(table: DataTable, spec: DataSpec) -> str:
    """Return the name of the text column. Raises DataError: there is none, or pairs are asked for."""
    if spec.text_pair is not None:
        raise DataError(
            "words are masked in single texts, not in pairs",
            where="--text-pair",
            hint="leave it out, and name the column of the texts: --text COLUMN",
        )
    return columns.choose(table, spec.text, None, None, labelled=False).text


def read(
    table: DataTable,
    spec: DataSpec,
    tokenizer: TextTokenizer,
    token: MaskToken,
    numbers: TokenNumbers | None = None,
) -> tuple[tuple[str, ...], tuple[MaskedText | None, ...]]:
    """Read a table's texts, and the masks that are written in them.

    ``numbers``: original ids of the model's tokens, where its vocabulary was cut. Returns the texts with the
    words filled in, and the masked text of each, None where it has no mask.
    Raises DataError: a text is empty or none, has a mask of another family, or one without a word that is a
    token; ``where`` has the file and line.
    """
    name = column(table, spec)
    found = texts.checked(table, name)
    for row, text in enumerate(found):
        _refuse_other(text, token, table.where(row))
    masked = [row for row, text in enumerate(found) if token.text in text]
    written: list[MaskedText | None] = [None] * len(found)
    if not masked:
        return found, tuple(written)
    words = _words_column(table, spec, name, token, masked)
    if words == TOKEN_IDS:
        for row in masked:
            written[row] = MaskedText(found[row], _token_ids(table, row, found[row].count(token.text)))
        return found, tuple(written)
    filled = list(found)
    for row in masked:
        listed = _words(table, words, row)
        filled[row] = _filled(found[row], listed, token, table.where(row))
        tokens = _tokens(found[row], filled[row], listed, tokenizer, token, table.where(row))
        written[row] = MaskedText(found[row], original(tokens, numbers))
    return tuple(filled), tuple(written)


def _refuse_other(text: str, token: MaskToken, where: str) -> None:
    for other in USUAL:
        if other != token.text and other in text:
            raise DataError(
                f"{other} is the mask of another family of models; this one's is {token.text}",
                where=where,
                hint=f"write {token.text}, or take it out: texts to train on are masked anew at every step",
                code="data.mask",
            )


def _words_column(
    table: DataTable, spec: DataSpec, text: str, token: MaskToken, masked: Sequence[int]
) -> str:
    if spec.label is not None:
        if spec.label not in table.columns:
            raise columns.no_column(table, spec.label, "--label")
        return spec.label
    found = next((name for name in WORDS if name in table.columns and name != text), None)
    if found is None:
        count = f" (the first of {len(masked):,} rows)" if len(masked) > 1 else ""
        raise DataError(
            f"{token.text} is in the text, and no column says which word it stands for{count}",
            where=table.where(masked[0]),
            hint="name the column of the words: --label COLUMN; or write the words: what is masked is drawn",
            code="data.mask",
        )
    return found


def _words(table: DataTable, name: str, row: int) -> list[str]:
    """Return the words for the masks of a row: one, or several in a list or as ``a|b``."""
    cell = table.columns[name][row]
    if isinstance(cell, list | tuple):
        return [cells.text(each) for each in cell]
    whole = cells.text(cell)
    return [part.strip() for part in whole.split(cells.SEPARATOR)] if len(whole) > 1 else [whole]


def _token_ids(table: DataTable, row: int, masks: int) -> tuple[int, ...]:
    """Return the ids of the true tokens of a row's masks."""
    cell = table.columns[TOKEN_IDS][row]
    listed = cell if isinstance(cell, list | tuple) else [cell]
    whole = all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in listed)
    if not whole or len(listed) != masks:
        raise DataError(
            f"{_count(masks, 'mask')} and the token ids {shown(cell)}",
            where=table.where(row),
            hint="write a list with one id for each mask, as whole numbers",
            code="data.mask-word",
        )
    return tuple(listed)


def _filled(text: str, words: Sequence[str], token: MaskToken, where: str) -> str:
    parts = text.split(token.text)
    if not all(words):
        raise DataError(
            f"the word for {token.text} is empty", where=where, hint="write it", code="data.mask-word"
        )
    if len(words) != len(parts) - 1:
        raise DataError(
            f"{_count(len(parts) - 1, 'mask')} and {_count(len(words), 'word')}",
            where=where,
            hint="write one word for each mask, several with a bar: one|other",
            code="data.mask-word",
        )
    return parts[0] + "".join(word + part for word, part in zip(words, parts[1:], strict=True))


def _tokens(
    text: str, filled: str, words: Sequence[str], tokenizer: TextTokenizer, token: MaskToken, where: str
) -> tuple[int, ...]:
    """Return the tokens that the words are in their places."""
    masked, whole = (tokenizer.encode_one(each).ids for each in (text, filled))
    places = np.flatnonzero(masked == token.id)
    if len(places) < len(words):
        raise DataError(
            f"a mask lies beyond the {tokenizer.max_length} tokens that the model takes",
            where=where,
            hint="shorten the text",
            code="data.mask",
        )
    same = len(masked) == len(whole) and np.array_equal(np.delete(masked, places), np.delete(whole, places))
    if not same:
        what = " and ".join(shown(word) for word in words)
        extra = len(whole) - len(masked) + 1
        said = f"is {extra} tokens" if len(words) == 1 and extra > 1 else "is not one token in this text"
        raise _no_token(f"{what} {said}, and a mask stands for one", where)
    tokens = tuple(whole[places].tolist())
    for word, number in zip(words, tokens, strict=True):
        if number in token.special:
            raise _no_token(f"{shown(word)} is not in the vocabulary of the model", where)
    return tokens


def _no_token(what: str, where: str) -> DataError:
    return DataError(
        what,
        where=where,
        hint="name a word that is one token, or write the text without a mask: what is masked is drawn",
        code="data.mask-word",
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
