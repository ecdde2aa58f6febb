"""How often the gate is wrong about the recall of labels: simulated data sets whose true loss is known.

    python -m benchmarks.recall_coverage [--draws 1000] [--samples 1000] [--case NAME]...

One bound, ``max_recall_drop``, holds for all labels of a case. Of each, thousands of data sets are drawn in
which one label loses exactly what is allowed and the others nothing (a PASS is wrong), in which all labels
lose exactly that (a FAIL is wrong), in which one loses three times that (a FAIL is right), and in which none
loses anything (a PASS is right). Writes benchmarks/results/<machine>/recall_coverage.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.coverage import BAR
from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.evaluation import recalls
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict
from edgeroberta.metrics import BootstrapOptions
from edgeroberta.metrics.recalls import LabelCounts


@dataclass(frozen=True)
class Case:
    """Labels of a data set and what a model may lose of each.

    Attributes:
        name: Its name.
        labels: How many labels the bound is on.
        texts: How many texts have each of them.
        allowed: What may be lost of each.
        more: How many more times than once a text has a label, on average.
        gain: How often the compressed model finds what the baseline misses.
    """

    name: str
    labels: int
    texts: int
    allowed: float
    more: float = 0.0
    gain: float = 0.0

    def draw(self, rng: np.random.Generator, lost: Sequence[float]) -> list[LabelCounts]:
        """Draw a data set in which the model loses so much recall of each label."""
        return [self._counts(rng, str(number), share) for number, share in enumerate(lost)]

    def _counts(self, rng: np.random.Generator, label: str, lost: float) -> LabelCounts:
        right = 0.95
        wanted = 1 + rng.poisson(self.more, self.texts)
        full = rng.binomial(wanted, right)
        # What is won back is lost elsewhere, so that the recall falls by as much.
        won = rng.binomial(wanted - full, self.gain)
        missed = (lost + self.gain * (1 - right)) / right
        ours = full - rng.binomial(full, missed) + won
        found, still, there = (each.astype(np.float64) for each in (full, ours, wanted))
        return LabelCounts(label, found, still, there, None)

    def verdicts(
        self, lost: Sequence[float], *, draws: int, samples: int, seed: int = 7
    ) -> list[GateVerdict]:
        """Ask the gate about so many data sets."""
        rng, gate = np.random.default_rng(seed), GateLimits(max_recall_drop=self.allowed)
        return [
            recalls.judge(
                recalls.measure(
                    self.draw(rng, lost), gate, BootstrapOptions(number, samples=samples), among=self.labels
                ),
                "rows",
            ).verdict
            for number in range(draws)
        ]


CASES = (
    Case("one label, 300 rows", 1, 300, 0.03),
    Case("10 labels, 300 rows each", 10, 300, 0.03),
    Case("10 labels, 100 rows each", 10, 100, 0.1),
    Case("10 labels, 300 rows each, gains", 10, 300, 0.05, gain=0.3),
    Case("20 labels, 40 rows each", 20, 40, 0.2),
    Case("10 types, 200 sentences each, 1.5 entities in one", 10, 200, 0.1, more=0.5),
)


def measure(case: Case, *, draws: int, samples: int) -> Row:
    """Ask the gate about models that lose what is allowed, three times that, and nothing."""
    none = [0.0] * case.labels

    def share(verdict: GateVerdict, lost: Sequence[float], count: int) -> float:
        found = case.verdicts(lost, draws=count, samples=samples)
        return 100 * found.count(verdict) / count

    values = {
        "bounds": float(case.labels),
        "allowed, points": 100 * case.allowed,
        "wrong PASS %, one label loses what is allowed": share(
            GateVerdict.PASS, [case.allowed, *none[1:]], draws
        ),
        "wrong FAIL %, all lose what is allowed": share(
            GateVerdict.FAIL, [case.allowed] * case.labels, draws
        ),
        "FAIL %, one label loses three times that": share(
            GateVerdict.FAIL, [3 * case.allowed, *none[1:]], draws // 4
        ),
        "PASS %, none loses anything": share(GateVerdict.PASS, none, draws // 4),
    }
    return Row(name=case.name, title=case.name, group="recall", values=tuple(values.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all cases and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=1000, help="data sets that lose what is allowed")
    parser.add_argument("--samples", type=int, default=1000, help="samples for an interval")
    parser.add_argument("--machine", help="name of the folder of results")
    options = parser.parse_args(arguments)
    rows = []
    for case in CASES:
        rows.append(measure(case, draws=options.draws, samples=options.samples))
        print(
            f"{case.name}: {', '.join(f'{name} {value:.1f}' for name, value in rows[-1].values)}", flush=True
        )
    wrong = [value for row in rows for name, value in row.values if name.startswith("wrong")]
    check = Check(
        title="wrong PASS or FAIL where nominal is 2.5 %, the most of all cases",
        value=max(wrong), unit="%", direction="at most", bar=100 * BAR,
    )  # fmt: skip
    write(
        Result(
            benchmark="recall_coverage",
            measured=now(),
            machine=this_machine(options.machine),
            settings={"draws": options.draws, "samples": options.samples},
            rows=tuple(rows),
            checks=(check,),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
