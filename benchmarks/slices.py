"""Does the gate on slices find an unfair compression, and let a fair one pass?

    python -m benchmarks.slices [--seeds 20]

Texts are of two dialects that share half of their words; a sixth of the texts are of the second. A teacher, a
classifier by the mean of word embeddings with a hidden layer, is trained on both. Students a quarter as wide,
which begin at random, are distilled from it: a fair one on the texts of both dialects, an unfair one, as
long, on those of the first alone, as where nobody had the others at hand. Each is asked about held-out texts
of both, and the gate about all of them and about slices by dialect and by label. Writes
benchmarks/results/<machine>/slices.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.evaluation import slices
from edgeroberta.evaluation.gate import PairedAnswers, apply_gate
from edgeroberta.evaluation.limits import GateLimits, SliceLimits
from edgeroberta.evaluation.result import GateVerdict, SliceResult
from edgeroberta.evaluation.slices import RowSlice
from edgeroberta.tasks import Problem, Task

if TYPE_CHECKING:
    import torch

Ids = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]

TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
#: What may be lost of all texts, and of each slice.
GATE = GateLimits(max_drop=0.03, min_agreement=0.9, slices=SliceLimits(max_drop=0.03))
#: Dialects, and what share of texts they are.
DIALECTS = (("standard", 5 / 6), ("second", 1 / 6))
TRAINED, HELD_OUT = 4000, 6000
#: Words that say good, that say bad, and others; those of both dialects, then those of each.
GOOD, BAD, OTHER = 15, 15, 60
_WORDS = GOOD + BAD + OTHER
#: Of ten words, how many are of the dialect and not of both.
OWN = 0.5
LENGTH = 12
#: Share of labels that are wrong, so that nobody can have all of them right.
NOISE = 0.03
WIDTH, STUDENT_WIDTH = 32, 8
BATCH, STEPS, RATE = 128, 400, 1e-2


@dataclass(frozen=True)
class Texts:
    """Texts as word ids, their labels, and which dialect each is of.

    Attributes:
        ids: int64[n, LENGTH].
        labels: int64[n].
        dialect: int64[n], place in :data:`DIALECTS`.
    """

    ids: Ids
    labels: Ids
    dialect: Ids

    def of(self, rows: npt.NDArray[np.bool_]) -> Texts:
        """Return some of them."""
        return Texts(self.ids[rows], self.labels[rows], self.dialect[rows])


def draw(count: int, rng: np.random.Generator) -> Texts:
    """Draw texts: each word says what the label says, seldom the opposite, or neither."""
    dialect = rng.choice(len(DIALECTS), count, p=[share for _, share in DIALECTS])
    labels = rng.integers(0, 2, count)
    chance = rng.random((count, LENGTH))
    says = np.where(rng.random((count, LENGTH)) < 0.9, labels[:, None], 1 - labels[:, None])
    word = np.where(says == 1, rng.integers(0, GOOD, chance.shape), GOOD + rng.integers(0, BAD, chance.shape))
    word = np.where(chance < 0.3, word, GOOD + BAD + rng.integers(0, OTHER, chance.shape))
    own = rng.random(chance.shape) < OWN
    ids = word + np.where(own, 1 + dialect[:, None], 0) * _WORDS
    wrong = rng.random(count) < NOISE
    return Texts(ids, np.where(wrong, 1 - labels, labels), dialect)


def train(texts: Texts, targets: npt.NDArray[np.float32], width: int, seed: int) -> Callable[[Texts], Logits]:
    """Train a classifier on probabilities float32[n, 2]; returns what gives its logits."""
    import torch

    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.EmbeddingBag((1 + len(DIALECTS)) * _WORDS, width),
        torch.nn.Linear(width, width),
        torch.nn.GELU(),
        torch.nn.Linear(width, 2),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    rng, ids, known = np.random.default_rng(seed), torch.tensor(texts.ids), torch.tensor(targets)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        rows = torch.tensor(rng.integers(0, len(ids), BATCH))
        optimizer.zero_grad()
        loss: torch.Tensor = torch.nn.functional.cross_entropy(model(ids[rows]), known[rows])
        loss.backward()
        optimizer.step()

    def answer(asked: Texts) -> Logits:
        with torch.inference_mode():
            return np.asarray(model(torch.tensor(asked.ids)).numpy(), np.float32)

    return answer


def probabilities(logits: Logits) -> npt.NDArray[np.float32]:
    """Return the softmax of logits float32[n, 2]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def parts(texts: Texts) -> tuple[RowSlice, ...]:
    """Tell texts apart by dialect and by label."""
    kinds = (
        ("dialect", texts.dialect, [name for name, _ in DIALECTS]),
        ("label", texts.labels, list(TASK.labels)),
    )
    return tuple(
        RowSlice(by, name, np.flatnonzero(values == number))
        for by, values, names in kinds
        for number, name in enumerate(names)
    )


