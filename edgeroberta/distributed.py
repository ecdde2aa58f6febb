"""The processes of one ``accelerate launch``: who is main, waiting for each other, sharing a value.

A process started alone never imports torch here. The work folder must be on a file system that all
machines of a launch see, since only the main process writes finished artifacts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from edgeroberta.errors import EdgeRobertaError

#: How long processes wait for the main one. The default of torch is 30 minutes, which quantizing and
#: verifying a large model on the main process can exceed.
PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class Ranks:
    """This process among those of the launch."""

    index: int = 0  # its number, 0 for the main process
    count: int = 1  # how many there are

    @property
    def main(self) -> bool:
        """True for the process that writes and prints."""
        return self.index == 0

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            _state(self.count).wait_for_everyone()

    def share(self, value: Any) -> Any:
        """Return the main process's value, which can be pickled, in every process."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        _state(self.count)
        box = [value if self.main else None]
        broadcast_object_list(box)
        return box[0]


def current(environment: Mapping[str, str] | None = None) -> Ranks:
    """Read from ``RANK`` and ``WORLD_SIZE``, as torchrun and accelerate set them, which process this is."""
    variables = os.environ if environment is None else environment
    return Ranks(int(variables.get("RANK", "0")), int(variables.get("WORLD_SIZE", "1")))


def _state(count: int) -> Any:
    """Return accelerate's process group, opened on first use; later users of accelerate share it."""
    import torch
    from accelerate import PartialState

    # Without "cpu", accelerate 1.15 opens no group on a machine that has no accelerator, and every
    # process takes itself for the only one.
    state = PartialState(cpu=not torch.accelerator.is_available() or _cpu_wanted(), timeout=PATIENCE)
    if state.num_processes != count:
        raise EdgeRobertaError(
            f"started as one of {count} processes, but accelerate sees {state.num_processes}",
            hint="accelerate env shows how accelerate is configured; run 'accelerate config'",
        )
    return state


def _cpu_wanted() -> bool:
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
