"""The start of a long text that has the same first tokens: what a model reads of a megabyte is a few kB.

Nothing here is a guess. A start is handed out where it follows from how the tokenizer works that the rest
of the text cannot change its tokens, and not at all otherwise:

- *Added tokens* are looked for before anything else. No start ends inside one, and none ends in white space
  that a later one takes away (``lstrip``).
- *Words.* The byte-level pre-tokenizer scans from left to right and looks at most at the end of a word and
  three characters (``'re``), so every boundary but those in the last four characters stands. The words of
  Metaspace begin at a space. BERT's end where :mod:`.wordpieces` says.
- *Inside a word,* should one be longer than all of that. The model splits it into pieces of at most M
  symbols, so one of its boundaries is among the last M positions of any start, and **what is left of a
  boundary is tokenized as if it stood alone**: for BPE since no merge ever crossed it, for Unigram since
  the best way to a position depends on nothing behind it. So tokens on which the starts that end at these
  M positions agree are those of the whole. For BPE the M starts share all but their ends: a sequence
  of pieces is the encoding of its text if and only if each two neighbours are (a first merge across a border
  of two pieces would be the next one of these two alone, too), so one border shows the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from edgeroberta.runtime import wordpieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Characters at the end of a start in which the byte-level pattern may yet find another boundary.
_UNSURE = 4
#: Longest piece of a Unigram model for which a word is cut: so many starts are tokenized.
_MOST_STARTS = 64
#: Normalizers by which nothing behind a space changes what is before it, and what they replace.
_LOCAL = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Nmt", "Precompiled", "Replace", "StripAccents", "Strip")
_REPLACED = ({"Regex": " {2,}"}, {"String": " "})


@dataclass(frozen=True)
class AddedTokens:
    """Texts of the added tokens."""

    contents: tuple[str, ...]
    stripping: tuple[str, ...]  # those that take the white space before them

    def outside(self, text: str, end: int) -> int:
        """Return the end itself, or the start of the added token that it lies in."""
        for content in self.contents:
            found = text.find(content, max(end - len(content) + 1, 0), end + len(content) - 1)
            if found >= 0:
                return found
        return end

    def last(self, text: str, end: int) -> int:
        """Return where the last added token before ``end`` ends; 0 when there is none."""
        places = ((text.rfind(content, 0, end), len(content)) for content in self.contents)
        return max((place + length for place, length in places if place >= 0), default=0)

    def takes(self, text: str, end: int) -> bool:
        """Tell whether an added token takes away the white space in which ``end`` lies."""
        if not self.stripping or not text[end - 1 : end].isspace():
            return False
        while text[end : end + 1].isspace():
            run = text[end : end + 4096]
            end += len(run) - len(run.lstrip())
        return text.startswith(self.stripping, end)


class PrefixFinder:
    """Finds starts of long texts; ``kind``: the tokenizer's model, ``BPE``, ``Unigram`` or ``WordPiece``."""

    def __init__(self, tokenizer: Tokenizer, added: AddedTokens, longest: int, *, kind: str) -> None:
        self._tokenizer = tokenizer
        self._added = added
        self._longest = longest
        self._ends = {
            "BPE": self._byte_level,
            "Unigram": self._metaspace,
            "WordPiece": self._words,
        }[kind]
        self._chinese = bool(state(tokenizer.normalizer).get("handle_chinese_chars"))

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> PrefixFinder | None:
        """Make one; None for a tokenizer of which it is not known that what is said above holds."""
        added = _added(tokenizer)
        if added is None:
            return None
        states = state(tokenizer.normalizer), state(tokenizer.pre_tokenizer)
        if not (
            is_byte_level(tokenizer) or is_metaspace(tokenizer) or wordpieces.is_berts(tokenizer, *states)
        ):
            return None
        longest = max(map(len, tokenizer.get_vocab(with_added_tokens=False)))
        return cls(tokenizer, added, longest, kind=type(tokenizer.model).__name__)

    def starts(self, text: str, length: int) -> Sequence[str]:
        """Find starts of a text of which at least one has the text's own first tokens.

        ``text``: longer than ``length``. Returns one or several starts. Tokens on which all of them agree,
        the last of each left out, are the first of the text's. Empty when none is known.
        """
        end = self._added.outside(text, length)
        base = self._added.last(text, end)
        ends = self._ends(text, base, end)
        return [] if any(self._added.takes(text, one) for one in ends) else [text[:one] for one in ends]

    def _byte_level(self, text: str, base: int, end: int) -> Sequence[int]:
        words = self._tokenizer.pre_tokenizer.pre_tokenize_str(text[base:end])
        sure = end - base - _UNSURE
        word, (start, stop) = next((one for one in reversed(words) if one[1][0] <= sure), ("", (0, 0)))
        if base + start < end // 2:
            extra = len(text[base + min(stop, sure) : base + stop].encode())
            start += self._inside(word[: len(word) - extra], text[base + start : base + min(stop, sure)])
        return [base + start] if base + start else []

    def _inside(self, word: str, text: str) -> int:
        """Find a boundary that stands, whatever follows the start of a word.

        ``word``: the start as the model sees it: a character per byte, perhaps behind an added space.
        ``text``: the same as it stands in the text. Returns characters of ``text`` before the boundary; 0
        when none is found.
        """
        data = text.encode()
        shift = len(word) - len(data)
        pieces = self._pieces(word)
        # So far in front that a whole piece fits between it and each of the possible ends.
        last = len(word) - 2 * self._longest
        places = [
            (number, place)
            for number, place in enumerate(accumulate(map(len, pieces)))
            # Of a character of several bytes, those after the first are 0b10xxxxxx.
            if shift < place <= last and data[place - shift] & 0xC0 != 0x80
        ]
        if not places:
            return 0
        number, place = places[-1]
        left = pieces[number]
        ends = range(len(word) - self._longest + 1, len(word) + 1)
        for right in {self._pieces(word[place:one])[0] for one in ends}:
            if self._pieces(left + right) != [left, right]:
                return 0
        return len(data[: place - shift].decode())

    def _pieces(self, word: str) -> list[str]:
        return [token.value for token in self._tokenizer.model.tokenize(word)]

    def _metaspace(self, text: str, base: int, end: int) -> Sequence[int]:
        if base > end // 2:
            return [base]
        space = text.rfind(" ", base + 1, end)
        while space > end // 2 and not self._ends_a_word(text[space - 1]):
            space = text.rfind(" ", base + 1, space)
        if space > end // 2:
            return [space]
        ends = range(end - self._longest + 1, end + 1)
        window = text[ends[0] - 1 : end + 1]
        if ends[0] - 1 < base or self._longest > _MOST_STARTS or not all(map(_is_plain, window)):
            return []
        return ends if self._normalized(window) == window else []

    def _words(self, text: str, base: int, end: int) -> Sequence[int]:
        if base > end // 2:
            return [base]
        found = wordpieces.last_border(text, max(base, end // 2), end, chinese=self._chinese)
        return [] if found is None else [found]

    def _ends_a_word(self, character: str) -> bool:
        return character.isalnum() and self._normalized(character)[-1:].isalnum()

    def _normalized(self, text: str) -> str:
        normalizer = self._tokenizer.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))


