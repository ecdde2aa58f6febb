"""What is done with texts longer than the model: cut them, read them in windows, or refuse them."""

from __future__ import annotations

from dataclasses import dataclass

from edgeroberta.errors import UsageError, did_you_mean, shown
from edgeroberta.tasks import Word

#: Part of the model's length that windows overlap by where nobody says otherwise: 128 of 512 tokens, so that
#: each token has 64 neighbours on both sides.
_OVERLAP = 4


class LongText(Word):
    """What to do with a text that is longer than the model."""

    TRUNCATE = "truncate"  # cut it
    WINDOWS = "windows"  # read it in windows that overlap, and merge what they give
    REFUSE = "refuse"  # raise a UsageError


@dataclass(frozen=True)
class LongTexts:
    """What to do with long texts, and how far windows overlap."""

    way: LongText = LongText.TRUNCATE
    stride: int = 0  # tokens that a window has in common with the next one; 0 unless there are windows

    @property
    def overlap(self) -> int | None:
        """Tokens that windows overlap by; None where long texts are not read in windows."""
        return self.stride if self.way is LongText.WINDOWS else None


def choose(way: str | None, stride: int | None, *, max_length: int, room: int) -> LongTexts:
    """Check a way and a stride, and fill in what is not given.

    Args:
        way: One of :class:`LongText`; ``truncate`` when None.
        stride: Tokens of overlap; a quarter of ``max_length`` when None.
        max_length: Longest input in tokens, special tokens included.
        room: Tokens of one text that have room in a window.

    Returns:
        Both.

    Raises:
        UsageError: There is no such way, the stride is not a whole number or as long as a window, or there is
            one without windows; ``where`` is ``long_text`` or ``stride``.
    """
    chosen = parse(way)
    if chosen is not LongText.WINDOWS:
        if stride is not None:
            raise UsageError(
                f"windows overlap by a stride, and there are none with long_text {chosen.value!r}",
                where="stride",
                hint="add long_text: windows, or leave stride out",
            )
        return LongTexts(chosen)
    if stride is None:
        return LongTexts(chosen, min(max_length // _OVERLAP, room // 2))
    if not isinstance(stride, int) or isinstance(stride, bool) or stride < 0:
        raise UsageError(f"must be a whole number of at least 0, not {shown(stride)}", where="stride")
    if stride >= room:
        raise UsageError(
            f"windows of {room} tokens cannot overlap by {stride}: each would begin where the last one did",
            where="stride",
            hint=f"at most {room - 1}; a quarter of the window, {room // 4}, is a good start",
        )
    return LongTexts(chosen, stride)


def parse(way: str | None) -> LongText:
    """Return a way by its name; UsageError where there is none."""
    names = [each.value for each in LongText]
    if way is None:
        return LongText.TRUNCATE
    if not isinstance(way, str) or way not in names:
        raise UsageError(
            f"there is no way {shown(way)} with long texts (there are: {', '.join(names)})",
            where="long_text",
            hint=did_you_mean(way, names) if isinstance(way, str) else None,
        )
    return LongText(way)


def too_long(tokens: int, max_length: int, *, where: str | None = None) -> UsageError:
    """Make the error for a text of so many tokens, special tokens included, that is refused."""
    return UsageError(
        f"the text has {tokens:,} tokens, this model reads {max_length:,} and is told to refuse longer ones",
        where=where,
        hint="shorten the text, or open the bundle with long_text='windows' (--long-text windows)",
        code="usage.text-too-long",
    )
