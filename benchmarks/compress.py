"""Seconds and peak memory of ``edgeroberta compress --recipe int8`` on RoBERTa-base's geometry.

    python -m benchmarks.compress [--texts 256] [--heldout 100] [--output DIR]

Random weights, the packaged demo's tokenizer and texts. Writes
benchmarks/results/<machine>/compress.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import base_model
from benchmarks.peers.environments import cache_folder
from benchmarks.results import Check, Result, Row, now, this_machine, write

logger = logging.getLogger(__name__)


def stage_seconds(bundle: Path) -> list[tuple[str, float]]:
    """Return seconds per stage in order, from the lineage in the bundle's manifest."""
    manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return [(f"{stage['stage']} s", round(stage["seconds"], 2)) for stage in manifest["lineage"]]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=256, help="calibration texts")
    parser.add_argument("--heldout", type=int, default=100, help="rows the gate is measured on")
    parser.add_argument("--output", type=Path, help="keep the bundle here (a temporary folder otherwise)")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where the model is kept")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine = this_machine(arguments.machine)
    base = base_model.prepare(arguments.cache.resolve(), texts=arguments.texts, heldout=arguments.heldout)
    with tempfile.TemporaryDirectory() as folder:
        output = (arguments.output or Path(folder) / "bundle").resolve()
        watched = base_model.compress(base, "int8", output, f"quantize.samples={arguments.texts}")
        values = (("total s", watched.seconds), ("peak MB", watched.peak_mb), *stage_seconds(output))
    title = f"compress --recipe int8, RoBERTa-base geometry, {arguments.texts} calibration texts"
    result = Result(
        benchmark="compress",
        measured=now(),
        machine=machine,
        settings={"texts": arguments.texts, "heldout": arguments.heldout, "recipe": "int8"},
        rows=(Row(name="compress", title=title, values=values),),
        checks=(
            Check(title=f"{title}: time", value=watched.seconds, unit="s", direction="at most", bar=120),
            Check(title=f"{title}: memory", value=watched.peak_mb, unit="MB", direction="at most", bar=4000),
        ),
    )
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