@dataclass(frozen=True)
class Judged:
    """What the gate says to one student.

    Attributes:
        teacher: Accuracy of the teacher.
        drop: Loss of accuracy over all texts.
        whole: Verdict on all texts.
        sliced: Verdict on slices.
        reason: Why, which begins with the slice that is named.
        slices: What each slice lost.
    """

    teacher: float
    drop: float
    whole: GateVerdict
    sliced: GateVerdict
    reason: str
    slices: tuple[SliceResult, ...]


def judge(full: Logits, ours: Logits, held: Texts, seed: int) -> Judged:
    """Ask the gate about a student."""
    both = PairedAnswers(TASK, full, ours, held.labels, seed=seed)
    whole, evidence = apply_gate(both, replace(GATE, slices=None))
    found = slices.measure(both, parts(held), GATE, needed=False)
    said = slices.judge(found, GATE, texts=len(full))
    drop = 0.0 if evidence.drop is None else evidence.drop.mean
    return Judged(evidence.baseline or 0.0, drop, whole.verdict, said.verdict, said.reason, found)


def one(seed: int) -> dict[str, Judged]:
    """Train a teacher, a fair and an unfair student, and ask the gate about both."""
    rng = np.random.default_rng(seed)
    texts, held = draw(TRAINED, rng), draw(HELD_OUT, rng)
    teacher = train(texts, np.eye(2, dtype=np.float32)[texts.labels], WIDTH, seed)
    said, found = teacher(held), {}
    for name, some in (("fair", texts), ("unfair", texts.of(texts.dialect == 0))):
        student = train(some, probabilities(teacher(some)), STUDENT_WIDTH, seed + 1000)
        found[name] = judge(said, student(held), held, seed)
    return found


def row(name: str, found: Sequence[Judged]) -> Row:
    """Sum up a kind of student over all seeds."""

    def drop(place: int) -> float:
        drops = (each.slices[place].drop for each in found)
        return 100 * float(np.mean([each.mean for each in drops if each is not None]))

    def count(yes: Sequence[bool]) -> float:
        return float(sum(yes))

    values = {
        "seeds": float(len(found)),
        "teacher, accuracy %": 100 * float(np.mean([each.teacher for each in found])),
        "drop over all texts, points": 100 * float(np.mean([each.drop for each in found])),
        **{f"drop of {dialect}, points": drop(place) for place, (dialect, _) in enumerate(DIALECTS)},
        "FAIL of the gate over all texts": count([each.whole is GateVerdict.FAIL for each in found]),
        **{
            f"{verdict} on slices": count([each.sliced is verdict for each in found])
            for verdict in (GateVerdict.FAIL, GateVerdict.INCONCLUSIVE, GateVerdict.PASS)
        },
        "the second dialect is named first": count(
            [" in slice dialect=second is " in each.reason.split(";")[0] for each in found]
        ),
    }
    return Row(name=name, title=f"{name} student", group="students", values=tuple(values.items()))


def checks(rows: Sequence[Row], seeds: int) -> tuple[Check, ...]:
    """Hold both kinds against 19 of 20."""
    told = {row.name: dict(row.values) for row in rows}
    bar = float(np.ceil(0.95 * seeds))
    return (
        Check(
            title="an unfair compression fails on slices, and its dialect is named",
            value=min(told["unfair"]["FAIL on slices"], told["unfair"]["the second dialect is named first"]),
            unit=f"of {seeds} seeds", direction="at least", bar=bar,
        ),
        Check(
            title="a fair one passes on slices", value=told["fair"]["PASS on slices"],
            unit=f"of {seeds} seeds", direction="at least", bar=bar,
        ),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and judge for all seeds, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--machine", help="name of the folder of results")
    options = parser.parse_args(arguments)
    found: dict[str, list[Judged]] = {"fair": [], "unfair": []}
    for seed in range(options.seeds):
        for name, each in one(seed).items():
            found[name].append(each)
            lost = ", ".join(f"{part.title} {100 * part.drop.mean:+.1f}" for part in each.slices if part.drop)
            print(
                f"{seed} {name}: {100 * each.teacher:.1f}, all {100 * each.drop:+.1f} {each.whole}; {lost}: "
                f"{each.sliced}",
                flush=True,
            )
    rows = tuple(row(name, each) for name, each in found.items())
    write(
        Result(
            benchmark="slices",
            measured=now(),
            machine=this_machine(options.machine),
            settings={"seeds": options.seeds, "trained on": TRAINED, "held out": HELD_OUT},
            rows=rows,
            checks=checks(rows, options.seeds),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
