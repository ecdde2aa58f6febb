"""How often the intervals of slices miss a truth, and the gate is wrong: data sets whose true loss is known.

    python -m benchmarks.slice_coverage [--draws 1000] [--samples 1000] [--case NAME]...

Of each case many data sets are drawn, of texts in slices of a column that may be small, and in some cases of
further columns that cut the same texts otherwise. Counted is how often the intervals of all slices hold at
once the true drop of the accuracy: those of the gate (Bonferroni on intervals with a row that was never
seen), those of a max-statistic bootstrap (each slice's deviation in its own standard errors, the largest of
them), and those of each slice alone. Then the gate is asked about models of which one slice loses what is
allowed (a PASS is wrong), all of them do (a FAIL is wrong), one loses three times that (a FAIL is right), or
none loses anything (a PASS is right). Writes benchmarks/results/<machine>/slice_coverage.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmarks.coverage import BAR
from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.evaluation import slices
from edgeroberta.evaluation.gate import PairedAnswers
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, SliceResult
from edgeroberta.evaluation.slices import RowSlice
from edgeroberta.metrics import BootstrapOptions, Interval
from edgeroberta.tasks import Problem, Task

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
GATE = GateLimits()
#: Share of texts that the baseline has right.
RIGHT = 0.92
HOLD, MAXIMUM, ALONE = "all drops hold %", "max-statistic, all drops hold %", "each alone, all drops hold %"
AGREE = "all agreements hold %"
WIDTH, MAXIMUM_WIDTH = "half-width, points", "max-statistic, half-width, points"
WRONG_PASS, WRONG_FAIL = (
    "wrong PASS %, one slice loses what is allowed",
    "wrong FAIL %, all lose what is allowed",
)
#: Samples of the max-statistic bootstrap, and the most data sets that it is tried on.
_SAMPLES, _MOST_OF_MAXIMUM = 1000, 200


@dataclass(frozen=True)
class Slices:
    """Slices of one data set: of the texts of each, how many were lost and how many won.

    Attributes:
        counts: int64[slices, 3], texts, and those that only the baseline and only the other has right.
        changes: int64[texts], 1 for a text that was lost, -1 for one that was won.
        members: Texts of each slice, int64.
        drops: float64[slices], their true drop.
        agree: float64[slices], their true agreement.
    """

    counts: Ints
    changes: Ints
    members: tuple[Ints, ...]
    drops: Floats
    agree: Floats


@dataclass(frozen=True)
class Case:
    """Slices of a data set, and what a model may lose on each.

    Attributes:
        name: Its name.
        sizes: How many texts each slice of the first column has.
        allowed: What may be lost on each slice.
        others: Further columns, of four slices each, that cut the same texts by chance.
        gain: How often the compressed model is right where the baseline is wrong.
    """

    name: str
    sizes: tuple[int, ...]
    allowed: float
    others: int = 0
    gain: float = 0.0

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return len(self.sizes) + 4 * self.others

    def draw(self, rng: np.random.Generator, lost: Sequence[float]) -> Slices:
        """Draw a data set in which the model loses so much accuracy on each slice of the first column."""
        first = np.repeat(np.arange(len(self.sizes)), self.sizes)
        won = self.gain * (1 - RIGHT)
        # What is won back is lost elsewhere, so that the accuracy falls by as much.
        drops = np.asarray(lost, np.float64)
        chance = rng.random(len(first))
        gone = (drops + won)[first]
        changes = np.where(chance < gone, 1, np.where(chance < gone + won, -1, 0))
        # A text's place in a further column says nothing of it, but where it is in the first one: what is
        # true of such a slice is what is true of the texts that it was given.
        columns = [first, *(rng.permutation(len(first)) % 4 for _ in range(self.others))]
        members = tuple(np.flatnonzero(column == each) for column in columns for each in np.unique(column))
        true = np.array([drops[first[rows]].mean() for rows in members])
        counts = np.array(
            [(len(rows), (changes[rows] > 0).sum(), (changes[rows] < 0).sum()) for rows in members]
        )
        return Slices(counts, changes, members, true, 1 - true - 2 * won)


CASES = (
    Case("2 slices, 600 and 200 texts", (600, 200), 0.05),
    Case("5 slices, 1,000 to 8 texts", (1000, 400, 100, 30, 8), 0.1),
    Case("10 slices, 300 texts each", (300,) * 10, 0.03),
    Case("10 slices, 300 texts each, gains", (300,) * 10, 0.05, gain=0.3),
    Case("20 slices, 40 texts each", (40,) * 20, 0.2),
    Case("5 slices and 3 columns of 4, overlapping", (800, 400, 200, 100, 50), 0.05, others=3),
    Case("24 slices, 1,000 to 5 texts", (1000, 500, 250, 100, *(50,) * 4, *(20,) * 8, *(5,) * 8), 0.1),
)


@lru_cache(None)
def measured(count: int, lost: int, won: int, among: int, samples: int) -> SliceResult:
    """Measure a slice of which so many texts were lost and won, as one of many.

    The gate's own, of a slice by itself with the confidence that one of many has. Nothing else of its texts
    counts, so that it need not be measured again for every data set.
    """
    truth = np.zeros(count, np.int64)
    full, ours = truth.copy(), truth.copy()
    ours[:lost], full[lost : lost + won] = 1, 1
    one = np.eye(2, dtype=np.float32)
    every = (RowSlice("column", "all", np.arange(count)),)
    gate = replace(GATE, confidence=BootstrapOptions(confidence=GATE.confidence).shared(among).confidence)
    return slices.measure(PairedAnswers(TASK, one[full], one[ours], truth), every, gate, samples=samples)[0]


def max_statistic(drawn: Slices, rng: np.random.Generator) -> list[Interval]:
    """Make simultaneous intervals by the bootstrap of the largest deviation of a slice.

    Texts are drawn as weights, the same for all slices, as Rubin's Bayesian bootstrap has them; each slice's
    deviation counts in its own standard error over the samples.
    """
    weights = rng.standard_exponential((_SAMPLES, len(drawn.changes)), dtype=np.float32)
    means = np.array([drawn.changes[rows].mean() for rows in drawn.members])
    found = np.stack(
        [
            weights[:, rows] @ drawn.changes[rows].astype(np.float32) / weights[:, rows].sum(axis=1)
            for rows in drawn.members
        ],
        axis=1,
    )
    errors = found.std(axis=0)
    within = np.abs(found - means) / np.where(errors > 0, errors, np.inf)
    reach = float(np.quantile(within.max(axis=1), GATE.confidence)) * errors
    return [Interval(mean, mean - each, mean + each) for mean, each in zip(means, reach, strict=True)]


def coverage(case: Case, *, draws: int, samples: int, seed: int = 7) -> dict[str, float]:
    """Count how often the intervals of all slices hold, where every second one loses half of what may be."""
    rng = np.random.default_rng(seed)
    lost = [case.allowed / 2 if number % 2 else 0.0 for number in range(len(case.sizes))]
    held: dict[str, list[float]] = {name: [] for name in (HOLD, AGREE, ALONE, MAXIMUM)}
    widths: dict[str, list[float]] = {name: [] for name in (WIDTH, MAXIMUM_WIDTH)}
    for number in range(draws):
        drawn = case.draw(rng, lost)
        found, alone = (
            [measured(*map(int, each), among, samples) for each in drawn.counts] for among in (case.slices, 1)
        )
        held[HOLD].append(_hold([each.drop for each in found], drawn.drops))
        held[AGREE].append(_hold([each.agreement for each in found], drawn.agree))
        held[ALONE].append(_hold([each.drop for each in alone], drawn.drops))
        widths[WIDTH].append(_width([each.drop for each in found]))
        if number < _MOST_OF_MAXIMUM:
            maximum = max_statistic(drawn, rng)
            held[MAXIMUM].append(_hold(maximum, drawn.drops))
            widths[MAXIMUM_WIDTH].append(_width(maximum))
    return {name: 100 * float(np.mean(each)) for name, each in (*held.items(), *widths.items())}


def _hold(intervals: Sequence[Interval | None], truths: Floats) -> bool:
    return all(
        each is not None and each.low - 1e-9 <= true <= each.high + 1e-9
        for each, true in zip(intervals, truths, strict=True)
    )


def _width(intervals: Sequence[Interval | None]) -> float:
    return float(np.mean([(each.high - each.low) / 2 for each in intervals if each is not None]))


def verdicts(
    case: Case, lost: Sequence[float], *, draws: int, samples: int, seed: int = 7
) -> list[GateVerdict]:
    """Ask the gate about so many data sets."""
    rng = np.random.default_rng(seed)
    return [_verdict(case, case.draw(rng, lost), samples) for _ in range(draws)]


def _verdict(case: Case, drawn: Slices, samples: int) -> GateVerdict:
    """Say what the gate does: FAIL by an interval of many, PASS by the end of each slice alone."""
    counts = [tuple(map(int, each)) for each in drawn.counts]
    found = [measured(*each, case.slices, samples).drop for each in counts]
    if any(each is not None and each.low > case.allowed for each in found):
        return GateVerdict.FAIL
    alone = [measured(*each, 1, samples).drop for each in counts]
    passed = all(each is not None and each.high <= case.allowed for each in alone)
    return GateVerdict.PASS if passed else GateVerdict.INCONCLUSIVE


def measure(case: Case, *, draws: int, samples: int) -> Row:
    """Count how often intervals hold, and ask the gate about models whose loss is known."""
    none = [0.0] * len(case.sizes)

    def share(verdict: GateVerdict, lost: Sequence[float], count: int) -> float:
        return 100 * verdicts(case, lost, draws=count, samples=samples).count(verdict) / count

    values = {
        "slices": float(case.slices),
        "allowed, points": 100 * case.allowed,
        **coverage(case, draws=draws, samples=samples),
        WRONG_PASS: share(GateVerdict.PASS, [case.allowed, *none[1:]], draws),
        WRONG_FAIL: share(GateVerdict.FAIL, [case.allowed] * len(none), draws),
        "FAIL %, one slice loses three times that": share(
            GateVerdict.FAIL, [3 * case.allowed, *none[1:]], draws // 4
        ),
        "PASS %, none loses anything": share(GateVerdict.PASS, none, draws // 4),
    }
    return Row(name=case.name, title=case.name, group="slices", values=tuple(values.items()))


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the worst case against what is nominal."""
    told = [dict(row.values) for row in rows]
    return (
        Check(
            title="the intervals of all slices hold at once, the least of all cases",
            value=min(min(each[HOLD], each[AGREE]) for each in told),
            unit="%", direction="at least", bar=95.0,
        ),
        Check(
            title="wrong PASS or FAIL where nominal is 2.5 %, the most of all cases",
            value=max(max(each[WRONG_PASS], each[WRONG_FAIL]) for each in told),
            unit="%", direction="at most", bar=100 * BAR,
        ),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all cases and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=1000, help="data sets that lose what is allowed")
    parser.add_argument("--samples", type=int, default=1000, help="samples for an interval")
    parser.add_argument("--case", action="append", help="name of a case; all of them if not given")
    parser.add_argument("--machine", help="name of the folder of results")
    options = parser.parse_args(arguments)
    rows = []
    for case in CASES:
        if options.case and case.name not in options.case:
            continue
        rows.append(measure(case, draws=options.draws, samples=options.samples))
        print(
            f"{case.name}: {', '.join(f'{name} {value:.1f}' for name, value in rows[-1].values)}", flush=True
        )
    if not options.case:
        write(
            Result(
                benchmark="slice_coverage",
                measured=now(),
                machine=this_machine(options.machine),
                settings={"draws": options.draws, "samples": options.samples},
                rows=tuple(rows),
                checks=checks(rows),
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