def _is_plain(character: str) -> bool:
    """Tell whether normalizers leave a character alone whatever plain character stands beside it."""
    return (character.isascii() and character.isalnum()) or "\u4e00" <= character <= "\u9fff"


def _added(tokenizer: Tokenizer) -> AddedTokens | None:
    """Return the added tokens; None where they could overlap each other, or come of a normalizer."""
    tokens = list(tokenizer.get_added_tokens_decoder().values())
    contents = tuple({token.content for token in tokens if token.content})
    for one in contents:
        for other in contents:
            if one in other[1:] or any(one.startswith(other[at:]) for at in range(1, len(other))):
                return None
    if any(one[0].isspace() for one in contents) or any(token.single_word for token in tokens):
        return None
    if tokenizer.normalizer is not None and any(token.normalized for token in tokens):
        return None
    if tokenizer.encode_special_tokens:  # those are characters like any other then
        tokens = [token for token in tokens if not token.special]
    found = tuple({token.content for token in tokens if token.content})
    return AddedTokens(found, tuple(token.content for token in tokens if token.content and token.lstrip))


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Tell whether it is RoBERTa's: GPT-2's pattern, then merges of bytes, all of which it knows."""
    from tokenizers import models, pre_tokenizers

    model, step = tokenizer.model, state(tokenizer.pre_tokenizer)
    if not isinstance(model, models.BPE) or tokenizer.normalizer is not None:
        return False
    if step.get("type") != "ByteLevel" or not step.get("use_regex", True):
        return False
    if model.dropout or model.continuing_subword_prefix or model.end_of_word_suffix:
        return False
    return all(model.token_to_id(byte) is not None for byte in pre_tokenizers.ByteLevel.alphabet())


def is_metaspace(tokenizer: Tokenizer) -> bool:
    """Tell whether it is XLM-R's: Unigram over words that begin at spaces."""
    from tokenizers import models

    step, normalizer = state(tokenizer.pre_tokenizer), state(tokenizer.normalizer)
    steps = step["pretokenizers"] if step.get("type") == "Sequence" else [step]
    normalizers = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    return (
        isinstance(tokenizer.model, models.Unigram)
        and [one.get("type") for one in steps] in (["Metaspace"], ["WhitespaceSplit", "Metaspace"])
        and bool(steps[-1].get("split", True))
        and all(not one or _is_local(one) for one in normalizers)
    )


def _is_local(normalizer: Mapping[str, Any]) -> bool:
    if normalizer["type"] == "Replace" and normalizer["pattern"] not in _REPLACED:
        return False
    return normalizer["type"] in _LOCAL


def state(step: Any) -> Mapping[str, Any]:
    """Return the settings of a normalizer or pre-tokenizer; of none, or one written in Python, nothing."""
    try:
        return dict(json.loads(step.__getstate__())) if step is not None else {}
    except Exception:  # a custom one raises bare Exception (tokenizers 0.20 to 0.23)
        return {"type": "custom"}
