"""Compare a bundle with what a user would run instead: one checkpoint, one file of texts, one run.

    python -m benchmarks.peers.run CHECKPOINT BUNDLE DATA --calibration TRAIN [--rounds 5] [--limit N]

Batch 1, one thread, tokenization included. Each contestant lives in its own environment; rounds
interleave. Writes benchmarks/results/<machine>/peers.json.
"""

from __future__ import annotations

import argparse
import json
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
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage.artifact import digest_tree, digest_value
from edgeroberta.storage.cache import folder

logger = logging.getLogger(__name__)

BASELINE, FULL_SIZE = "optimum-int8", "transformers-pipeline"
#: Engine to how many times as fast as Optimum's dynamic int8 a bundle is to be on it.
PROMISED = {"onnxruntime": 1.4, "openvino": 1.5}
#: Training texts that Optimum's static int8 is calibrated on; NNCF's own default.
CALIBRATION_TEXTS = 300
#: What Optimum is told to quantize for.
INSTRUCTIONS = "arm64" if platform.machine() in ("aarch64", "arm64") else "avx512_vnni"


def exported(
    checkpoint: Path, optimum: Path, cache: Path, *, task: str = "text-classification"
) -> tuple[Path, Path]:
    """Export a checkpoint with Optimum and quantize it dynamically, once per content.

    Args:
        checkpoint: A Hugging Face folder.
        optimum: Interpreter of Optimum's environment.
        cache: Where the two folders are kept.
        task: What Optimum calls the task.

    Returns:
        Folders of the fp32 graph and of the int8 graph.
    """

    def write(empty: Path) -> None:
        commands = (
            ("export", "onnx", "--model", str(checkpoint), "--task", task,
             str(empty / "fp32")),
            ("onnxruntime", "quantize", "--onnx_model", str(empty / "fp32"), f"--{INSTRUCTIONS}",
             "--per_channel", "-o", str(empty / "int8")),
        )  # fmt: skip
        for command in commands:
            logger.info("optimum-cli %s", " ".join(command[:2]))
            optimum_cli(optimum, command)

    made = folder(cache / "models" / f"{digest_tree(checkpoint)[:16]}-{optimum.parent.parent.name}", write)
    return made / "fp32", made / "int8"


def made(
    name: str, checkpoint: Path, python: Path, cache: Path, arguments: Sequence[str], texts: str
) -> Path:
    """Let a peer make its own form of a checkpoint, once per content.

    Args:
        name: A key of :data:`benchmarks.peers.making.MAKERS`.
        checkpoint: A Hugging Face folder.
        python: Interpreter of the peer's environment.
        cache: Where the folder is kept.
        arguments: What the maker wants besides checkpoint and output.
        texts: What it reads from standard input.

    Returns:
        The folder.

    Raises:
        EdgeRobertaError: It failed.
    """
    key = digest_value([digest_tree(checkpoint), python.parent.parent.name, list(arguments), texts])[:16]

    def write(empty: Path) -> None:
        logger.info("making the %s form of the checkpoint", name)
        command = [
            str(python),
            "-m",
            "benchmarks.peers.making",
            name,
            str(checkpoint),
            str(empty),
            *arguments,
        ]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            command,
            cwd=rounds.ROOT,
            env=environment,
            input=texts,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EdgeRobertaError(
                f"{name}: {done.stderr.strip()[-800:]}", where="benchmarks/peers/making.py"
            )

    return folder(cache / "models" / f"{key}-{name}", write)


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


def contestants(
    checkpoint: Path, bundle: Path, max_length: int, cache: Path, calibration: Sequence[str]
) -> list[rounds.Entry]:
    """Make the table of contestants, creating environments and the peers' models as needed."""
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
    intel, translate = (environment(name, cache=cache) for name in ("optimum-intel", "ctranslate2"))
    static = made("openvino", checkpoint, intel, cache, [str(max_length)], json.dumps(calibration))
    converted = made("ctranslate2", checkpoint, translate, cache, [], "")
    entries += [
        rounds.Entry(
            "optimum-intel-int8", "Optimum OVModel + pipeline, static int8 (OVQuantizer)",
            intel, f"{module}:optimum_openvino", {"model": str(static), **limit},
        ),
        rounds.Entry(
            "ctranslate2-int8", "CTranslate2 encoder, int8, head in numpy",
            translate, f"{module}:ctranslate2", {"model": str(converted), **limit},
        ),
    ]  # fmt: skip
    for engine, title in zip(PROMISED, ("ONNX Runtime", "OpenVINO"), strict=True):
        arguments = {"bundle": str(bundle), "engine": engine}
        title = f"EdgeRoBERTa bundle, {title}"
        entries.append(rounds.Entry(f"edgeroberta-{engine}", title, here, f"{module}:edgeroberta", arguments))
    return entries


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold each of our engines to its promise: so many times as fast, no less accurate."""
    peer = next(row for row in rows if row.name == BASELINE)
    found: list[Check] = []
    for engine, bar in PROMISED.items():
        row = next(row for row in rows if row.name == f"edgeroberta-{engine}")
        if row.ratio is None or row.accuracy is None or peer.accuracy is None:
            continue
        found += [
            Check(
                title=f"{row.title}: p50 against Optimum's dynamic int8",
                value=row.ratio, unit="x", direction="at least", bar=bar,
            ),
            Check(
                title=f"{row.title}: accuracy, no lower than Optimum's dynamic int8",
                value=row.accuracy, unit="", direction="at least", bar=peer.accuracy,
            ),
        ]  # fmt: skip
    return tuple(found)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="fine-tuned Hugging Face folder")
    parser.add_argument("bundle", type=Path, help="bundle made from it")
    parser.add_argument("data", type=Path, help="labelled texts, e.g. the dev.tsv of SST-2")
    parser.add_argument(
        "--calibration", type=Path, required=True, help="training texts, for Optimum's static int8"
    )
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
    calibration = read(arguments.calibration, checkpoint, CALIBRATION_TEXTS).texts
    entries = contestants(checkpoint, bundle, arguments.max_length, arguments.cache, calibration)
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
