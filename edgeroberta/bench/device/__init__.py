"""What a device is and how it is doing: the facts that a number needs beside it.

Everything is read from text files under a root, so that a tree of files stands for a device.
"""

from __future__ import annotations

from edgeroberta.bench.device.facts import Device, here, versions

__all__ = ["Device", "here", "versions"]
