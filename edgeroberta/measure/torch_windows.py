"""Windows of long texts as transformers' tokenizers cut them, for the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeroberta.measure.protocol import Inputs
from edgeroberta.runtime.encoding import Encoding, Input, WordMarks, place, windows
from edgeroberta.runtime.longtexts import LongText, LongTexts
from edgeroberta.runtime.questions import ContextCutter


def encode(tokenizer: Any, inputs: Inputs, max_length: int, overlap: int, *, places: bool) -> list[Encoding]:
    """Tokenize texts or pairs, long ones in windows, as :class:`edgeroberta.runtime.tokenizer.TextTokenizer`.

    ``tokenizer``: a fast one of transformers. ``overlap``: tokens that a window has in common with the next
    one. ``places``: tell which characters the tokens of texts stand for.
    """
    texts, pairs = apart(inputs)
    found = tokenizer(
        texts, pairs, truncation=True, max_length=max_length, stride=overlap, return_overflowing_tokens=True
    )
    parts: list[list[Any]] = [[] for _ in inputs]
    for encoding, row in zip(found.encodings, found["overflow_to_sample_mapping"], strict=True):
        parts[row].append(encoding)
    half = (max_length - tokenizer.num_special_tokens_to_add(pair=True)) // 2
    marks = WordMarks.of(tokenizer.backend_tokenizer)
    encodings = []
    items: list[Input] = list(inputs)
    for item, own in zip(items, parts, strict=True):
        first = own[0]
        both_cut = len(own) > 1 and isinstance(item, tuple) and _over(tokenizer, item, half)
        if len(own) == 1 or both_cut:
            where = place(first, item, marks) if places and isinstance(item, str) else None
            encodings.append(Encoding(np.array(first.ids, np.int64), both_cut, where))
            continue
        if tokenizer.truncation_side == "left":
            own.reverse()
        encodings.append(windows(own, item, overlap, marks=marks, places=places))
    return encodings


def encode_questions(tokenizer: Any, inputs: Inputs, max_length: int, overlap: int | None) -> list[Encoding]:
    """Tokenize questions and their contexts, long ones in windows, or cut where ``overlap`` is None."""
    questions, contexts = apart(inputs)
    way = LongTexts(LongText.TRUNCATE) if overlap is None else LongTexts(LongText.WINDOWS, overlap)
    cutter = ContextCutter(max_length, tokenizer.num_special_tokens_to_add(pair=True), way)
    found = tokenizer(questions, contexts, truncation=False, verbose=False).encodings
    return [cutter.cut(one, context) for one, context in zip(found, contexts or (), strict=True)]


def apart(inputs: Inputs) -> tuple[list[str], list[str] | None]:
    """Return the texts; of pairs the first texts and the second."""
    texts = [each if isinstance(each, str) else each[0] for each in inputs]
    if isinstance(inputs[0], str):
        return texts, None
    return texts, [each[1] for each in inputs]


def _over(tokenizer: Any, texts: Sequence[str], tokens: int) -> bool:
    """Tell whether all of the texts have more tokens."""
    found = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return all(len(ids) > tokens for ids in found)
