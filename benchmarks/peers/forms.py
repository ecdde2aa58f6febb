"""Makes the peers' own forms of a checkpoint in their own environments, once per content."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks import rounds
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage.artifact import digest_tree, digest_value
from edgeroberta.storage.cache import folder

logger = logging.getLogger(__name__)

#: What Optimum and sentence-transformers are told to quantize for.
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
