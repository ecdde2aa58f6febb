"""How often a lost connection is tried again."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edgeroberta.remote.failures import UnreachableError


@dataclass
class RetryPolicy:
    """Waits before another attempt, longer each time, until something is achieved again.

    Attributes:
        delays: Seconds before each attempt; after the last the error is the user's.
        used: Attempts since something was achieved.
    """

    delays: tuple[float, ...] = (1, 2, 4, 8, 15, 15, 15, 30, 30)
    used: int = 0

    def reset(self) -> None:
        """Say that something was achieved."""
        self.used = 0

    def wait(self, error: UnreachableError, *, hint: str, stopped: threading.Event) -> None:
        """Wait before the next attempt.

        Args:
            error: Why the last one failed.
            hint: What the user may do when all have failed.
            stopped: Set when the user has given up; ends the wait.

        Raises:
            UnreachableError: It is of no use, all attempts have failed, or the user has given up.
        """
        if not error.transient or stopped.is_set():
            raise error
        if self.used >= len(self.delays):
            raise UnreachableError(error.what, where=error.where, hint=hint, transient=True) from error
        if stopped.wait(self.delays[self.used]):
            raise error
        self.used += 1
