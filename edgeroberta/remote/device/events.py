"""Events: what a job on the device tells while it runs, one JSON object a line.

``event`` is ``progress`` (what our own programs do) or ``log`` (their warnings, and what other programs
print), ``text`` is for people, and ``code``, where there is one, for programs: ``step-started``,
``step-skipped``, ``environment-making``, ``waiting``.
"""

from __future__ import annotations

import json
from typing import BinaryIO


def tell(stream: BinaryIO, event: str, text: str, *, code: str = "") -> None:
    """Write one event, ASCII only, in one go: several processes may write to the stream."""
    stream.write(json.dumps({"event": event, "text": text, "code": code}).encode() + b"\n")
    stream.flush()
