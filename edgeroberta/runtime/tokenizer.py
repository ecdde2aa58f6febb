"""Text to token ids, as Hugging Face's fast tokenizers do it, with the ``tokenizers`` package alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import UsageError
from edgeroberta.runtime import longtexts, tokenizerfiles
from edgeroberta.runtime import questions as contexts
from edgeroberta.runtime.encoding import (
    Encoding,
    Input,
    NativeEncoding,
    WordMarks,
    place,
    refuse_separator,
    windows,
)
from edgeroberta.runtime.longtexts import LongText, LongTexts
from edgeroberta.runtime.prefixes import PrefixFinder
from edgeroberta.runtime.questions import QuestionReader

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Encoding", "Input", "TextTokenizer", "explain"]

Ids = npt.NDArray[np.int64]

# What transformers cleans up in texts made of ids, in this order (5.24, ``clean_up_tokenization``).
_CLEAN = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip
# Texts tokenized at once: enough to keep all cores busy, little enough that the intermediate objects
# (about 1 kB per token) stay under some tens of MB.
_CHUNK = 1024
# Characters per token the model takes at which a text is worth cutting before it is tokenized, a few times
# what any language needs, and how many of them the first start has.
_LONG, _FIRST = 16, 8


class TextTokenizer:
    """Turns texts into ids; safe to use from several threads at once."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int,
        threads: int | None = None,
        long_texts: LongTexts | None = None,
        separator: int | None = None,
        questions: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._threads = threads
        self._long = long_texts or LongTexts()
        self._separator = separator
        #: whether texts made of ids lose the spaces before punctuation
        self.cleans_up = False
        self.max_length = max_length
        self._room_for_pairs = max_length >= tokenizer.num_special_tokens_to_add(True)
        self._questions = questions

    @classmethod
    def open(
        cls,
        folder: Path,
        max_length: int,
        *,
        threads: int | None = None,
        long_text: str | None = None,
        stride: int | None = None,
        pair: bool = False,
        separator: int | None = None,
        questions: bool = False,
    ) -> TextTokenizer:
        """Read ``tokenizer.json``, and over it what ``tokenizer_config.json`` says of ids.

        That is ``add_prefix_space``, ``truncation_side`` (which end of a long text is cut off) and
        ``split_special_tokens`` (whether ``</s>`` in a text is a token or four characters). ``max_length``:
        most tokens per input, special tokens included. Of a pair that is too long the longer text is cut
        (``longest_first`` in Hugging Face's terms). ``threads``: 1 to tokenize lists one text after the
        other. Any other number is not kept to, and lists use all cores: the size of the package's thread pool
        is one setting of the whole process (``RAYON_NUM_THREADS``). ``long_text``, ``stride``: what is done
        with texts that are longer, see :mod:`.longtexts`; they are cut when None. ``pair``: whether inputs
        are pairs, of which each text has half of the room. ``separator``: id of the token that ends the first
        text of a pair, where the model reads what stands behind it otherwise; a first text that holds it is
        refused. ``questions``: whether pairs are a question and its context, which is read in windows unless
        ``long_text`` says otherwise; where it is not said, such are the pairs of which places are asked for.
        Raises BundleError: the file is missing or is not
        a tokenizer; UsageError: ``max_length`` is no whole number, or has no room beside the special tokens,
        or ``long_text`` or ``stride`` is none.
        """
        if not isinstance(max_length, int) or isinstance(max_length, bool):
            raise UsageError(f"must be a whole number, not {max_length!r}", where="max_length")
        tokenizer, side = tokenizerfiles.read(folder)
        special = tokenizer.num_special_tokens_to_add(False)
        if max_length <= special:
            raise UsageError(
                f"{max_length} tokens leave no room for a text: {special} are special tokens",
                where="max_length",
            )
        room = max_length - special
        if pair or questions:
            room = (max_length - tokenizer.num_special_tokens_to_add(True)) // 2
        if questions:
            long = contexts.long_contexts(long_text, stride, max_length=max_length, room=room)
            tokenizer.no_truncation()
            return cls(tokenizer, max_length, threads, long, separator, questions=True)
        long = longtexts.choose(long_text, stride, max_length=max_length, room=room)
        tokenizer.enable_truncation(max_length, stride=long.stride, strategy="longest_first", direction=side)
        made = cls(tokenizer, max_length, threads, long, separator)
        made.cleans_up = tokenizerfiles.cleans_up(folder, tokenizer)
        return made

    @property
    def reads_questions(self) -> bool:
        """Whether pairs are a question and its context."""
        return self._questions

    @property
    def long_texts(self) -> LongTexts:
        """What is done with texts that are longer than the model."""
        return self._long

    def encode_one(self, item: Input, *, places: bool = False) -> Encoding:
        """Tokenize one text or pair; ``places``: tell which characters each token of a text stands for.

        Raises UsageError: it is neither, is refused, or has no room.
        """
        try:
            if not isinstance(item, str):
                self._require_room()
                if places or self._questions:
                    return self._question_reader.encode_one(item)
            found = self._encode(self._shortened(item, places), places)
        except UsageError:
            raise
        # TypeError and ValueError from Python, bare Exception from the Rust side (tokenizers 0.20 to 0.23).
        except Exception as error:
            raise explain(item) from error
        return self._wrap(found, item, places)

    def encode(self, inputs: Sequence[Input], *, places: bool = False) -> list[Encoding]:
        """Tokenize texts or pairs in order, on all cores unless opened for one thread."""
        if self._threads == 1:
            return [self._numbered(number, item, places) for number, item in enumerate(inputs)]
        results: list[Encoding] = []
        for start in range(0, len(inputs), _CHUNK):
            chunk = list(inputs[start : start + _CHUNK])
            pairs = any(isinstance(item, tuple) for item in chunk)
            if not self._room_for_pairs and pairs:
                self._require_room()
            try:
                if pairs and (places or self._questions):
                    results += self._question_reader.encode(chunk)  # type: ignore[arg-type]
                    continue
                found = self._encode_batch([self._shortened(item, places) for item in chunk], places)
            except Exception:  # as in encode_one
                # One by one, to name the input that is wrong.
                found = []
                for number, item in enumerate(chunk, start):
                    results.append(self._numbered(number, item, places))
            for number, one in enumerate(found):
                results.append(self._wrap(one, chunk[number], places, start + number))
        return results

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Return the text of token ids, as transformers writes it."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        if self.cleans_up:
            for written, read in _CLEAN:
                text = text.replace(written, read)
        return text

    def truncated(self, inputs: Sequence[Input]) -> list[Encoding]:
        """Tokenize texts or pairs, and cut those that are too long, whatever else is done with them."""
        if self._questions:
            return self._question_reader.first_windows(inputs)  # type: ignore[arg-type]
        found = self._encode_batch(list(inputs), places=False)
        return [Encoding(np.array(one.ids, np.int64), bool(one.overflowing)) for one in found]

    def spans(self, inputs: Sequence[Input]) -> list[list[tuple[int, int]]]:
        """Tell which characters each token stands for, to compare tokenizers.

        Returns for each input, the first character of each token and the one after its last, within its own
        text; ``(0, 0)`` for special tokens.
        """
        return [found.offsets for found in self._tokenizer.encode_batch(list(inputs))]

    def _require_room(self) -> None:
        if not self._room_for_pairs:
            special = self._tokenizer.num_special_tokens_to_add(True)
            raise UsageError(
                f"{self.max_length} tokens leave no room for a pair: {special} are special tokens",
                where="max_length",
            )

    def _encode(self, item: Input, places: bool) -> NativeEncoding:
        if self._is_long(item):
            # Of a list of one, since only for lists the package lets go of the interpreter.
            return self._encode_batch([item], places)[0]
        if isinstance(item, str):
            return self._tokenizer.encode(item)
        first, second = item
        return self._tokenizer.encode(first, second)

    def _encode_batch(self, items: list[Input], places: bool) -> Sequence[NativeEncoding]:
        # The faster one does not tell which characters tokens stand for (tokenizers 0.20 to 0.23).
        encode = self._tokenizer.encode_batch if places else self._tokenizer.encode_batch_fast
        return encode(items)

    def _is_long(self, item: Input) -> bool:
        longest = len(item) if isinstance(item, str) else max(map(len, item))
        return longest > _LONG * self.max_length

    @cached_property
    def _marks(self) -> WordMarks:
        return WordMarks.of(self._tokenizer)

    @cached_property
    def _cutter(self) -> PrefixFinder | None:
        return None if self._from_left else PrefixFinder.of(self._tokenizer)

    @cached_property
    def _question_reader(self) -> QuestionReader:
        if self._questions:
            return QuestionReader(self._tokenizer, self.max_length, self._long, self._separator)
        from tokenizers import Tokenizer

        # A copy, since truncation is a setting of the whole tokenizer.
        uncut = Tokenizer.from_str(self._tokenizer.to_str())
        uncut.no_truncation()
        room = (self.max_length - uncut.num_special_tokens_to_add(True)) // 2
        long = contexts.long_contexts(None, None, max_length=self.max_length, room=room)
        return QuestionReader(uncut, self.max_length, long, self._separator)

    @property
    def _from_left(self) -> bool:
        return bool((self._tokenizer.truncation or {}).get("direction") == "left")

    def _shortened(self, item: Input, places: bool = False) -> Input:
        """Cut what is much longer than the model takes, to texts with the same answer."""
        if not self._is_long(item):
            return item
        if self._long.way is LongText.WINDOWS:
            return item if isinstance(item, str) else self._without_product(item)
        if places and self._from_left:  # the end of a text has other characters' numbers
            return item
        if isinstance(item, str):
            return self._part(item)
        # Of two texts that are both too long the longer one gets the odd token, so their lengths count.
        first, second = item
        odd = (self.max_length - self._tokenizer.num_special_tokens_to_add(is_pair=True)) % 2
        return item if odd else (self._part(first), self._part(second))

    def _part(self, text: str) -> str:
        """Return a part of the text that has the same tokens and too many of them, or the whole text."""
        text.encode()  # refuses what is no Unicode, which may stand outside of the part
        steps = range((len(text) // (2 * _FIRST * self.max_length)).bit_length())
        lengths = [_FIRST * self.max_length << step for step in steps]
        for length in lengths:
            starts = self._cutter.starts(text, length) if self._cutter is not None else []
            found = self._tokenizer.encode_batch_fast(list(starts))
            if found and all(one.overflowing and one.ids == found[0].ids for one in found):
                return starts[-1]
        if not lengths:
            return text
        # Nothing is known of such a text: a part is right if it gives what the whole gives. To know that
        # is worth the while for pairs, of which the package multiplies what is cut off of one by the other.
        whole = self._tokenizer.encode_batch_fast([text])[0]
        for length in lengths:
            part = text[-length:] if self._from_left else text[:length]
            short = self._tokenizer.encode_batch_fast([part])[0]
            if whole.overflowing and short.overflowing and short.ids == whole.ids:
                return part
        return text

    def _without_product(self, pair: tuple[str, str]) -> Input:
        """Cut both texts of a pair where both are long: windows are those of the longer one alone.

        The package multiplies the windows of one by those of the other.
        """
        parts = self._part(pair[0]), self._part(pair[1])
        return parts if all(map(self._is_over_half, parts)) else pair

    def _is_over_half(self, text: str) -> bool:
        room = self.max_length - self._tokenizer.num_special_tokens_to_add(True)
        found = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]
        return len(found.ids) > room // 2

    def _numbered(self, number: int, item: Input, places: bool, **more: Any) -> Encoding:
        try:
            return self.encode_one(item, places=places, **more)
        except UsageError as error:
            raise UsageError(error.what, where=f"input {number}", hint=error.hint, code=error.code) from error

    def _wrap(self, found: NativeEncoding, item: Input, places: bool, number: int | None = None) -> Encoding:
        ids = np.array(found.ids, np.int64)
        named = None if number is None else f"input {number}"
        if self._separator is not None and not isinstance(item, str):
            refuse_separator(found, self._separator, named)
        # `overflowing` copies, so it is only asked for where it can be non-empty.
        cut = len(ids) >= self.max_length and bool(found.overflowing)
        if cut and self._long.way is not LongText.TRUNCATE:
            if self._long.way is LongText.REFUSE:
                raise longtexts.too_long(self._count(item), self.max_length, where=named)
            # Windows of two texts that are both cut would be all of one with all of the other.
            if isinstance(item, str) or not all(map(self._is_over_half, item)):
                parts = [found, *found.overflowing]
                if self._separator is not None and not isinstance(item, str):
                    for part in parts[1:]:
                        refuse_separator(part, self._separator, named)
                if self._from_left:  # the first one is the end of the text
                    parts.reverse()
                return windows(parts, item, self._long.stride, marks=self._marks, places=places)
        where = place(found, item, self._marks) if places and isinstance(item, str) else None
        return Encoding(ids, cut, where)

    def _count(self, item: Input) -> int:
        """Count the tokens of a text or pair, the special ones included."""
        texts = [item] if isinstance(item, str) else list(item)
        found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        tokens = sum(len(part.ids) for one in found for part in (one, *one.overflowing))
        return tokens + self._tokenizer.num_special_tokens_to_add(isinstance(item, tuple))


class QuestionTokenizer(TextTokenizer):
    """Turns questions and their contexts into ids."""

    @classmethod
    def open(cls, folder: Path, max_length: int, **options: Any) -> TextTokenizer:
        """Read the tokenizer of a folder, see :meth:`TextTokenizer.open`."""
        return super().open(folder, max_length, **{**options, "questions": True})


def explain(item: object) -> UsageError:
    """Say what is wrong with an input that the tokenizer refused."""
    texts = (item,) if isinstance(item, str) else item
    if not isinstance(texts, tuple) or len(texts) != 2 - isinstance(item, str):
        kind = f"tuple of {len(texts)}" if isinstance(texts, tuple) else type(item).__name__
        return UsageError(f"an input is a text or a tuple of two texts, not a {kind}")
    for text in texts:
        if not isinstance(text, str):
            return UsageError(f"an input is a text or a tuple of two texts, not a {type(text).__name__}")
        for index, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                return UsageError(
                    f"lone surrogate U+{ord(character):04X} at character {index}: this is not valid Unicode",
                    hint="decode the text with errors='replace'",
                )
    return UsageError("the tokenizer refuses this text")
