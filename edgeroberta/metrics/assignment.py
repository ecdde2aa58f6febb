"""The best way to pair two equal sets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeroberta.metrics.scores import Floats


def assign(gain: Floats) -> npt.NDArray[np.int64]:
    """Pair rows with columns, each once, for the greatest total gain.

    The Hungarian method (Kuhn, The Hungarian Method for the Assignment Problem, 1955) by shortest augmenting
    paths (Jonker and Volgenant, A Shortest Augmenting Path Algorithm, 1987), in O(n³). ``gain``: float64[n,
    n], what a row is worth in a column. Returns int64[n], the column of each row.
    """
    count = len(gain)
    cost = gain.max() - gain
    # Index 0 stands for no row and no column; prices keep every reduced cost at zero or above.
    of_row, of_column = np.zeros(count + 1), np.zeros(count + 1)
    row_at = np.zeros(count + 1, dtype=np.int64)
    for row in range(1, count + 1):
        row_at[0], column = row, 0
        shortest = np.full(count + 1, np.inf)
        before = np.zeros(count + 1, dtype=np.int64)
        done = np.zeros(count + 1, dtype=bool)
        while row_at[column]:
            done[column] = True
            here = row_at[column]
            reduced = cost[here - 1] - of_row[here] - of_column[1:]
            nearer = ~done[1:] & (reduced < shortest[1:])
            shortest[1:][nearer] = reduced[nearer]
            before[1:][nearer] = column
            following = int(np.argmin(np.where(done, np.inf, shortest)))
            step = shortest[following]
            of_row[row_at[done]] += step
            of_column[done] -= step
            shortest[~done] -= step
            column = following
        while column:
            row_at[column] = row_at[before[column]]
            column = int(before[column])
    found = np.empty(count, dtype=np.int64)
    found[row_at[1:] - 1] = np.arange(count)
    return found
