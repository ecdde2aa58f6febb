"""How often a lost connection is tried again."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edgeroberta.remote.failures import UnreachableError


@dataclass
class RetryPolicy:
    """Waits before another attempt, longer each time, until something is achieved again."""

    #: seconds before each attempt; after the last the error is the user's
    delays: tuple[float, ...] = (1, 2, 4, 8, 15, 15, 15, 30, 30)
    used: int = 0  # attempts since something was achieved

    def reset(self) -> None:
        """Say that something was achieved."""
        self.used = 0

    def wait(self, error: UnreachableError, *, hint: str, stopped: threading.Event) -> None:
        """Wait before the next attempt, until ``stopped``; ``hint``: what to do when all have failed."""
        if not error.transient or stopped.is_set():
            raise error
        if self.used >= len(self.delays):
            raise UnreachableError(error.what, where=error.where, hint=hint, transient=True) from error
        if stopped.wait(self.delays[self.used]):
            raise error
        self.used += 1
