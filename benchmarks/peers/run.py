"""Compare a bundle with what a user would run instead: one checkpoint, one file of texts, one run.

    python -m benchmarks.peers.run CHECKPOINT BUNDLE DATA [--rounds 5] [--limit N]

Batch 1, one thread, tokenization included. Each contestant lives in its own environment; rounds
interleave. Writes benchmarks/results/<machine>/peers.json.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import rounds
from benchmarks.peers.environments import cache_folder, environment
from benchmarks.results import Check, Result, Row, now, this_machine, write
from benchmarks.texts import read
from edgeroberta.artifact import digest_tree
from edgeroberta.cache import folder
from edgeroberta.errors import EdgeRobertaError

logger = logging.getLogger(__name__)

BASELINE, FULL_SIZE = "optimum-int8", "transformers-pipeline"
ENGINES = ("onnxruntime", "openvino")
#: What Optimum is told to quantize for.
INSTRUCTIONS = "arm64" if platform.machine() in ("aarch64", "arm64") else "avx512_vnni"


def exported(checkpoint: Path, optimum: Path, cache: Path) -> tuple[Path, Path]:
    """Export a checkpoint with Optimum and quantize it dynamically, once per content.

    Args:
        checkpoint: A Hugging Face folder.
        optimum: Interpreter of Optimum's environment.
        cache: Where the two folders are kept.

    Returns:
        Folders of the fp32 graph and of the int8 graph.
    """

    def write(empty: Path) -> None:
        commands = (
            ("export", "onnx", "--model", str(checkpoint), "--task", "text-classification",
             str(empty / "fp32")),
            ("onnxruntime", "quantize", "--onnx_model", str(empty / "fp32"), f"--{INSTRUCTIONS}",
             "--per_channel", "-o", str(empty / "int8")),
        )  # fmt: skip
        for command in commands:
            logger.info("optimum-cli %s", " ".join(command[:2]))
            optimum_cli(optimum, command)

    made = folder(cache / "models" / f"{digest_tree(checkpoint)[:16]}-{optimum.parent.parent.name}", write)
    return made / "fp32", made / "int8"


def optimum_cli(python: Path, arguments: Sequence[str]) -> None:
    """Run ``optimum-cli`` of an environment.

    Raises:
        EdgeRobertaError: It failed.
    """
    command = [str(python.with_name("optimum-cli")), *arguments]
    done = subprocess.run(
        command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EdgeRobertaError(
            f"optimum-cli {' '.join(arguments[:2])} failed: {done.stderr.strip()[-800:]}",
            where="benchmarks/peers",
        )


def contestants(checkpoint: Path, bundle: Path, max_length: int, cache: Path) -> list[rounds.Entry]:
    """Make the table of contestants, creating environments and Optimum's graphs as needed."""
    here, transformers = Path(sys.executable), environment("transformers", cache=cache)
    optimum = environment("optimum", cache=cache)
    fp32, int8 = exported(checkpoint, optimum, cache)
    module, limit = "benchmarks.peers.contestants", {"max_length": max_length}
    model = {"model": str(checkpoint), **limit}
    entries = [
        rounds.Entry(
            "transformers-padded", f"transformers, fp32, every text padded to {max_length}",
            transformers, f"{module}:padded", model,
        ),
        rounds.Entry(
            FULL_SIZE, "transformers pipeline, fp32",
            transformers, f"{module}:transformers_pipeline", model,
        ),
        rounds.Entry(
            "optimum-fp32", "Optimum ORTModel + pipeline, fp32",
            optimum, f"{module}:optimum", {"model": str(fp32), "file_name": "model.onnx", **limit},
        ),
        rounds.Entry(
            BASELINE, f"Optimum ORTModel + pipeline, dynamic int8 ({INSTRUCTIONS}, per channel)",
            optimum, f"{module}:optimum", {"model": str(int8), "file_name": "model_quantized.onnx", **limit},
        ),
    ]  # fmt: skip
    for engine, title in zip(ENGINES, ("ONNX Runtime", "OpenVINO"), strict=True):
        arguments = {"bundle": str(bundle), "engine": engine}
        title = f"EdgeRoBERTa bundle, {title}"
        entries.append(rounds.Entry(f"edgeroberta-{engine}", title, here, f"{module}:edgeroberta", arguments))
    return entries


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the better of our engines to the promise: 1.4 times as fast, no less accurate."""
    ours = [row for row in rows if row.name.startswith("edgeroberta") and row.ratio and row.accuracy]
    peer = next(row for row in rows if row.name == BASELINE)
    if not ours or peer.accuracy is None:
        return ()
    best = max(ours, key=lambda row: row.ratio or 0.0)
    return (
        Check(
            title=f"{best.title}: p50 against Optimum's dynamic int8",
            value=best.ratio or 0.0, unit="x", direction="at least", bar=1.4,
        ),
        Check(
            title=f"{best.title}: accuracy, no lower than Optimum's dynamic int8",
            value=best.accuracy or 0.0, unit="", direction="at least", bar=peer.accuracy,
        ),
    )  # fmt: skip


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="fine-tuned Hugging Face folder")
    parser.add_argument("bundle", type=Path, help="bundle made from it")
    parser.add_argument("data", type=Path, help="labelled texts, e.g. the dev.tsv of SST-2")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds over all texts")
    parser.add_argument("--limit", type=int, help="use the first N texts only")
    parser.add_argument("--max-length", type=int, default=128, help="tokens the peers keep")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where environments are kept")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine = this_machine(arguments.machine)
    checkpoint, bundle = arguments.checkpoint.resolve(), arguments.bundle.resolve()
    texts = read(arguments.data, checkpoint, arguments.limit)
    entries = contestants(checkpoint, bundle, arguments.max_length, arguments.cache)
    timings = rounds.measure(entries, texts.texts, rounds=arguments.rounds, threads=arguments.threads)
    labels = None if texts.labels is None else [int(label) for label in texts.labels]
    table = rounds.rows(entries, timings, baseline=BASELINE, full_size=FULL_SIZE, labels=labels)
    settings = {
        "texts": len(texts), "data": arguments.data.name, "rounds": arguments.rounds, "batch": 1,
        "threads": arguments.threads, "max_length": arguments.max_length, "baseline": BASELINE,
        "data_digest": texts.digest, "checkpoint_digest": digest_tree(checkpoint),
    }  # fmt: skip
    result = Result(
        benchmark="peers", measured=now(), machine=machine, settings=settings, rows=tuple(table),
        checks=checks(table),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
