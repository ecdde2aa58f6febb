"""Which input lengths to prepare, for engines that are fast only at lengths they have compiled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Tokens per bin of a length histogram, and the grain of prepared lengths: a multiple of every SIMD
#: width, and at most 15 tokens of padding.
BIN = 16

# Lengths prepared when a bundle is opened. Each costs 0.2 to 0.3 s and 20 to 30 MB in OpenVINO 2026.4
# (4 to 6 layers of width 384); from three to six the expected padding falls by less than 10 %.
_WARM = 3

# Texts longer than this share's quantile do not decide which lengths are prepared.
_COVERED = 0.99


@dataclass(frozen=True)
class Lengths:
    """Lengths an engine pads its inputs to."""

    warm: tuple[int, ...]  # prepared when the bundle is opened, ascending
    later: tuple[int, ...]  # longer ones, prepared when the first such text arrives, ascending
    #: the one of ``warm`` that most texts are padded to; None where nothing is known of texts
    most: int | None = None

    @property
    def usual(self) -> int:
        """The warm length that most texts are padded to; where that is not known, the middle one."""
        return self.most or self.warm[len(self.warm) // 2]

    def padded(self, length: int) -> int:
        """Return the smallest length of these that holds ``length`` tokens."""
        for candidate in (*self.warm, *self.later):
            if candidate >= length:
                return candidate
        raise ValueError(f"{length} tokens are more than the longest length, {max(self.warm + self.later)}")


def histogram(lengths: Iterable[int], max_length: int) -> tuple[int, ...]:
    """Count token lengths in bins of 16: bin i counts 16 i + 1 … 16 (i + 1); empty last bins are left out."""
    counts = [0] * -(-max_length // BIN)
    for length in lengths:
        counts[(length - 1) // BIN] += 1
    while counts and not counts[-1]:
        counts.pop()
    return tuple(counts)


def choose(counts: tuple[int, ...], max_length: int) -> Lengths:
    """Choose the lengths that waste the least padding on texts as long as those in a histogram.

    ``counts``: a histogram as :func:`histogram` makes it; an empty one means that nothing is known. Returns
    at most three warm lengths that cover 99 % of the texts, and powers of two for the rest.
    """
    edges = [min(BIN * (i + 1), max_length) for i in range(len(counts))]
    total = sum(counts)
    most = None
    if not total:
        warm: tuple[int, ...] = tuple(sorted({min(32, max_length), min(64, max_length)}))
    else:
        covered, last = 0, 0
        for last, count in enumerate(counts):  # noqa: B007 (the index is used below)
            covered += count
            if covered >= _COVERED * total:
                break
        warm = _least_padding(edges[: last + 1], counts[: last + 1])
        most = _most_padded_to(warm, edges, counts)
    later = [2**power for power in range(4, 20) if warm[-1] < 2**power < max_length]
    if warm[-1] < max_length:
        later.append(max_length)
    return Lengths(warm, tuple(later), most)


def _most_padded_to(warm: tuple[int, ...], edges: list[int], counts: tuple[int, ...]) -> int:
    texts = dict.fromkeys(warm, 0)
    for edge, count in zip(edges, counts, strict=True):
        fitting = next((length for length in warm if length >= edge), None)
        if fitting is not None:
            texts[fitting] += count
    return max(warm, key=lambda length: texts[length])


def _least_padding(edges: list[int], counts: tuple[int, ...]) -> tuple[int, ...]:
    """Pick at most ``_WARM`` of the edges, the last one included, that minimise the tokens computed.

    Dynamic programming over (edges considered, lengths picked): ``best[k][i]`` is the least cost of
    the first i + 1 bins when edge i is the k-th length picked.
    """
    sums = [0]
    for count in counts:
        sums.append(sums[-1] + count)
    best: list[dict[int, tuple[int, tuple[int, ...]]]] = [
        {i: (edges[i] * sums[i + 1], (edges[i],)) for i in range(len(edges))}
    ]
    for _ in range(_WARM - 1):
        previous, current = best[-1], {}
        for i in range(len(edges)):
            options = [
                (cost + edges[i] * (sums[i + 1] - sums[j + 1]), (*picked, edges[i]))
                for j, (cost, picked) in previous.items()
                if j < i
            ]
            if options:
                current[i] = min(options)
        best.append(current)
    end = len(edges) - 1
    # The first of equal costs is the one with the fewest lengths.
    return min((level[end] for level in best if end in level), key=lambda option: option[0])[1]
