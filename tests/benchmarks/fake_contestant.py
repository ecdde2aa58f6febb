"""A contestant for tests: answers what it is told, fails or dies where it is told."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Fake:
    fails_on: str | None
    dies_on: str | None
    packages: tuple[str, ...] = ("pytest",)
    size_mb: float = 1.5

    def prepare(self, item: str) -> str:
        return item

    def answer(self, prepared: str) -> int:
        if prepared == self.fails_on:
            raise ValueError(f"cannot read {prepared!r}")
        if prepared == self.dies_on:
            os._exit(7)
        return len(prepared)


def fake(threads: int, fails_on: str | None = None, dies_on: str | None = None) -> Fake:
    print("an engine that prints on standard output")
    return Fake(fails_on, dies_on)
