"""Unlabelled text for the tests of all that is pre-trained."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeroberta.storage.artifact import digest_value


@dataclass(frozen=True)
class Reviews:
    """Documents of sentences of which the adjective tells the noun."""

    count: int = 40
    source: str = "reviews.txt"

    @property
    def digest(self) -> str:
        return digest_value([self.count])

    def chunks(self) -> Iterator[Sequence[str]]:
        draw, pairs = random.Random(0), {"great": "film", "dull": "story", "good": "plot", "bad": "music"}
        made = []
        for number in range(self.count):
            chosen = draw.choices(list(pairs.items()), k=4)
            sentences = [f"It has a {word} {noun} {number}." for word, noun in chosen]
            made.append(" ".join(sentences))
        yield made
