"""What TensorRT makes of a bundle for a Jetson, built ahead of time on this CPU.

    python -m benchmarks.check [--samples 64] [--packaged BUNDLE] [--base BUNDLE]

Makes a bundle of the packaged encoder (with an untrained head) and one of RoBERTa-base's geometry (random
weights) by the recipe ``int8`` for the target ``jetson``, and runs ``edgeroberta check --compare-fp32`` on
both. All matmuls are quantized, whatever that does to the answers of models that were never trained.
Writes benchmarks/results/<machine>/check.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import shutil
import tempfile
from pathlib import Path

from benchmarks import base_model
from benchmarks.base_model import BaseModel
from benchmarks.peers.environments import cache_folder
from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta import demo
from edgeroberta.check import tensorrt
from edgeroberta.check.tensorrt import LARGEST_SHARE, EngineGraphCheck, GraphCheck
from edgeroberta.progress import Progress
from edgeroberta.storage.cache import cache_dir, folder

logger = logging.getLogger(__name__)

GEOMETRIES = {
    "packaged": "packaged encoder, 6 layers x 384",
    "base": "RoBERTa-base geometry, 12 layers x 768",
}


def packaged(base: BaseModel, cache: Path) -> BaseModel:
    """Return the packaged encoder with a seeded, untrained head, and the texts of ``base``."""
    encoder = demo.prepare(cache_dir()).base
    name = f"{encoder.name}-untrained-head-{base_model.SEED}"
    return dataclasses.replace(
        base, checkpoint=folder(cache / name, lambda empty: _write_headed(encoder, empty))
    )


def _write_headed(encoder: Path, output: Path) -> None:
    import torch
    from transformers import RobertaForSequenceClassification

    torch.manual_seed(base_model.SEED)
    RobertaForSequenceClassification.from_pretrained(encoder).save_pretrained(output)
    for name in base_model.TOKENIZER_FILES:
        shutil.copy(encoder / name, output / name)


def row(geometry: str, checked: EngineGraphCheck) -> Row:
    """Make the column of one engine."""
    values = {
        "int8 matmuls": len(checked.names(attention=False, int8=True)),
        "float matmuls": len(checked.names(attention=False, int8=False)),
        "int8 attentions": len(checked.names(attention=True, int8=True)),
        "profiles": checked.profiles,
        "fused attentions, all profiles": checked.fused,
        "graph MB": checked.graph_bytes / 1e6,
        "engine MB": checked.engine_bytes / 1e6,
        "build s": checked.seconds,
    }
    if checked.fp32_bytes is not None and checked.share is not None:
        values |= {"float32 engine MB": checked.fp32_bytes / 1e6, "share of float32": checked.share}
    return Row(
        name=f"{geometry}-{checked.engine}",
        title=checked.engine,
        group=GEOMETRIES[geometry],
        values=tuple((name, round(value, 3)) for name, value in values.items()),
    )


def checks(geometry: str, checked: EngineGraphCheck) -> tuple[Check, ...]:
    """Hold an int8 engine to the promises: all matmuls int8, all attentions fused, small enough."""
    title = GEOMETRIES[geometry]
    matmuls = [each for each in checked.findings if not each.expected.attention]
    attentions = [each for each in checked.findings if each.expected.attention]
    found = []
    for name, findings in (
        ("matmuls in int8", matmuls),
        ("attentions fused in int8, in every profile", attentions),
    ):
        good = sum(each.expected.int8 and each.problem is None for each in findings)
        share = good / max(len(findings), 1)
        found.append(
            Check(title=f"check, {title}: {name}", value=100 * share, unit="%", direction="at least", bar=100)
        )
    if checked.share is not None:
        found.append(
            Check(title=f"check, {title}: int8 engine's bytes, of the float32 engine's",
                  value=round(checked.share, 3), unit="", direction="at most", bar=LARGEST_SHARE)
        )  # fmt: skip
    return tuple(found)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=64, help="calibration texts")
    parser.add_argument("--packaged", type=Path, help="bundle to use instead of the packaged encoder's")
    parser.add_argument("--base", type=Path, help="bundle to use instead of RoBERTa-base geometry's")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where the models are kept")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine, cache = this_machine(arguments.machine), arguments.cache.resolve()
    base = base_model.prepare(cache, texts=2 * arguments.samples, heldout=16)
    found: dict[str, GraphCheck] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for geometry in GEOMETRIES:
            bundle: Path | None = getattr(arguments, geometry)
            if bundle is None:
                bundle = Path(temporary) / geometry
                model = base if geometry == "base" else packaged(base, cache)
                base_model.compress(
                    model, "int8", bundle, f"quantize.samples={arguments.samples}",
                    f"quantize.check_samples={arguments.samples}", "quantize.max_float=0",
                    "verify.latency_rows=2", target="jetson",
                )  # fmt: skip
            found[geometry] = tensorrt.check(bundle.resolve(), compare_fp32=True, progress=Progress())
            logger.info("%s: %s", geometry, found[geometry].to_json())
    first = next(iter(found.values()))
    result = Result(
        benchmark="check", measured=now(), machine=machine,
        settings={"library": first.library, "built for": first.compute_capability},
        rows=tuple(row(name, each) for name, ready in found.items() for each in ready.engines),
        checks=tuple(
            check for name, ready in found.items() for each in ready.engines
            if each.engine == "tensorrt" for check in checks(name, each)
        ),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
