"""How right an answer to a question is: as SQuAD's evaluation script has it, and as that of CMRC 2018.

Both compare texts, not places. SQuAD's (https://rajpurkar.github.io/SQuAD-explorer, ``evaluate-v2.0.py``;
Rajpurkar et al., Know What You Don't Know, 2018) counts words between spaces, of which Chinese has none.
CMRC's (https://github.com/ymcui/cmrc2018, its script in version 5; Cui et al., A Span-Extraction Dataset for
Chinese Machine Reading Comprehension, 2019) counts Chinese characters, and the words of anything else, in the
longest run that two answers have in common.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
#: Answers that are kept in mind: a gate asks for the same ones again and again.
_KEPT = 1 << 15

#: Punctuation that CMRC's script leaves out; Chinese's ellipsis it does not.
_CMRC_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CMRC_NO_PUNCTUATION = str.maketrans("", "", "".join(_CMRC_PUNCTUATION))
#: What it counts by the character, up to U+9FA5 as it does.
_HAN = re.compile("([\u4e00-\u9fa5])")


def normalized(text: str) -> str:
    """Return a text in lower case without punctuation, articles and spaces at its ends, as SQuAD's script."""
    bare = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def squad(said: str, known: Sequence[str]) -> tuple[float, float]:
    """Return F1 and exact match of an answer, each the best of all known ones, 0 … 1.

    ``said``: the answer, empty for none. ``known``: the right ones; none where the question has no answer.
    """
    # Of nothing but punctuation and articles there is nothing to say.
    texts = [each for each in known if normalized(each)] or [""]
    pairs = [_squad(said, each) for each in texts]
    return max(f1 for f1, _ in pairs), max(exact for _, exact in pairs)


def cmrc(said: str, known: Sequence[str]) -> tuple[float, float]:
    """Return the same as CMRC's script has it; no answer, which it does not know, is as in SQuAD's."""
    if not known:
        return float(not said), float(not said)
    pairs = [_cmrc(said, each) for each in known]
    return max(f1 for f1, _ in pairs), max(exact for _, exact in pairs)


@lru_cache(_KEPT)
def _squad(said: str, known: str) -> tuple[float, float]:
    first, second = normalized(said), normalized(known)
    exact = float(first == second)
    ours, theirs = first.split(), second.split()
    if not ours or not theirs:
        return exact, exact
    return _f1(sum((Counter(ours) & Counter(theirs)).values()), len(ours), len(theirs)), exact


@lru_cache(_KEPT)
def _cmrc(said: str, known: str) -> tuple[float, float]:
    first, second = (each.lower().strip().translate(_CMRC_NO_PUNCTUATION) for each in (said, known))
    ours, theirs = segments(said), segments(known)
    if not ours or not theirs:
        return 0.0, float(first == second)
    return _f1(_longest_run(ours, theirs), len(ours), len(theirs)), float(first == second)


def _f1(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs)


def segments(text: str) -> list[str]:
    """Cut a text into Chinese characters, and the words of what is between them, without punctuation."""
    bare = text.lower().strip().translate(_CMRC_NO_PUNCTUATION)
    return [word for part in _HAN.split(bare) for word in ([part] if _HAN.fullmatch(part) else _words(part))]


#: The tokens of the Penn Treebank (MacIntyre, its sed script, 1995), which NLTK's ``word_tokenize`` makes:
#: where a space is put between two.
_TREEBANK = tuple(
    (re.compile(pattern), put)
    for pattern, put in (
        (r"(^|[\s(\[{<])\"", r"\1 `` "),
        (r'"', ' " '),
        (r"(^|\s)'(?!re|ve|ll|[mtsdn])(?=\w)", r"\1' "),
        (r"\.{2,}", r" \g<0> "),
        (r"[;@#$%&?!–—\[\](){}<>«»„‘]", r" \g<0> "),
        (r",(?!\d)", " , "),
        (r"(?<=[^.])\.(?=[\])}>'\"\s]*$)", " . "),
        (r"(?<=[^\s'])'(?=s\b|m\b|d\b|ll\b|re\b|ve\b)", " '"),
        (r"n't\b", " n't"),
        (r"'(?=\s|$)", " ' "),
        (r"\b(can)(not)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b|\b(gim|lem)(me)\b", r"\1\3\5\7 \2\4\6\8"),
    )
)


def _words(text: str) -> list[str]:
    for pattern, put in _TREEBANK:
        text = pattern.sub(put, text)
    return text.split()


def _longest_run(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Return the length of the longest run that two lists have in common."""
    best, before = 0, [0] * (len(theirs) + 1)
    for one in ours:
        here = [0] * (len(theirs) + 1)
        for place, other in enumerate(theirs, 1):
            if one == other:
                here[place] = before[place - 1] + 1
                best = max(best, here[place])
        before = here
    return best
