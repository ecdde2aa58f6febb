"""Fuzzing by hand: ``python tests/fuzzing/run.py --count 5000 --seed 1``; exits with 1 on a finding."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fuzzing import inputs
from fuzzing.harness import Case, judge


def cases(seed: int, count: int, folder: Path, *, first: int = 0, only: str = "") -> Iterator[Case]:
    """Make the inputs of a seed, one after the other; the files of each are removed before the next."""
    base = inputs.make_base(folder / "base")
    for number in range(first, first + count):
        rng = Random(f"{seed} {number}")
        make = rng.choice(inputs.KINDS)
        if only and make.__name__ != only:
            continue
        place = folder / "case"
        place.mkdir()
        yield Case(f"{make.__name__} {number}", place, make(rng, place, base))
        shutil.rmtree(place)


def main() -> int:
    """Run the inputs and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="", help="one kind alone")
    arguments = parser.parse_args()
    wrong: Counter[str] = Counter()
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGEROBERTA_CACHE"] = f"{folder}/cache"
        for case in cases(
            arguments.seed, arguments.count, Path(folder), first=arguments.first, only=arguments.only
        ):
            total += 1
            if (found := judge(case)) is not None:
                wrong[found.partition(" at ")[2] or found[:60]] += 1
                print(f"{case.name}: {found}", flush=True)
    print(f"{total} inputs, {wrong.total()} wrong, {len(wrong)} of them different")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
