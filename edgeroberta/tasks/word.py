"""Enums whose members print as their values."""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """An enum whose members print as their values, as those of ``enum.StrEnum`` do from Python 3.11 on."""

    def __str__(self) -> str:
        return self.value
