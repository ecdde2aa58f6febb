"""The baselines on a GPU: latency and throughput in three types, and one epoch of training.

    python -m benchmarks.gpu --pack FOLDER [--python 3.12]     on a computer with the extra ``demo``
    PYTHONPATH=FOLDER python -m benchmarks.gpu                 on the GPU's, which needs no package index

The packaged encoder is fine-tuned for one epoch; then that model and one of RoBERTa-base's geometry (random
weights) answer the same held-out reviews in float32, float16 and bfloat16. ``--pack`` copies what a machine
without a package index lacks (80 MB): the encoder, the reviews, and pydantic for that Python. PyTorch,
transformers, accelerate, safetensors, tokenizers, numpy and PyYAML have to be there. Every row is
written as soon as it is measured to benchmarks/results/<GPU>/gpu.json, and what no longer fits into
``--seconds`` is a row that says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import base_model
from benchmarks.results import RESULTS, Latency, Machine, Result, Row, now, this_machine, write
from edgeroberta import demo
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.measure.protocol import DTYPES
from edgeroberta.roberta.checkpoint import Checkpoint

if TYPE_CHECKING:
    from edgeroberta.evaluation.baseline_store import BaselineAnswers

logger = logging.getLogger(__name__)

RECIPE = "finetune-int8"
#: What ``--pack`` takes along besides the model and the reviews: not in most images with PyTorch.
PACKAGES = ("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions")
#: A row is not begun with less than this many seconds left: the slowest of them takes about as long.
LEAST_SECONDS = 20.0


def pack(output: Path, python: str) -> None:
    """Write a folder that, on ``PYTHONPATH``, stands in for the packages a GPU machine lacks.

    Args:
        output: The folder; made when missing.
        python: Version of Python there, such as ``3.12``.

    Raises:
        EdgeRobertaError: The extra ``demo`` is missing here, or pip cannot fetch the packages.
    """
    for package, inside in (demo.PACK, demo.REVIEWS):
        target = output / package / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        (output / package / "__init__.py").touch()
        shutil.copyfile(demo.packaged(package, inside), target)
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES]
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--upgrade",
        "--python-version", python, "--implementation", "cp", "--target", str(output), *versions,
    ]  # fmt: skip
    if subprocess.run(command).returncode:
        raise EdgeRobertaError(f"pip could not fetch {', '.join(versions)} for Python {python}")


@dataclass
class Run:
    """Rows so far, written after each one.

    Attributes:
        machine: Named after the GPU.
        output: Folder of results.
        ends: When no further row is begun, on the monotonic clock.
        settings: Of the whole run.
        rows: What was measured.
    """

    machine: Machine
    output: Path
    ends: float
    settings: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def row(self, name: str, title: str, group: str, measured: Callable[[], dict[str, Any]]) -> None:
        """Measure and write one row; a failure, or no time for it, is a row too."""
        logger.info("%s: %s", group, title)
        error = None
        fields: dict[str, Any] = {}
        try:
            if self.ends - time.monotonic() < LEAST_SECONDS:
                raise EdgeRobertaError("no time was left for it")
            fields = measured()
        except (EdgeRobertaError, RuntimeError) as failure:  # CUDA's errors are RuntimeErrors
            error = str(failure)
            logger.error("%s", error)
        status = "failed" if error else "ok"
        self.rows.append(Row(name=name, title=title, group=group, status=status, error=error, **fields))
        result = Result(
            benchmark="gpu",
            measured=now(),
            machine=self.machine,
            settings=self.settings,
            rows=tuple(self.rows),
        )
        write(result, folder=self.output)


def train(work: Path, limit: int | None) -> tuple[Path, dict[str, Any]]:
    """Fine-tune the packaged encoder for one epoch, as ``compress --recipe finetune-int8`` begins.

    Args:
        work: Work folder.
        limit: Use at most this many reviews.

    Returns:
        Folder of the fine-tuned model, and fields of its row.
    """
    from edgeroberta import pipeline, recipe, targets
    from edgeroberta.pipeline import compression_inputs
    from edgeroberta.pipeline.job import PipelineJob
    from edgeroberta.progress import Progress

    chosen = recipe.load(RECIPE, ("finetune.epochs=1",))
    request = compression_inputs.CompressionRequest(
        None, None, RECIPE, (), "cpu", work / "out", work / "work", None, limit=limit
    )
    found = compression_inputs.find(request, chosen)
    job = PipelineJob(found.model, found.task, found.data, targets.load("cpu"), work / "out", work / "work")
    (made,) = pipeline.make(chosen.stages[:1], job, progress=Progress())
    notes = made.artifact.lineage.notes
    seconds, rows = made.artifact.lineage.seconds, len(found.data.train)
    return made.artifact.path, {
        "accuracy": float(notes["best_score"]),
        "values": (("seconds", seconds), ("texts/s", rows / seconds), ("training texts", float(rows))),
    }


def reference_row(reference: BaselineAnswers) -> dict[str, Any]:
    """Return the fields of a row from what :func:`edgeroberta.evaluation.baseline.measure` found."""
    timed, many = reference.latency, reference.offline
    values: list[tuple[str, float]] = []
    if many is not None:
        values += [("texts/s", many.texts_per_second), ("best batch", float(many.batch))]
    if reference.energy_mj is not None:
        values.append(("mJ/text", reference.energy_mj))
    return {
        "accuracy": reference.metrics[reference.task.metric],
        "size_mb": round(reference.bytes / 1e6, 1),
        "versions": dict(reference.machine.versions),
        "values": tuple(values),
        "latency": timed
        and Latency(
            n=timed.calls,
            warm_up=timed.warmup,
            p50=timed.p50_ms,
            p90=timed.p90_ms,
            p99=timed.p99_ms,
            round_p50=timed.round_p50_ms,
        ),
    }


def measure(run: Run, group: str, model: Path, heldout: Path, device: str) -> None:
    """Add a row for each type that the model runs in."""
    from benchmarks.texts import read
    from edgeroberta.evaluation import baseline as reference

    full = Checkpoint(model)
    rows, task = read(heldout, model), full.task
    for dtype in DTYPES:
        options = reference.BaselineOptions(device=device, dtype=dtype)
        run.row(
            f"{group} {dtype}",
            f"transformers, {dtype}",
            group,
            lambda options=options: reference_row(reference.measure(full, rows, task, options)),
        )


def run_all(run: Run, work: Path, device: str, limit: int | None) -> None:
    """Train, then measure the trained model and the larger one."""
    packaged = "packaged encoder, 6 layers x 384"
    trained: list[Path] = []

    def once() -> dict[str, Any]:
        folder, fields = train(work, limit)
        trained.append(folder)
        return fields

    run.row("training", "one epoch of fine-tuning", packaged, once)
    base = base_model.prepare(work, texts=64, heldout=limit or demo.HELDOUT_ROWS)
    for folder in trained:
        measure(run, packaged, folder, base.heldout, device)
    geometry = "RoBERTa-base geometry, 12 layers x 768, random weights"
    measure(run, geometry, base.checkpoint, base.heldout, device)


def machine_named(device: str, name: str | None) -> Machine:
    """Describe this machine, named after its GPU unless ``name`` says otherwise."""
    import torch

    if name is None and device == "cuda":
        name = re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name().lower()).strip("-")
    return this_machine(name)


def main() -> None:
    """Pack, or measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="write what the other machine lacks")
    here = ".".join(map(str, sys.version_info[:2]))
    parser.add_argument("--python", default=here, help=f"Python there, for --pack (here {here})")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu only tries the script")
    parser.add_argument("--seconds", type=float, default=220, help="begin no row after about this long")
    parser.add_argument("--limit", type=int, help="use at most this many reviews")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where results go")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ends = time.monotonic() + arguments.seconds
    if arguments.pack:
        pack(arguments.pack, arguments.python)
        return
    try:
        from edgeroberta.measure.torch_baseline import pick_device

        device = pick_device(arguments.device)
    except EdgeRobertaError as error:
        parser.exit(error.exit_code, f"error: {error}\n")
    machine = machine_named(device, arguments.machine)
    settings = {"device": device, "epochs": 1, "limit": arguments.limit or 0}
    run = Run(machine, arguments.output, ends, settings)
    with tempfile.TemporaryDirectory() as work:
        run_all(run, Path(work), device, arguments.limit)
    if any(row.status == "failed" for row in run.rows):
        parser.exit(1, "some rows failed\n")


if __name__ == "__main__":
    main()
