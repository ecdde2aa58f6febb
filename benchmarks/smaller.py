"""What distillation, pruning and a small vocabulary keep of a model: every recipe, on three seeds.

    python -m benchmarks.smaller --model CHECKPOINT --data train.tsv --eval-data dev.tsv --work DIR

Each case is a shipped recipe with overrides, run as ``edgeroberta compress`` does it, one thread per
run and a lane per seed; a run that is there already is not made again. At the end all bundles of the
first seed take turns on both engines. Writes benchmarks/results/<machine>/smaller.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import rounds
from benchmarks.results import Check, Result, Row, now, this_machine, write
from benchmarks.texts import read

logger = logging.getLogger(__name__)

ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
#: A gate that lets everything pass: here the numbers are wanted, whatever they are.
OPEN = ("verify.gate.max_drop=1.0", "verify.gate.min_agreement=0.0", "verify.latency_rows=20")
RECIPES, STUDENTS = "recipes", "single steps"


@dataclass(frozen=True)
class Case:
    """A recipe with overrides.

    Attributes:
        name: Key in the results.
        title: What the table calls it.
        recipe: Shipped recipe.
        overrides: ``stage.key=value`` settings.
        trained: Run it with every seed; False where nothing is trained.
        group: Heading of its rows.
    """

    name: str
    title: str
    recipe: str
    overrides: tuple[str, ...] = ()
    trained: bool = True
    group: str = RECIPES


def without_teacher(layers: str) -> tuple[str, ...]:
    """Return the overrides that train the same student without a teacher."""
    weights = ("logits=0.0", "hidden=0.0", "hard=1.0")
    return (f"distill.layers={layers}", *(f"distill.weights.{weight}" for weight in weights))


CASES = (
    Case("fp32", "`fp32`", "fp32", trained=False),
    Case("int8", "`int8`", "int8", trained=False),
    Case("distill", "`distill`: 4 of 6 layers", "distill"),
    Case("int8-distill", "`int8-distill`: 4 of 6 layers", "int8-distill"),
    Case("prune-int8", "`prune-int8`: heads −33 %, FFN −50 %", "prune-int8"),
    Case("tiny", "`tiny`", "tiny"),
    Case("three-alone", "3 of 6 layers, no teacher", "distill", without_teacher("0.5"), group=STUDENTS),
)
#: Least share of the baseline metric, on both engines, mean over the seeds.
KEPT = {"distill": 0.985, "prune-int8": 0.98, "tiny": 0.965}
THREE = 0.97


@dataclass(frozen=True)
class Setting:
    """What all runs share."""

    model: Path
    data: Path
    eval_data: Path
    work: Path
    epochs: int

    def bundle(self, case: Case, seed: int) -> Path:
        """Return where a run's bundle goes."""
        return self.work / f"{case.name}-{seed}"


def training_stages(case: Case) -> tuple[str, ...]:
    """Name the settings that hold the epochs of a recipe's training stages."""
    return {
        "distill": ("distill",),
        "int8-distill": ("distill",),
        "prune-int8": ("prune.recovery",),
        "tiny": ("distill", "prune.recovery"),
    }.get(case.recipe, ())


def make(setting: Setting, case: Case, seed: int) -> None:
    """Run a recipe, unless its bundle is there.

    Raises:
        RuntimeError: It failed; the log beside the bundle says why.
    """
    bundle = setting.bundle(case, seed)
    if (bundle / "manifest.json").is_file():
        return
    overrides = [
        *case.overrides,
        *OPEN,
        *(f"{name}.epochs={setting.epochs}" for name in training_stages(case)),
    ]
    command = [
        sys.executable, "-m", "edgeroberta", "compress", str(setting.model), "--recipe", case.recipe,
        "--data", str(setting.data), "--eval-data", str(setting.eval_data), "--seed", str(seed),
        "-o", str(bundle), "--work", str(setting.work / f"seed-{seed}.work"),
    ]  # fmt: skip
    command += [part for override in overrides for part in ("--set", override)]
    logger.info("%s, seed %d", case.name, seed)
    log = bundle.with_name(f"{bundle.name}.log")
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    if done.returncode:
        raise RuntimeError(f"{case.name}, seed {seed}: exit code {done.returncode}, see {log}")


def make_all(setting: Setting, cases: Sequence[Case], seeds: int) -> None:
    """Run all cases, the seeds beside each other."""

    def lane(seed: int) -> None:
        for case in cases:
            if seed == 0 or case.trained:
                make(setting, case, seed)

    with ThreadPoolExecutor(seeds) as pool:
        for future in [pool.submit(lane, seed) for seed in range(seeds)]:
            future.result()


def report(bundle: Path) -> dict[str, Any]:
    """Read a bundle's report."""
    found: dict[str, Any] = json.loads((bundle / "reports" / "report.json").read_text(encoding="utf-8"))
    return found


def row(setting: Setting, case: Case, engine: str, seeds: int, timed: Row) -> Row:
    """Put the answers of all seeds on one engine beside the time of the first."""
    reports = [report(setting.bundle(case, seed)) for seed in range(seeds if case.trained else 1)]
    results = [next(each for each in found["engines"] if each["engine"] == engine) for found in reports]
    metric = reports[0]["metric"]
    scores = [each["metrics"][metric] for each in results]
    whole = reports[0]["baseline"]["metrics"][metric]
    return timed.model_copy(
        update={
            "accuracy": round(statistics.mean(scores), 4),
            "same_answers": round(statistics.mean(each["agreement"] for each in results), 4),
            "kept": tuple(round(score / whole, 4) for score in scores),
            "size_mb": round(folder_bytes(setting.bundle(case, 0)) / 1e6, 2),
        }
    )


