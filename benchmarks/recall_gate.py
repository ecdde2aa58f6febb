"""Does the gate catch that one type of entity was left out of the distillation, where F1 over all does not?

    python -m benchmarks.recall_gate --model TAGGER --data TRAIN --eval-data TEST --label country --work DIR
                                     [--seeds 20] [--recipe int8-distill] [--max-drop 0.05] [--drop 0.1]

``TRAIN`` and ``TEST`` are folders of aligned files (``seq.in``, ``seq.out``), as those of SNIPS. For each
seed the tagger is distilled from the sentences without the type, and of some seeds again from as many of all;
a bundle that is there already is not made again. Of each, the gate's report says whether F1 over all types
passes, and what the bound on the recall of the one type says: it is caught where that FAILs. Writes
benchmarks/results/<machine>/recall_gate.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.evaluation.result import GateVerdict

WORDS, TAGS = "seq.in", "seq.out"
#: Of how many seeds the loss is to be caught.
CAUGHT = 0.95
WITHOUT, WITH = "without the type", "with all types"


@dataclass(frozen=True)
class Setting:
    """What all runs share."""

    model: Path
    data: Path
    eval_data: Path
    label: str
    work: Path
    recipe: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """What the report of a bundle says, of its worst engine.

    Attributes:
        drop: Loss of F1 over all types.
        high: Upper end of its interval.
        recall: Recall of the one type.
        lost: Loss of it.
        verdict: What the bound on its recall says.
    """

    drop: float
    high: float
    recall: float
    lost: float
    verdict: GateVerdict


def leave_out(folder: Path, label: str, output: Path, *, every: bool, seed: int = 0) -> int:
    """Copy aligned files without the sentences that have a type; returns how many are left.

    Args:
        folder: Where they lie.
        label: The type.
        output: Where to write them.
        every: Leave as many out by chance instead, whatever types they have.
        seed: Of that chance.
    """
    words, tags = ((folder / name).read_text(encoding="utf-8").splitlines() for name in (WORDS, TAGS))
    has = np.array([label in (tag.partition("-")[2] for tag in line.split()) for line in tags])
    if not has.any():
        raise SystemExit(f"{folder / TAGS}: no sentence has the type {label}")
    if every:
        has = np.random.default_rng(seed).permutation(has)
    output.mkdir(parents=True, exist_ok=True)
    for name, lines in ((WORDS, words), (TAGS, tags)):
        kept = [line for line, out in zip(lines, has, strict=True) if not out]
        (output / name).write_text("\n".join(kept) + "\n", encoding="utf-8")
    return int((~has).sum())


def make(setting: Setting, data: Path, name: str, seed: int) -> Path:
    """Distil and compress, unless the bundle is there; its verdict may be any."""
    bundle = setting.work / f"{name}-{seed}"
    if not (bundle / "manifest.json").is_file():
        command = [
            sys.executable, "-m", "edgeroberta", "compress", str(setting.model), "--recipe", setting.recipe,
            "--data", str(data), "--eval-data", str(setting.eval_data), "--seed", str(seed),
            "-o", str(bundle), *(part for each in setting.overrides for part in ("--set", each)),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 3):
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return bundle


def judged(bundle: Path) -> Judged:
    """Read what a bundle's report says of F1 and of the bound."""
    report = json.loads((bundle / "reports" / "report.json").read_text(encoding="utf-8"))
    engines: list[Any] = [each for each in report["engines"] if each["drop"] is not None]
    worst = min(engines, key=lambda each: each["recalls"][0]["recall"]["mean"])
    found = worst["recalls"][0]
    return Judged(
        drop=worst["drop"]["mean"],
        high=max(each["drop"]["high"] for each in engines),
        recall=found["recall"]["mean"],
        lost=found["drop"]["mean"],
        verdict=GateVerdict(found["verdict"]),
    )


def row(name: str, found: Sequence[Judged], max_drop: float) -> Row:
    """Sum up the models of all seeds."""
    verdicts = [each.verdict for each in found]
    values = {
        "models": float(len(found)),
        "F1 over all passes": float(sum(each.high <= max_drop for each in found)),
        "caught": float(verdicts.count(GateVerdict.FAIL)),
        "undecided": float(verdicts.count(GateVerdict.INCONCLUSIVE)),
        "drop of F1, points, mean": 100 * float(np.mean([each.drop for each in found])),
        "recall of the type %, mean": 100 * float(np.mean([each.recall for each in found])),
        "drop of that recall, points, least": 100 * min(each.lost for each in found),
        "drop of that recall, points, most": 100 * max(each.lost for each in found),
    }
    return Row(name=name, title=name, group="recall gate", values=tuple(values.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make all models, read their reports, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--eval-data", type=Path, required=True)
    parser.add_argument("--label", required=True, help="type that is left out")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--controls", type=int, default=3, help="seeds of models that saw all types")
    parser.add_argument("--recipe", default="int8-distill")
    parser.add_argument("--max-drop", type=float, default=0.05, help="of F1 over all types")
    parser.add_argument("--drop", type=float, default=0.1, help="of the recall of the type")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="e.g. distill.epochs=1")
    parser.add_argument("--machine", help="name of the folder of results")
    options = parser.parse_args(arguments)
    gate = (
        f"verify.gate.max_drop={options.max_drop}",
        "verify.gate.min_agreement=0",
        f"verify.gate.max_recall_drop={{{options.label}: {options.drop}}}",
        "verify.latency_rows=5",
    )
    setting = Setting(
        options.model, options.data, options.eval_data, options.label, options.work, options.recipe,
        (*gate, *options.overrides),
    )  # fmt: skip
    rows = []
    for name, count in ((WITHOUT, options.seeds), (WITH, options.controls)):
        data = options.work / name.replace(" ", "-")
        leave_out(options.data, options.label, data, every=name == WITH)
        found = [judged(make(setting, data, data.name, seed)) for seed in range(count)]
        if found:
            rows.append(row(name, found, options.max_drop))
            print(rows[-1].title, dict(rows[-1].values), flush=True)
    without = dict(rows[0].values)
    checks = tuple(
        Check(title=title, value=without[name] / without["models"], unit="", direction="at least", bar=CAUGHT)
        for name, title in (
            ("F1 over all passes", f"share of models without {options.label} whose F1 over all types passes"),
            ("caught", f"share of them that the bound on the recall of {options.label} fails"),
        )
    )
    write(
        Result(
            benchmark="recall_gate",
            measured=now(),
            machine=this_machine(options.machine),
            settings={
                "label": options.label, "recipe": options.recipe, "max_drop": options.max_drop,
                "max_recall_drop": options.drop, "overrides": list(options.overrides),
            },
            rows=tuple(rows),
            checks=checks,
        )
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
