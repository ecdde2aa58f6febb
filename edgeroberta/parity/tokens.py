"""Whether the runtime gives a text the tokens that transformers gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.errors import BundleError, CheckpointError, DataError, UsageError, shown
from edgeroberta.roberta import hftokenizer
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.families import FAMILIES
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.runtime.encoding import Encoding
from edgeroberta.runtime.tokenizer import Input, QuestionTokenizer, TextTokenizer

#: Texts in which tokenizers that seem alike differ: white space, case, marks, scripts, digits, rare words.
ODD = (
    "",
    " ",
    "  two  spaces and a tab\t.\n",
    "CRLF\r\nline\u2028separator\u00a0no-break\u3000wide\u200bnone",
    "Upper CASE, Caf\u00e9 cafe\u0301 \ufb01lm \uff21\uff22 \u2460\u2122 \u0130\u0131\u00df",
    "12345.67 rooms; 3,5 % it's don't we'll #tag @user http://a.b/c?d=e&amp;f",
    "\u0444\u0438\u043b\u044c\u043c \u6620\u753b \u0641\u064a\u0644\u0645 \u1201\u1208 \ud55c\uae00",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e9\U0001f1ea\x00\x01\ufeff\ufffd",
    "x" * 300,
)
#: Special and added tokens that are tried within a text.
_MOST_NAMES = 64
#: Tokens shown of a text that is read otherwise, around the first difference.
_SHOWN = 6

_Ids = list[int]


@dataclass(frozen=True)
class _ReferenceTokens:
    """Texts as transformers reads them: ids, and the type of each token where the model gets types."""

    ids: list[_Ids]
    types: list[_Ids] | None


def check(model: Checkpoint, inputs: Sequence[Input]) -> str | None:
    """Hold the runtime's tokens to those of transformers, on given texts and on odd ones.

    Returns None where all are the same; a warning with what to do next where the runtime follows
    ``tokenizer.json`` and transformers does not. Raises CheckpointError: a text is read otherwise, or in
    another way than the graph can hold; UnavailableError: transformers is not installed.
    """
    length, folder = model.max_length, model.folder
    ours, theirs = open_ours(model), hftokenizer.load(model)
    pair = isinstance(inputs[0], tuple)
    texts = [*inputs, *_odd(theirs, length, pair=pair, separator=model.separator_id if pair else None)]
    here = [encoding.ids.tolist() for encoding in ours.encode(texts)]
    there = _read(theirs, texts, length)
    differing = [index for index, ids in enumerate(here) if ids != there.ids[index]]
    if not differing:
        return _check_types(there, texts, model)
    first = differing[0]
    seen = f"{shown(texts[first])} gives {_around(here[first], there.ids[first])}"
    chosen = [texts[index] for index in differing]
    as_written = _read(hftokenizer.load_as_written(model), chosen, length)
    name = f"transformers {_version()}'s {type(theirs).__name__}"
    if as_written.ids == [here[index] for index in differing]:
        return (
            f"{name} leaves out parts of tokenizer.json that change {len(differing)} of {len(texts)} texts "
            f"({seen}); the bundle and the baseline here follow the file\n"
            '  next: write "tokenizer_class": "PreTrainedTokenizerFast" into tokenizer_config.json, so that '
            "transformers follows the file, too; or, if the model was trained with transformers as it is "
            f"now, make the file follow that: {_save(folder)}"
        )
    raise CheckpointError(
        f"the tokenizer's files can be read in two ways, of which {name} takes the other: {seen}"
        + _unwritten(theirs, folder),
        where=str(folder),
        hint=f"if that is how the model was trained, save its tokenizer again: {_save(folder)}",
    )


def check_rows(model: Checkpoint, rows: Sequence[tuple[str, Sequence[Input], int]]) -> None:
    """Refuse texts that no bundle answers: with the padding token in them, or without any token.

    Of a pair whose tokens are of two types also a first text that holds the separator. ``rows``: of each part
    its name, what is read at once, and how many of these are a row.
    """
    pad = model.config.pad_token_id
    pair = any(isinstance(inputs[0], tuple) for _, inputs, _ in rows if len(inputs))
    tokenizer = open_ours(model, separator=model.separator_id if pair else None)
    if pad in tokenizer.encode_one("").ids:
        raise CheckpointError(
            f"pad_token_id is {pad}, a token that the tokenizer puts into every text; positions are counted "
            "without it",
            where=str(model.config_file),
            hint="only models whose padding is a token of its own can be compressed",
        )
    for name, inputs, units in rows:
        for index, encoding in enumerate(_encoded(tokenizer, name, inputs)):
            padded = (encoding.ids == pad).any()
            if padded or not len(encoding.ids):
                why = f"holds the padding token (id {pad})" if padded else "has no tokens at all"
                raise DataError(
                    f"row {index // units + 1} of the {name} rows {why}, to which no bundle has an answer: "
                    f"{shown(inputs[index])}",
                    hint="fix that text, or take the row out of the data",
                )


def check_questions(model: Checkpoint, rows: Sequence[tuple[str, Sequence[Input]]], length: int) -> None:
    """Refuse questions that leave too little room to their contexts.

    ``rows``: of each part its name, and questions with their contexts. ``length``: number of tokens that they
    are read in at once, the least of all stages.
    """
    tokenizer = QuestionTokenizer.open(model.folder, min(length, model.max_length))
    for name, inputs in rows:
        for index, item in enumerate(inputs):
            # A token is at least a byte, so that most need not be looked at.
            if len(item[0].encode("utf-8", "replace")) <= tokenizer.max_length // 2:
                continue
            try:
                tokenizer.encode_one(item)
            except UsageError as error:
                raise DataError(
                    f"row {index + 1} of the {name} rows: {error.what}: {shown(item[0])}",
                    hint="shorten that question, take the row out of the data, or raise max_length",
                    code=error.code,
                ) from error


def _encoded(tokenizer: TextTokenizer, name: str, inputs: Sequence[Input]) -> list[Encoding]:
    try:
        return tokenizer.encode(inputs)
    except UsageError:
        for index, item in enumerate(inputs):  # one by one, to name the row
            try:
                tokenizer.encode_one(item)
            except UsageError as error:
                raise DataError(
                    f"row {index + 1} of the {name} rows: {error.what}: {shown(item)}",
                    hint="fix that text, or take the row out of the data",
                    code=error.code,
                ) from error
        raise


def open_ours(model: Checkpoint, *, separator: int | None = None) -> TextTokenizer:
    """Open a model's tokenizer as the runtime does; ``separator`` as :meth:`TextTokenizer.open` has it."""
    try:
        return TextTokenizer.open(model.folder, model.max_length, separator=separator)
    except BundleError as error:
        raise CheckpointError(error.what, where=error.where, hint=error.hint) from error


