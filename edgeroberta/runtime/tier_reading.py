"""What a tier of a cascade reads of a text that the last tier's tokenizer has read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgeroberta.errors import UsageError
from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.session import Ids


class TierReader:
    """Makes a tier's encodings; safe to use from several threads at once."""

    def __init__(self, max_length: int, open_own: Callable[[], Any], token_ids: Ids | None = None) -> None:
        """Take what is known of the tier's tokens.

        Args:
            max_length: Longest input of the tier in tokens.
            open_own: Opens the tier's own tokenizer, when it is first needed.
            token_ids: int64 [V], the tier's own id of each of the last tier's tokens, -1 for those that it
                lacks; None where both tiers have the same tokens.
        """
        self.max_length = max_length
        self.token_ids = token_ids
        self._open_own = open_own
        self._own: Any = None
        self._lock = threading.Lock()

    @property
    def own(self) -> Any:
        """The tier's own tokenizer."""
        if self._own is None:
            with self._lock:
                if self._own is None:
                    self._own = self._open_own()
        return self._own

    def load(self) -> None:
        """Open the tier's own tokenizer, unless that has been done."""
        _ = self.own

    def wrapped(self, wrap: Callable[[Any], Any]) -> TierReader:
        """Return a reader with something around the tokenizer."""
        return TierReader(self.max_length, lambda: wrap(self.own), self.token_ids)

    def read(self, encoding: Encoding, item: Input | None = None, *, places: bool = False) -> Encoding | None:
        """Return what the tier reads in place of an encoding; None where it has no answer to the input.

        That is where the input is longer than the tier takes, and where it has to be tokenized again and is
        not at hand. ``item``: the input. ``places``: whether to tell which characters tokens stand for.
        """
        found: Encoding | None = encoding
        if self.token_ids is not None:
            # What was cut off may decide how the tier cuts the word in which that begins.
            found = None if encoding.truncated else self.through_table(encoding)
            if found is None and item is not None:
                found = self._again(encoding, item, places)
        if found is None or any(len(one.ids) > self.max_length for one in (found, *found.rest)):
            return None
        return found

    def through_table(self, encoding: Encoding) -> Encoding | None:
        """Return an encoding with the tier's own ids; None where it lacks one of the tokens."""
        if self.token_ids is None:
            return encoding
        ids = self.token_ids[encoding.ids]
        if ids.min(initial=0) < 0:
            return None
        if not encoding.rest:
            return Encoding(ids, encoding.truncated, encoding.places)
        rest = [self.through_table(one) for one in encoding.rest]
        there = tuple(one for one in rest if one is not None)
        return replace(encoding, ids=ids, rest=there) if len(there) == len(rest) else None

    def _again(self, encoding: Encoding, item: Input, places: bool) -> Encoding | None:
        try:
            found: Encoding = self.own.encode_one(item, places=places)
        except UsageError:  # such as a question that leaves no room to its context here
            return None
        # Cut off where the last tier has more room, it is longer than this one takes.
        longer = not encoding.truncated or len(encoding.ids) > self.max_length
        return None if found.truncated and longer else found
