"""Seeded splits: by label where there is one, and never one text on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks.outputs import WordTags
from edgeroberta.tasks.schemes import TagTable

#: Which random stream each purpose draws from, so that one split does not shift another.
STREAMS = {"heldout": 0, "validation": 1, "sample": 2, "fresh": 3}

#: Validation takes 5 % of the training rows: at 1,000 rows the standard error of an accuracy is
#: already below 1.6 points (sqrt(0.25 / 1000)), enough to choose between checkpoints.
VALIDATION_FRACTION = 0.05
VALIDATION_MAX = 1000


def hold_out(
    keys: Sequence[str],
    strata: npt.NDArray[np.int64] | None,
    count: int,
    *,
    purpose: str,
    seed: int,
    each: bool = False,
) -> npt.NDArray[np.bool_]:
    """Choose rows to set aside, in the proportions of their labels.

    Rows with equal keys stay together; every label keeps at least one distinct key on the side that is not
    set aside. ``keys``: what makes a row the same as another, e.g. its text. ``strata``: int64[n] label ids,
    or None to draw from all rows alike. ``purpose``: a name of ``STREAMS``. ``each``: set at least one of
    every stratum aside that has two, as far as ``count`` goes, the largest first. Returns bool[n], True for
    the rows set aside. It is all False when there are too few keys.
    """
    groups: dict[str, int] = {}
    group_of = np.array([groups.setdefault(key, len(groups)) for key in keys], dtype=np.int64)
    _, first = np.unique(group_of, return_index=True)
    group_strata = np.zeros(len(groups), dtype=np.int64) if strata is None else strata[first]
    rng = np.random.default_rng([seed, STREAMS[purpose]])
    order = rng.permutation(len(groups))
    chosen = np.zeros(len(groups), dtype=bool)
    for stratum, quota in _quotas(group_strata, count, each=each).items():
        chosen[order[group_strata[order] == stratum][:quota]] = True
    return chosen[group_of]


def hold_out_groups(
    groups: npt.NDArray[np.int64], count: int, *, purpose: str, seed: int
) -> npt.NDArray[np.bool_] | None:
    """Choose whole groups of rows to set aside, about ``count`` rows in all.

    ``groups``: int64[n], equal for rows that stay together. ``purpose``: a name of ``STREAMS``. Returns
    bool[n]; None where groups are so large that less than half of that could be set aside.
    """
    sizes = np.bincount(groups)
    order = np.random.default_rng([seed, STREAMS[purpose]]).permutation(len(sizes))
    left, chosen = count, np.zeros(len(sizes), dtype=bool)
    for group in order.tolist():
        if sizes[group] <= left:
            chosen[group] = True
            left -= int(sizes[group])
    return chosen[groups] if left <= count / 2 and not chosen.all() else None


def rarest(tags: WordTags, table: TagTable) -> npt.NDArray[np.int64]:
    """Tell the type of entity in each text that is in the fewest texts, int64[texts]; -1 for none.

    ``table``: what the labels of the tags say.
    """
    kinds = table.of(tags.values)[1]
    here = np.zeros((len(tags), len(table.types)), dtype=bool)
    here[tags.texts[kinds >= 0], kinds[kinds >= 0]] = True
    order = np.argsort(here.sum(axis=0), kind="stable")
    first = here[:, order].argmax(axis=1)
    return np.where(here.any(axis=1), order[first], -1).astype(np.int64)


def sample(total: int, count: int, *, seed: int) -> npt.NDArray[np.bool_]:
    """Draw ``count`` of ``total`` rows, those that :func:`hold_out` draws of rows that all differ.

    It needs 8 bytes a row and no keys, so it can draw from millions. ``count``: how many to draw; fewer than
    ``total``. Returns bool[total], True for the rows drawn.
    """
    order = np.random.default_rng([seed, STREAMS["sample"]]).permutation(total)
    chosen = np.zeros(total, dtype=bool)
    chosen[order[:count]] = True
    return chosen


def _quotas(strata: npt.NDArray[np.int64], count: int, *, each: bool) -> dict[int, int]:
    """Share ``count`` among the strata by largest remainder, leaving one member of each behind."""
    names, sizes = np.unique(strata, return_counts=True)
    fractions = count * sizes / sizes.sum()
    quotas = np.minimum(np.floor(fractions).astype(np.int64), sizes - 1)
    if each:
        without = np.flatnonzero((quotas == 0) & (sizes > 1))
        without = without[np.argsort(-sizes[without], kind="stable")]
        quotas[without[: max(0, count - int(quotas.sum()))]] = 1
    for index in np.argsort(-(fractions - np.floor(fractions)), kind="stable"):
        if quotas.sum() >= count:
            break
        quotas[index] = min(quotas[index] + 1, sizes[index] - 1)
    return {int(name): int(quota) for name, quota in zip(names, quotas, strict=True)}


def validation_count(distinct: int, rows: int | None = None) -> int:
    """Return how many of ``distinct`` training texts to choose checkpoints by.

    ``rows``: how many rows these are, where they are documents of many rows; None for a row each.
    """
    most = VALIDATION_MAX if rows is None else max(1, round(VALIDATION_MAX * distinct / max(rows, 1)))
    return min(VALIDATION_MAX, most, max(1, round(distinct * VALIDATION_FRACTION)))