def _save(folder: Path) -> str:
    """Return the command that writes a tokenizer as transformers reads it."""
    code = f"T.from_pretrained('{folder}').save_pretrained('{folder}')"
    return f'python -c "from transformers import AutoTokenizer as T; {code}"'


def _unwritten(tokenizer: Any, folder: Path) -> str:
    """Name the tokens that transformers adds to those of ``tokenizer.json``."""
    written, _ = tokenizerfiles.read(folder)
    known = {token.content for token in written.get_added_tokens_decoder().values()}
    added = [name for name in map(str, tokenizer.get_added_vocab()) if name not in known]
    return f"; {', '.join(map(repr, added[:_SHOWN]))} are tokens, but not in tokenizer.json" if added else ""


def _odd(tokenizer: Any, length: int, *, pair: bool, separator: int | None) -> list[Input]:
    names = [*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()]
    names = list(dict.fromkeys(map(str, names)))[:_MOST_NAMES]
    typed = [f"good{name} film {name}" for name in names]
    texts = [*ODD, " ".join(typed), *typed, "good film, " * length + "the end"]
    if not pair:
        return list(texts)
    ends = None if separator is None else str(tokenizer.convert_ids_to_tokens(separator))
    pairs = zip(texts, [texts[-1], *texts[:-1]], strict=True)
    return [each for each in pairs if ends is None or ends not in each[0]]


def _read(tokenizer: Any, texts: Sequence[Input], length: int) -> _ReferenceTokens:
    pairs = isinstance(texts[0], tuple)
    columns = [list(column) for column in zip(*texts, strict=True)] if pairs else [list(texts)]
    found = tokenizer(*columns, truncation=True, max_length=length)
    return _ReferenceTokens(found["input_ids"], found.get("token_type_ids"))


def _check_types(read: _ReferenceTokens, texts: Sequence[Input], model: Checkpoint) -> str | None:
    """Hold types of tokens to those of the graph; a warning where transformers' own class has others.

    Raises CheckpointError: the architecture has one type and the tokenizer gives several.
    """
    separator = model.separator_id if isinstance(texts[0], tuple) else None
    given = read.types or [[0] * len(ids) for ids in read.ids]
    for text, ids, types in zip(texts, read.ids, given, strict=True):
        if types == _types(ids, separator):
            continue
        if FAMILIES[model.config.family].token_types and isinstance(text, tuple):
            second = 0 if separator is None else 1
            return (
                f"transformers {_version()} gives the tokens of the second text of {shown(text)} the type "
                f"{1 - second}, tokenizer.json {second}; the bundle and the baseline here follow the file\n"
                '  next: write "tokenizer_class": "PreTrainedTokenizerFast" and "model_input_names" into '
                "tokenizer_config.json, with token_type_ids among them or not, as the model was trained"
            )
        raise CheckpointError(
            "its tokenizer gives tokens a type other than 0, as it does for the second text of "
            f"{shown(text)}; only one type can be compressed",
            where=str(model.folder),
            hint="train the model without token_type_ids in model_input_names of tokenizer_config.json",
        )
    return None


def _types(ids: _Ids, separator: int | None) -> _Ids:
    """Return the type of each token as the graph has it."""
    first = ids.index(separator) + 1 if separator in ids else len(ids)
    return [0] * first + [1] * (len(ids) - first)


def _around(here: _Ids, there: _Ids) -> str:
    """Show two lists of ids around their first difference."""
    same = next((i for i, pair in enumerate(zip(here, there, strict=False)) if len(set(pair)) > 1), None)
    start = max(0, (min(len(here), len(there)) if same is None else same) - 2)

    def cut(ids: _Ids) -> str:
        part = ", ".join(map(str, ids[start : start + _SHOWN]))
        more = ", …" if len(ids) > start + _SHOWN else ""
        return f"[{'…, ' if start else ''}{part}{more}] ({len(ids)} tokens)"

    return f"{cut(here)} here and {cut(there)} there"


def _version() -> str:
    import transformers

    return str(transformers.__version__)
