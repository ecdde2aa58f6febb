"""How often a cascade keeps less than it promises: populations whose true agreement is known.

    python -m benchmarks.cascade_coverage [--draws 500] [--case NAME]...
    python -m benchmarks.cascade_coverage [--draws 500] --tiers BUNDLE BUNDLE... --data rows.tsv
        [--shifted others.tsv]

Of every population many calibration and fresh rows are drawn, thresholds are chosen by them, and the
agreement with the last tier is looked up in the whole population. A choice that keeps less than was promised
is wrong, and nominally comes up in 5 % at most; beside it stands what one would choose without a bound, by
the agreement measured on the fresh rows. Populations are made up, each so that one thing is hard; with
``--tiers``, bundles in the order in which they are asked, they are the rows of a file that no tier was
trained on. These are also split, thresholds chosen by a part and measured on the rest; and on the rows of
``--shifted``, texts of another kind, which shows what the promise says of such. Each is kept in
benchmarks/results/<machine>/cascade_coverage.json as soon as it is measured, beside what is there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.populations import CONFIDENCE, PROMISE, Population, made_up, of_bundles
from benchmarks.results import RESULTS, Check, Machine, Result, Row, load, now, this_machine, write
from edgeroberta.cascade.evidence import Asked, with_tolerance
from edgeroberta.cascade.path import Thresholds

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

KNOWN, SPLITS = "known agreement", "splits of rows"
WRONG, HOPED, BELOW = "wrong %", "wrong %, without a bound", "below the promise %"
#: Points of the front among which the best is looked for.
_LOOKED_AT = 12


@dataclass(frozen=True)
class Draw:
    """What came of one draw."""

    kept: bool  # whether anything was promised
    true: float  # agreement in the population of what was chosen
    plug_in: float  # and of what the agreement measured on the fresh rows would have had chosen
    seconds: float  # mean time for a text of what was chosen, by the population
    best: float  # and of the fastest thresholds that truly keep the promise


def draw(population: Population, rng: np.random.Generator) -> Draw:
    """Draw rows with replacement, so that each is of the population, and choose by them."""
    calibration, fresh = (rng.integers(0, len(population), count) for count in population.rows)
    choice = population.choice(calibration, fresh)
    asked = population.asked(choice, calibration)
    chosen = Thresholds(tuple(tier.threshold for tier in choice.tiers[:-1]))
    true, seconds = _truth(population, asked, chosen)
    hoped = [point for point in choice.front if point.agreement >= PROMISE][-1]
    plug_in, _ = _truth(population, asked, Thresholds(hoped.thresholds))
    some = choice.front[:: max(1, len(choice.front) // _LOOKED_AT)]
    truths = [_truth(population, asked, Thresholds(point.thresholds)) for point in some]
    best = min(took for kept, took in truths if kept >= PROMISE)
    return Draw(choice.kept, true, plug_in, seconds, best)


def _truth(population: Population, asked: Asked, thresholds: Thresholds) -> tuple[float, float]:
    """Return the agreement of thresholds with the last tier on texts, and the mean time of one."""
    who = thresholds.answering(asked.confidence)
    differs = np.vstack([asked.differs, np.zeros(len(asked), np.bool_)])[who, np.arange(len(asked))]
    return 1 - float(differs.mean()), float(thresholds.seconds(who, population.seconds).mean())


def measure(population: Population, draws: int, seed: int = 7) -> Row:
    """Choose by many draws, and count the choices that keep less than was promised."""
    rng = np.random.default_rng(seed)
    found = [draw(population, rng) for _ in range(draws)]
    last = population.seconds[-1]
    values = {
        WRONG: 100 * float(np.mean([each.true < PROMISE for each in found])),
        HOPED: 100 * float(np.mean([each.plug_in < PROMISE for each in found])),
        "promised %": 100 * float(np.mean([each.kept for each in found])),
        "times as fast, median": last / float(np.median([each.seconds for each in found])),
        "times as fast, best that keeps it": last / float(np.median([each.best for each in found])),
        "true agreement %, median": 100 * float(np.median([each.true for each in found])),
    }
    return Row(name=population.name, title=population.name, group=KNOWN, values=tuple(values.items()))


def split(population: Population, draws: int, shifted: Population | None, seed: int = 7) -> Row:
    """Choose by a part of the rows, without replacement, and measure on the rest and on other rows."""
    rng, found = np.random.default_rng(seed), []
    first, second = population.rows
    for _ in range(draws):
        order = rng.permutation(len(population))
        calibration, fresh, rest = np.split(order, [first, first + second])
        choice = population.choice(calibration, fresh)
        chosen = Thresholds(tuple(tier.threshold for tier in choice.tiers[:-1]))
        who = [(population, rest)] + ([] if shifted is None else [(shifted, np.arange(len(shifted)))])
        measured = []
        for texts, rows in who:
            asked = Asked.of(
                with_tolerance(population.task, population.tiers[-1][calibration]),
                [tier[rows] for tier in texts.tiers],
                [tier.calibration for tier in choice.tiers if tier.calibration is not None],
            )
            answered = chosen.answering(asked.confidence) < len(population.tiers) - 1
            measured += [_truth(texts, asked, chosen)[0], float(answered.mean())]
        found.append(measured)
    table = np.array(found)
    values = {
        "rows that it is measured on": float(len(population) - first - second),
        BELOW: 100 * float(np.mean(table[:, 0] < PROMISE)),
        "agreement %, mean": 100 * float(table[:, 0].mean()),
        "answered before the last tier %": 100 * float(table[:, 1].mean()),
    }
    if shifted is not None:
        values |= {
            "other texts": float(len(shifted)),
            "of other texts below the promise %": 100 * float(np.mean(table[:, 2] < PROMISE)),
            "agreement on other texts %, mean": 100 * float(table[:, 2].mean()),
            "agreement on other texts %, least": 100 * float(table[:, 2].min()),
            "of other texts answered before the last tier %": 100 * float(table[:, 3].mean()),
        }
    return Row(
        name=f"split, {population.name}",
        title=f"{population.name}: {len(population):,} rows, split",
        group=SPLITS,
        values=tuple(values.items()),
    )


def checks(rows: Sequence[Row], draws: int) -> tuple[Check, ...]:
    """Hold the most wrong choices of all populations, and of splits, against 5 % and the error of draws."""
    nominal = 1 - CONFIDENCE
    # Of a dozen populations the largest passes three standard errors by chance once in sixty times.
    bar = round(100 * (nominal + 3 * (nominal * CONFIDENCE / draws) ** 0.5), 1)

    def most(group: str, name: str) -> float:
        return max((dict(row.values)[name] for row in rows if row.group == group), default=0.0)

    found = [
        Check(
            title="cascades that keep less than promised where nominal is 5 %, the most of all populations",
            value=most(KNOWN, WRONG), unit="%", direction="at most", bar=bar,
        ),
        Check(
            title="the same where thresholds are chosen without a bound, which the check above must notice",
            value=most(KNOWN, HOPED), unit="%", direction="at least", bar=30.0,
        ),
    ]  # fmt: skip
    if any(row.group == SPLITS for row in rows):
        found.append(
            Check(
                title="splits of rows of which the rest keeps less than promised, its sampling error and all",
                value=most(SPLITS, BELOW), unit="%", direction="at most", bar=bar,
            )
        )  # fmt: skip
    return tuple(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all populations and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=500, help="choices for each population")
    parser.add_argument("--case", action="append", help="only populations whose name contains this")
    parser.add_argument("--tiers", type=Path, nargs="+", help="bundles in the order in which they are asked")
    parser.add_argument("--data", type=Path, help="labelled rows that no tier was trained on")
    parser.add_argument("--shifted", type=Path, help="labelled rows of another kind")
    parser.add_argument("--machine", help="name of the folder of results")
    options = parser.parse_args(arguments)
    if (options.tiers is None) != (options.data is None):
        parser.error("--tiers and --data go together")
    if options.case and not any(part in each.name for part in options.case for each in made_up()):
        parser.error(f"no case contains {' or '.join(options.case)}")
    machine = this_machine(options.machine)
    for row in _measured(options):
        print(f"{row.name}: {', '.join(f'{name} {value:.2f}' for name, value in row.values)}", flush=True)
        keep(row, machine, options.draws)
    return 0


def _measured(options: argparse.Namespace) -> Iterator[Row]:
    """Measure what was asked for: bundles where there are some, else the populations that are made up."""
    if options.tiers is None:
        for population in made_up():
            if not options.case or any(part in population.name for part in options.case):
                yield measure(population, options.draws)
        return
    rows = of_bundles(options.tiers, options.data)
    shifted = None if options.shifted is None else of_bundles(options.tiers, options.shifted)
    yield measure(rows, options.draws)
    yield split(rows, options.draws, shifted)


def keep(row: Row, machine: Machine, draws: int) -> None:
    """Write a row into the result; those of others stay where they are of as many draws."""
    path = RESULTS / machine.name / "cascade_coverage.json"
    settings: dict[str, str | int | float | list[str]] = {
        "draws": draws, "promise": PROMISE, "confidence": CONFIDENCE
    }  # fmt: skip
    former = load(path).rows if path.exists() and load(path).settings == settings else ()
    rows = sorted((*(each for each in former if each.name != row.name), row), key=lambda each: each.group)
    write(
        Result(
            benchmark="cascade_coverage",
            measured=now(),
            machine=machine,
            settings=settings,
            rows=tuple(rows),
            checks=checks(rows, draws),
        ),
        folder=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
