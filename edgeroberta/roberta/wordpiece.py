"""WordPiece's vocabulary: pieces that have to stay, those that no text has, and the way to unknown words."""

from __future__ import annotations

from collections.abc import Iterator

from edgeroberta.roberta.tokenizerfile import TokenizerFile

# A letter that stands before a piece to make a word of it.
_BEFORE = "a"


def indispensable(file: TokenizerFile) -> set[int]:
    """Return single characters, as words and inside of words, and pieces with one that is not there alone."""
    return {
        number
        for number in possible(file)
        if len(singles := list(_single(file, file.pieces[number]))) == 1
        or not all(each in file.ids for each in singles)
    }


def possible(file: TokenizerFile) -> set[int]:
    """Return the pieces that words can have; not such as ``[unused1]``, or ``##`` and a Chinese character."""
    found = set()
    for piece, number in file.ids.items():
        inside = bool(file.mark) and piece.startswith(file.mark)
        word = _BEFORE + piece.removeprefix(file.mark) if inside else piece
        if words(file, word) == [word]:
            found.add(number)
    return found


def words(file: TokenizerFile, text: str) -> list[str]:
    """Cut a text into the words that the model reads."""
    normalizer, step = file.words.normalizer, file.words.pre_tokenizer
    written = text if normalizer is None else normalizer.normalize_str(text)
    return [written] if step is None else [word for word, _ in step.pre_tokenize_str(written)]


def on_the_way(file: TokenizerFile, word: str) -> Iterator[int]:
    """List the pieces that are taken of an unknown word before it is given up; none of a known one."""
    model = file.words.model
    if len(word) > model.max_input_chars_per_word:
        return
    unknown = [each.value for each in model.tokenize(word)] == [model.unk_token]
    start, longest = 0 if unknown else len(word), max(map(len, file.ids), default=0)
    while start < len(word):
        mark = file.mark if start else ""
        ends = range(min(len(word), start + longest), start, -1)
        end = next((end for end in ends if mark + word[start:end] in file.ids), None)
        if end is None:
            return
        yield file.ids[mark + word[start:end]]
        start = end


def _single(file: TokenizerFile, piece: str) -> Iterator[str]:
    """List the pieces of one character that a piece is made of."""
    inside = bool(file.mark) and piece.startswith(file.mark)
    for place, letter in enumerate(piece.removeprefix(file.mark)):
        yield file.mark + letter if inside or place else letter
