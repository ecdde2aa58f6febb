"""Hold this working tree beside the last release: each compresses and runs one checkpoint.

    python -m benchmarks.regress [CHECKPOINT DATA] [--base COMMIT] [--margin 0.05]

Without a checkpoint, the packaged encoder with a random head and the packaged reviews: speed hangs on
shapes. Each version compresses it with ``--recipe int8`` and answers the same texts, one thread, batch 1,
text to label, in ONNX Runtime and OpenVINO, all in turns. Prints how many times as fast this tree is; ends
with 1 where it is slower by more than the margin. Part of the release checklist in CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import rounds
from benchmarks.texts import read
from edgeroberta import demo
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.report.table import Table
from edgeroberta.storage.cache import cache_dir

logger = logging.getLogger(__name__)

ENGINES = ("onnxruntime", "openvino")
BASE, HERE = "base", "here"
#: Of each file: enough to choose ranges by; the gate is open, since speed is what is asked.
ROWS = 120
OPEN = ("verify.gate.max_drop=1.0", "verify.gate.min_agreement=0.0", "verify.latency_rows=5")
#: Texts that a contestant answers in a row: short turns, so that noise hits both versions.
SLICE = 20


def git(*arguments: str) -> str:
    """Run git in this repository and return what it prints.

    Raises:
        EdgeRobertaError: It failed.
    """
    done = subprocess.run(["git", *arguments], cwd=rounds.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgeRobertaError(f"git {arguments[0]} failed: {done.stderr.strip()}", where=str(rounds.ROOT))
    return done.stdout.strip()


def version(text: str) -> str:
    """Return the version that a ``pyproject.toml`` names."""
    return next(line for line in text.splitlines() if line.startswith("version = "))


def last_release() -> str:
    """Return the last tagged commit; without tags, the newest that set another version than this tree has.

    Raises:
        EdgeRobertaError: There is neither.
    """
    if tags := git("tag", "--merged", "HEAD", "--sort=-creatordate").splitlines():
        return tags[0]
    own = version((rounds.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for commit in git("log", "-G", "^version = ", "--format=%H", "--", "pyproject.toml").splitlines():
        if version(git("show", f"{commit}:pyproject.toml")) != own:
            return commit
    raise EdgeRobertaError("this repository has no release to compare with", hint="name one with --base")


@contextlib.contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """Check a commit out into a folder, as a worktree that is gone afterwards."""
    git("worktree", "add", "--detach", str(folder), commit)
    try:
        yield folder
    finally:
        git("worktree", "remove", "--force", str(folder))


def random_headed(base: Path, folder: Path) -> Path:
    """Put a seeded random head on an encoder, so that it can be compressed without training."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from edgeroberta.roberta.checkpoint import Checkpoint

    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(base).save_pretrained(folder)
    Checkpoint(base).copy_tokenizer(folder)
    return folder


def bundle(tree: Path, checkpoint: Path, data: Sequence[str], output: Path) -> Path:
    """Let a version's own code make a bundle.

    Raises:
        EdgeRobertaError: It failed.
    """
    settings = [word for setting in OPEN for word in ("--set", setting)]
    command = [sys.executable, "-m", "edgeroberta", "compress", str(checkpoint), "--recipe", "int8", *data]
    command += ["--limit", str(ROWS), "-o", str(output), *settings]
    environment = {**os.environ, "PYTHONPATH": str(tree), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgeRobertaError(f"compress failed: {done.stderr.strip()[-800:]}", where=str(tree))
    return output


def entries(bundles: Mapping[str, tuple[Path, Path]]) -> list[rounds.Entry]:
    """Make the contestants.

    Args:
        bundles: Version to its source tree and its bundle.
    """
    return [
        rounds.Entry(
            f"{name}/{engine}",
            f"{name}, {engine}",
            Path(sys.executable),
            "benchmarks.peers.contestants:edgeroberta",
            {"bundle": str(made), "engine": engine, "source": str(tree)},
            group=engine,
        )
        for engine in ENGINES
        for name, (tree, made) in bundles.items()
    ]


def ratios(timings: Mapping[str, rounds.Timings]) -> dict[str, float]:
    """Return how many times as fast this tree is, by engine: the median over rounds of p50 against p50.

    Raises:
        EdgeRobertaError: A contestant failed.
    """
    for name, timing in timings.items():
        if timing.error is not None:
            raise EdgeRobertaError(f"{name} failed: {timing.error}", where="benchmarks/regress.py")
    return {
        engine: rounds.speed_up(timings[f"{BASE}/{engine}"].rounds, timings[f"{HERE}/{engine}"].rounds)
        for engine in ENGINES
    }


def report(timings: Mapping[str, rounds.Timings], found: Mapping[str, float], margin: float) -> str:
    """Lay out both versions' times, the ratio, and whether it will do."""
    titles = ("engine", "base p50 ms", "here p50 ms", "times as fast", "same answers", "")
    laid = []
    for engine, ratio in found.items():
        one, other = timings[f"{BASE}/{engine}"], timings[f"{HERE}/{engine}"]
        same = rounds.share_equal(one.answers, other.answers)
        verdict = "SLOWER" if ratio < 1 - margin else "ok"
        p50s = (f"{rounds.latency(each.rounds).p50:.2f}" for each in (one, other))
        laid.append((engine, *p50s, f"{ratio:.2f}", f"{100 * same:.1f} %", verdict))
    return Table.of(titles, laid, words=(0, 5)).text()


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="?", help="fine-tuned Hugging Face folder")
    parser.add_argument("data", type=Path, nargs="?", help="labelled texts for it")
    parser.add_argument("--base", help="commit to compare with; the last release if not given")
    parser.add_argument("--margin", type=float, default=0.05, help="part by which this tree may be slower")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds over all texts")
    parser.add_argument("--limit", type=int, default=200, help="texts to answer")
    arguments = parser.parse_args()
    if (arguments.checkpoint is None) != (arguments.data is None):
        parser.error("give a checkpoint and data for it, or neither")
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    base = arguments.base or last_release()
    with tempfile.TemporaryDirectory(prefix="edgeroberta-regress-") as scratch:
        folder = Path(scratch)
        if arguments.checkpoint is None:
            sources = demo.prepare(cache_dir())
            checkpoint = random_headed(sources.base, folder / "checkpoint")
            texts = Path(str(sources.data.eval_data))
            data = ["--data", sources.data.data, "--eval-data", str(texts)]
        else:
            checkpoint, texts = arguments.checkpoint.resolve(), arguments.data.resolve()
            data = ["--data", str(texts)]
        with checked_out(base, folder / "tree") as tree:
            trees = {BASE: tree, HERE: rounds.ROOT}
            bundles = {}
            for name, source in trees.items():
                logger.info("%s: compressing with %s", name, base if name == BASE else "this tree")
                bundles[name] = (source, bundle(source, checkpoint, data, folder / name))
            items = read(texts, checkpoint, arguments.limit).texts
            timings = rounds.measure(
                entries(bundles), items, rounds=arguments.rounds, threads=1, slice_size=SLICE
            )
    found = ratios(timings)
    print(report(timings, found, arguments.margin))
    print(json.dumps({"base": base, "margin": arguments.margin, "times_as_fast": found}))
    if any(ratio < 1 - arguments.margin for ratio in found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