def first_stage(setting: Setting, case: Case, seeds: int) -> Row:
    """Return what per-stage metrics say of the first stage of a recipe: the float model in ONNX Runtime."""
    of_seeds = [report(setting.bundle(case, seed))["per_stage"]["rows"] for seed in range(seeds)]
    found, whole = [rows[1] for rows in of_seeds], of_seeds[0][0]["metric"]
    scores = [each["metric"] for each in found]
    return Row(
        name="three",
        title=f"3 of 6 layers, distilled in float (first stage of {case.title}), ONNX Runtime",
        group=STUDENTS,
        accuracy=round(statistics.mean(scores), 4),
        same_answers=round(statistics.mean(each["agreement"] for each in found), 4),
        kept=tuple(round(score / whole, 4) for score in scores),
        size_mb=round(found[0]["bytes"] / 1e6, 2),
    )


def folder_bytes(bundle: Path) -> int:
    """Return the size of a bundle with all that is in it."""
    return sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())


def time_all(setting: Setting, cases: Sequence[Case], texts: Sequence[str], count: int) -> dict[str, Row]:
    """Let the bundles of the first seed take turns, engine by engine."""
    found: dict[str, Row] = {}
    for engine, name in ENGINES.items():
        entries = [
            rounds.Entry(
                f"{case.name}/{engine}",
                f"{case.title}, {name}",
                Path(sys.executable),
                "benchmarks.peers.contestants:edgeroberta",
                {"bundle": str(setting.bundle(case, 0)), "engine": engine},
                case.group,
            )
            for case in cases
        ]
        timings = rounds.measure(entries, texts, rounds=count, threads=1)
        found |= {each.name: each for each in rounds.rows(entries, timings, baseline=f"int8/{engine}")}
    return found


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the rows to what was promised."""
    by_name = {each.name: each for each in rows}
    found: list[Check] = []

    def check(title: str, value: float, unit: str, direction: Any, bar: float) -> None:
        found.append(Check(title=title, value=round(value, 4), unit=unit, direction=direction, bar=bar))

    for engine, name in ENGINES.items():
        for case in CASES:
            if case.name in KEPT and f"{case.name}/{engine}" in by_name:
                kept = statistics.mean(by_name[f"{case.name}/{engine}"].kept)
                title = f"{case.title}, {name}: share of the baseline accuracy, mean of seeds"
                check(title, kept, "", "at least", KEPT[case.name])
        if tiny := by_name.get(f"tiny/{engine}"):
            check(f"{tiny.title}: p50 against `int8`", tiny.ratio or 0.0, "x", "at least", 2.5)
    if taught := by_name.get("three"):
        kept = statistics.mean(taught.kept)
        check(f"{taught.title}: share of the baseline accuracy, mean of seeds", kept, "", "at least", THREE)
        if alone := by_name.get("three-alone/onnxruntime"):
            gain = kept - statistics.mean(alone.kept)
            check(f"{taught.title}: share kept, minus that without a teacher", gain, "", "at least", 0.0)
    if tiny := by_name.get("tiny/onnxruntime"):
        check("`tiny`: bundle, both engines", tiny.size_mb or 0.0, "MB", "at most", 10)
    return tuple(found)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="fine-tuned checkpoint, the teacher")
    parser.add_argument("--data", type=Path, required=True, help="labelled texts to train on")
    parser.add_argument("--eval-data", type=Path, required=True, help="labelled texts that nothing else sees")
    parser.add_argument("--work", type=Path, required=True, help="where bundles and work folders go")
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", default=names, choices=names, help="int8 must be among them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1, help="passes over the texts in every training")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of the final measurement")
    parser.add_argument("--texts", type=int, default=300, help="texts of a round")
    parser.add_argument("--no-timing", action="store_true", help="only make the bundles")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    machine = this_machine(arguments.machine)
    setting = Setting(
        arguments.model.resolve(),
        arguments.data,
        arguments.eval_data,
        arguments.work.resolve(),
        arguments.epochs,
    )
    setting.work.mkdir(parents=True, exist_ok=True)
    cases = [case for case in CASES if case.name in arguments.cases]
    make_all(setting, cases, arguments.seeds)
    if arguments.no_timing:
        return
    texts = read(arguments.eval_data, setting.model).texts[: arguments.texts]
    timed = time_all(setting, cases, texts, arguments.rounds)
    rows = [
        row(setting, case, engine, arguments.seeds, timed[f"{case.name}/{engine}"])
        for case in cases
        for engine in ENGINES
    ]
    rows += [first_stage(setting, case, arguments.seeds) for case in cases if case.name == "tiny"]
    result = Result(
        benchmark="smaller",
        measured=now(),
        machine=machine,
        settings={
            "data": arguments.data.name,
            "heldout": arguments.eval_data.name,
            "seeds": arguments.seeds,
            "epochs": arguments.epochs,
            "rounds": arguments.rounds,
            "texts": len(texts),
            "threads": 1,
        },
        rows=tuple(rows),
        checks=checks(rows),
    )
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
