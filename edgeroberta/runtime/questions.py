"""Questions with their contexts as token ids: the question whole in each window, and the context cut alone.

The tokenizer encodes both uncut, and windows are cut here. The ``tokenizers`` package could do it
(truncation ``only_second``), but panics where a question leaves no more room than the stride, and makes one
window a token where it leaves hardly more (0.23).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.errors import UsageError
from edgeroberta.runtime import longtexts
from edgeroberta.runtime.encoding import Encoding, NativeEncoding, refuse_separator
from edgeroberta.runtime.longtexts import LongText, LongTexts
from edgeroberta.tasks.outputs import Indices
from edgeroberta.tasks.span_search import FIRST, OTHER

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Tokens that windows overlap by where nobody says otherwise.
_OVERLAP = 128
#: Part of the model's tokens, special ones left out, that a question must leave to a context in windows.
_LEAST = 4
#: Characters of scripts that are written without spaces, or whose words hold what a space parts elsewhere,
#: as first and last code points: Thai, Lao, Burmese, Khmer, Han and kana with their signs, Hangul, full-width
#: forms.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1100, 0x11FF),
    (0x1780, 0x17FF),
    (0x2E80, 0xA4CF),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0xFF00, 0xFFEF),
    (0x1F200, 0x1F2FF),
    (0x20000, 0x3FFFF),
)


class ContextCutter:
    """Cuts encodings of a question and its context: the question stays whole in each window.

    Places are those of the context: characters in it and the number of its word of each of its tokens,
    :data:`~edgeroberta.tasks.span_search.FIRST` for the first token of each window, and
    :data:`~edgeroberta.tasks.span_search.OTHER` for the rest.
    """

    def __init__(self, max_length: int, special: int, long_texts: LongTexts) -> None:
        self._max_length = max_length
        self._least = max((max_length - special) // _LEAST, 1)  # tokens that must be left for the context
        self._long = long_texts

    @classmethod
    def usual(cls, max_length: int, special: int) -> ContextCutter:
        """Make the one that cuts windows where nobody says otherwise; ``special``: tokens of the template."""
        room = (max_length - special) // 2
        return cls(max_length, special, long_contexts(None, None, max_length=max_length, room=room))

    def cut(self, found: NativeEncoding, context: str) -> Encoding:
        """Cut what was encoded uncut. Raises UsageError as :meth:`QuestionReader.encode_one` does."""
        own = [row for row, text in enumerate(found.sequence_ids) if text == 1]
        # Some characters have no tokens, such as those without width in BERT.
        if not own:
            raise _blank("context")
        if 0 not in found.sequence_ids:
            raise _blank("question")
        begin, stop = own[0], own[-1] + 1
        ids, places = np.array(found.ids, np.int64), _places(found, context, begin, stop)
        room = self._max_length - (len(ids) - (stop - begin))
        if stop - begin <= room:
            return Encoding(ids, False, places)
        if self._long.way is LongText.REFUSE:
            raise longtexts.too_long(len(ids), self._max_length)
        if room < self._least:
            raise self._no_room(found, room)
        if self._long.way is LongText.TRUNCATE:
            kept = np.r_[0 : begin + room, stop : len(ids)]
            return Encoding(ids[kept], True, places[kept])
        # Never more than half, so that each window has at least half of its tokens for itself.
        overlap = min(self._long.stride, room // 2)
        parts = [
            np.r_[0:begin, start : min(start + room, stop), stop : len(ids)]
            for start in range(begin, stop - overlap, room - overlap)
        ]
        windows = [Encoding(ids[part], False, places[part]) for part in parts]
        return replace(windows[0], rest=tuple(windows[1:]), overlap=overlap)

    def _no_room(self, found: NativeEncoding, room: int) -> UsageError:
        tokens = sum(text == 0 for text in found.sequence_ids)
        return UsageError(
            f"the question has {tokens} tokens and leaves room for {max(room, 0)} of the context at a time;"
            f" at least {self._least} of this model's {self._max_length} must be the context's",
            hint="shorten the question, or swap the two: the question comes first",
            code="usage.question-too-long",
        )


class QuestionReader:
    """Turns pairs of question and context into ids; safe to use from several threads at once.

    ``tokenizer``: one that cuts nothing. ``separator``: id of the token that ends the question, where a
    question that holds it is refused.
    """

    def __init__(
        self, tokenizer: Tokenizer, max_length: int, long_texts: LongTexts, separator: int | None = None
    ) -> None:
        self._tokenizer, self._separator = tokenizer, separator
        special = tokenizer.num_special_tokens_to_add(True)
        self._cutter = ContextCutter(max_length, special, long_texts)
        self._first = ContextCutter(max_length, special, LongTexts(LongText.TRUNCATE))

    def encode_one(self, item: tuple[str, str]) -> Encoding:
        """Tokenize a question and its context.

        Raises UsageError: one of them is empty, the question leaves too little room for the context, or this
        is longer than the model and such ones are refused; anything the package raises passes through.
        """
        question, context = item
        refuse_blank(question, context)
        found = self._tokenizer.encode(question, context)
        if self._separator is not None:
            refuse_separator(found, self._separator)
        return self._cutter.cut(found, context)

    def encode(self, items: Sequence[tuple[str, str]]) -> list[Encoding]:
        """Tokenize several, on all cores."""
        return self._encode(items, self._cutter)

    def first_windows(self, items: Sequence[tuple[str, str]]) -> list[Encoding]:
        """Tokenize several, and cut those that are too long, whatever else is done with them."""
        return self._encode(items, self._first)

    def _encode(self, items: Sequence[tuple[str, str]], cutter: ContextCutter) -> list[Encoding]:
        for question, context in items:
            refuse_blank(question, context)
        found = self._tokenizer.encode_batch(list(items))
        if self._separator is not None:
            for one in found:
                refuse_separator(one, self._separator)
        return [cutter.cut(one, context) for one, (_, context) in zip(found, items, strict=True)]


def pairs(question: object, context: object) -> Any:
    """Lay questions and contexts beside each other, as a runtime takes them.

    ``question``: a text, or a sequence of them. ``context``: the text of each, or one of all. Returns the
    pair, or a list of pairs. Raises UsageError: one of them is missing, or there are more of one.
    """
    if question is None or context is None:
        missing = "question" if question is None else "context"
        raise UsageError(f"the {missing} is missing", hint="runtime(question='…', context='…')")
    if isinstance(question, str) and isinstance(context, str):
        return question, context
    if isinstance(question, str) or not isinstance(question, Sequence):
        raise UsageError("one question has one context", hint="pass a list of questions, one per context")
    contexts = [context] * len(question) if isinstance(context, str) else context
    if not isinstance(contexts, Sequence) or len(contexts) != len(question):
        raise UsageError(
            "questions and contexts are not as many", hint="a context of each question, or one of all"
        )
    return list(zip(question, contexts, strict=True))


def long_contexts(way: str | None, stride: int | None, *, max_length: int, room: int) -> LongTexts:
    """Check what is done with long contexts, and fill in what is not given; see :func:`.longtexts.choose`.

    They are read in windows where nobody says otherwise, which overlap by 128 tokens, as transformers'
    pipeline has it, where that is a third of the model's length at most. Raises UsageError also where there
    is room for no context at all.
    """
    if room < 1:
        raise no_room(max_length)
    way = way or LongText.WINDOWS.value
    if stride is None and way == LongText.WINDOWS:
        stride = min(_OVERLAP, max_length // 3, room // 2)
    return longtexts.choose(way, stride, max_length=max_length, room=room)


def no_room(max_length: int) -> UsageError:
    """Make the error for a model of so few tokens that it can be asked nothing."""
    return UsageError(
        f"{max_length} tokens leave no room for a question and its context",
        where="max_length",
        hint="take more",
    )


def refuse_blank(question: str, context: str) -> None:
    """Refuse a question or a context without a visible character. Raises UsageError."""
    for name, text in (("question", question), ("context", context)):
        if not text or text.isspace():
            raise _blank(name)


def _blank(name: str) -> UsageError:
    hint = "pass a question and the context to find its answer in"
    if name == "question":
        return UsageError("the question is empty", hint=hint, code="usage.question-empty")
    return UsageError("the context is empty", hint=hint, code="usage.context-empty")


def _places(found: NativeEncoding, context: str, begin: int, stop: int) -> Indices:
    """Place the tokens ``begin`` to ``stop``, which are the context's, int64 [length, 3]."""
    places = np.tile(np.array([0, 0, OTHER], np.int64), (len(found.ids), 1))
    places[0, 2] = FIRST
    places[begin:stop, :2] = found.offsets[begin:stop]
    words = np.array([-1 if word is None else word for word in found.word_ids[begin:stop]], np.int64)
    begins = np.ones(len(words), np.bool_)
    begins[1:] = (words[1:] != words[:-1]) | (words[1:] < 0)
    if not context.isascii():
        alone = _unspaced(context, places[begin:stop])
        begins |= alone
        begins[1:] |= alone[:-1]
    places[begin:stop, 2] = np.cumsum(begins) - 1
    return places


def _unspaced(text: str, places: Indices) -> np.ndarray:
    """Tell which tokens hold a character of a script without spaces, bool [tokens]."""
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    inside = np.zeros(len(codes), np.bool_)
    for first, last in _UNSPACED:
        inside |= (codes >= first) & (codes <= last)
    before = np.concatenate([[0], np.cumsum(inside)])
    return np.asarray(before[places[:, 1]] > before[places[:, 0]])
