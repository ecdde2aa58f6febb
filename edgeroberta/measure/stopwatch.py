"""Telling a call's parts apart: the tokenizer and the engine, each behind a clock.

Reading the clock takes 0.1 µs, so that it stays on while calls are timed from end to end. A clock of the
device's own, such as CUDA events, makes an engine wait where it would not; it is asked in calls apart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeroberta.runtime import Runtime
    from edgeroberta.runtime.session import Ids, Logits, Session


@dataclass
class Stopwatch:
    """The time of one call's parts, in seconds."""

    tokenize: float = 0.0  # in the tokenizer
    engine: float = 0.0  # in the engine, as the caller waits for it
    device: float | None = None  # in the engine by the device's own clock; None when it was not asked
    ask_device: bool = False  # ask that clock

    def reset(self) -> None:
        """Begin a call."""
        self.tokenize = self.engine = 0.0
        self.device = None


class TimedSession:
    """A session behind a clock; see :class:`edgeroberta.runtime.session.Session`.

    Sessions may offer ``run_timed(ids, mask) -> (logits, seconds)`` with the device's own clock.
    ``device_clock``: True when this one does.
    """

    def __init__(self, session: Session, watch: Stopwatch) -> None:
        self._session = session
        self._watch = watch
        self._timed = getattr(session, "run_timed", None)
        self.name, self.version = session.name, session.version
        self.device_clock = self._timed is not None
        for name in ("log_probabilities", "most_masks"):  # of engines that fill masks
            if hasattr(session, name):
                setattr(self, name, getattr(session, name))

    def padded_length(self, length: int) -> int:
        """Return the length that an input of ``length`` tokens is to be padded to."""
        return self._session.padded_length(length)

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch and add its time to the stopwatch."""
        started = time.perf_counter()
        if self._watch.ask_device and self._timed is not None:
            logits, seconds = self._timed(input_ids, attention_mask)
            self._watch.device = (self._watch.device or 0.0) + seconds
        else:
            logits = self._session.run(input_ids, attention_mask)
        self._watch.engine += time.perf_counter() - started
        return logits

    def close(self) -> None:
        """Free the engine's memory."""
        self._session.close()


class TimedTokenizer:
    """A tokenizer behind a clock."""

    def __init__(self, tokenizer: Any, watch: Stopwatch) -> None:
        self._tokenizer = tokenizer
        self._watch = watch
        self.max_length: int = tokenizer.max_length

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Make a text of token ids."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        return text

    def encode_one(self, item: Any, *, places: bool = False) -> Any:
        """Tokenize one text or pair and add the time to the stopwatch."""
        started = time.perf_counter()
        encoding = self._tokenizer.encode_one(item, places=places)
        self._watch.tokenize += time.perf_counter() - started
        return encoding

    def encode(self, inputs: Sequence[Any], *, places: bool = False) -> Any:
        """Tokenize texts or pairs and add the time to the stopwatch."""
        started = time.perf_counter()
        encodings = self._tokenizer.encode(inputs, places=places)
        self._watch.tokenize += time.perf_counter() - started
        return encodings


def timed(runtime: Runtime, watch: Stopwatch) -> Runtime:
    """Return a runtime on the same sessions and tokenizers, with a clock before each."""
    return runtime.wrapped(
        lambda session: TimedSession(session, watch), lambda tokenizer: TimedTokenizer(tokenizer, watch)
    )
