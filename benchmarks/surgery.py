"""Seconds and peak memory of surgery on RoBERTa-base's geometry, and whether the result answers right.

    python -m benchmarks.surgery

Heads, FFN neurons, layers and tokens are cut out of a model with random weights, in a process of its own;
another process compares the written folder with the whole model in which the same parts are multiplied by 0.
Writes benchmarks/results/<machine>/surgery.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import base_model
from benchmarks.peers.environments import cache_folder
from benchmarks.results import Check, Result, Row, now, this_machine, write
from benchmarks.watch import Watched, run
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.files import TOKENIZER

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.roberta.shape import EncoderShape
    from edgeroberta.roberta.surgery import KeptUnits

logger = logging.getLogger(__name__)

SEED = 0
#: Layers that go as a whole; the others keep a third to all of their heads and neurons, each its own share.
DROPPED_LAYERS = (3, 9)
LEAST_SHARE = 1 / 3
#: Batch and lengths of the comparison: the rows are padded to the longest.
LENGTHS = (128, 64, 17, 3)
#: Folders that a cut leaves: after heads, neurons and layers, and after the vocabulary, too.
LAYERS_CUT, ALL_CUT = "layers", "vocabulary"
#: Which tokens were kept, as numpy writes it.
TOKENS = "tokens.npy"


def kept(shape: EncoderShape) -> KeptUnits:
    """Choose what stays of a model, seeded."""
    import numpy as np

    from edgeroberta.roberta.surgery import KeptUnits

    random = np.random.default_rng(SEED)

    def some(count: int) -> tuple[int, ...]:
        left = random.integers(round(count * LEAST_SHARE), count + 1)
        return tuple(sorted(random.choice(count, left, replace=False).tolist()))

    layers = tuple(index for index in range(len(shape.layers)) if index not in DROPPED_LAYERS)
    return KeptUnits(
        layers,
        tuple(some(shape.layers[index].heads) for index in layers),
        tuple(some(shape.layers[index].intermediate) for index in layers),
    )


def cut(checkpoint: Path, output: Path) -> dict[str, float]:
    """Cut a checkpoint down and write it; return the seconds of each step, and what is left."""
    from edgeroberta.roberta import loading, surgery

    first, second, marks = output / LAYERS_CUT, output / ALL_CUT, [time.perf_counter()]
    first.mkdir()
    second.mkdir()
    model = loading.load_classifier(checkpoint, Checkpoint(checkpoint).task)
    marks.append(time.perf_counter())
    student = surgery.prune(model, kept(surgery.shape_of(model)))
    marks.append(time.perf_counter())
    loading.save_classifier(student, first, tokenizer=checkpoint)
    marks.append(time.perf_counter())
    tokens = cut_vocabulary(first, second)
    marks.append(time.perf_counter())
    seconds = {
        f"{name} s": round(marks[place + 1] - marks[place], 3)
        for place, name in enumerate(("load", "heads, neurons, layers", "write", "vocabulary"))
    }
    return {
        **seconds,
        "million parameters before": round(Checkpoint(checkpoint).parameters / 1e6, 2),
        "million parameters after": round(Checkpoint(second).parameters / 1e6, 2),
        "tokens after": tokens,
    }


def cut_vocabulary(source: Path, output: Path) -> int:
    """Keep the most general tokens, by default settings and without texts; return how many."""
    import numpy as np

    from edgeroberta.roberta import token_selection, vocabulary_cut
    from edgeroberta.roberta.tokenizerfile import TokenizerFile

    model = Checkpoint(source)
    file, rows = TokenizerFile.read(source / TOKENIZER), vocabulary_cut.rows(model)
    left = token_selection.choose(
        file,
        np.zeros(rows, np.int64),
        limits=token_selection.VocabularyLimits(),
        prior=-token_selection.ranks(file, rows),
        fixed=vocabulary_cut.fixed_ids(model),
    )
    vocabulary_cut.write_tokenizer(file, output, left)
    vocabulary_cut.write_model(model, output, left, max_length=None)
    np.save(output.parent / TOKENS, left)
    return len(left)


def compare(checkpoint: Path, output: Path) -> dict[str, float]:
    """Return the largest difference of a logit between the written folder and the masked whole model."""
    import numpy as np
    import torch

    from edgeroberta.roberta import loading, surgery

    task, tokens = Checkpoint(checkpoint).task, torch.from_numpy(np.load(output / TOKENS))
    random = torch.Generator().manual_seed(SEED)
    new = torch.randint(5, len(tokens), (len(LENGTHS), max(LENGTHS)), generator=random)
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    new[mask == 0] = 1
    ids = tokens[new]
    whole = loading.load_classifier(checkpoint, task)
    with torch.inference_mode():
        plain = whole(ids, mask).logits
        _mask(whole, kept(surgery.shape_of(whole)))
        wanted = whole(ids, mask).logits
        del whole
        found = [
            loading.load_classifier(output / name, task)(each, mask).logits
            for name, each in ((LAYERS_CUT, ids), (ALL_CUT, new))
        ]
    return {
        "max difference of a logit": max(float((each - wanted).abs().max()) for each in found),
        "max difference that the cut makes": float((plain - wanted).abs().max()),
    }


def _mask(model: PreTrainedModel, chosen: KeptUnits) -> None:
    """Multiply what is to be left out by 0, in the matmuls that read it; leave out layers that go."""
    import torch

    layers = model.base_model.encoder.layer
    for index, heads, neurons in zip(chosen.layers, chosen.heads, chosen.neurons, strict=True):
        attention = layers[index].attention
        size = attention.self.attention_head_size
        left = torch.zeros(attention.self.num_attention_heads)
        left[list(heads)] = 1.0
        attention.output.dense.weight.mul_(left.repeat_interleave(size))
        left = torch.zeros(layers[index].intermediate.dense.out_features)
        left[list(neurons)] = 1.0
        layers[index].output.dense.weight.mul_(left)
    model.base_model.encoder.layer = torch.nn.ModuleList(layers[index] for index in chosen.layers)


#: What a process of its own does, by the word that it is started with.
PARTS = {"cut": cut, "compare": compare}


def in_a_process(part: str, checkpoint: Path, output: Path) -> tuple[Watched, dict[str, float]]:
    """Run a part in a fresh process.

    Raises:
        EdgeRobertaError: It failed.
    """
    watched = run([sys.executable, "-m", "benchmarks.surgery", "--part", part, str(checkpoint), str(output)])
    if watched.code:
        raise EdgeRobertaError(
            f"{part} ended with {watched.code}: {watched.tail}", where="benchmarks/surgery"
        )
    values: dict[str, float] = json.loads(watched.tail.splitlines()[-1])
    return watched, values


def measure(checkpoint: Path) -> tuple[tuple[Row, ...], tuple[Check, ...]]:
    """Cut, compare, and hold the figures to what was promised."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        watched, values = in_a_process("cut", checkpoint, output)
        difference = in_a_process("compare", checkpoint, output)[1]
    everything = {"process s": watched.seconds, "peak MB": watched.peak_mb, **values, **difference}
    title = "heads, FFN neurons, layers and tokens cut out of RoBERTa-base's geometry"
    row = Row(name="all-kinds", title=title, values=tuple(everything.items()))
    checks = (
        Check(title=f"{title}: time", value=watched.seconds, unit="s", direction="at most", bar=60),
        Check(title=f"{title}: memory", value=watched.peak_mb, unit="MB", direction="at most", bar=4000),
        Check(title=f"{title}: difference of a logit from the masked model", unit="", direction="at most",
              value=difference["max difference of a logit"], bar=1e-4),
    )  # fmt: skip
    return (row,), checks


def main() -> None:
    """Run the benchmark, or one part of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where the model is kept")
    parser.add_argument("--machine", help="name of the results folder")
    parser.add_argument("--part", nargs=3, metavar=("PART", "CHECKPOINT", "OUTPUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    if arguments.part:
        part, *folders = arguments.part
        print(json.dumps(PARTS[part](*(Path(folder) for folder in folders))))
        return
    machine = this_machine(arguments.machine)
    base = base_model.prepare(arguments.cache.resolve(), texts=128, heldout=16)
    rows, checks = measure(base.checkpoint)
    settings: dict[str, Any] = {"geometry": "12 layers x 768, 50265 tokens, random weights", "seed": SEED}
    result = Result(
        benchmark="surgery", measured=now(), machine=machine, settings=settings, rows=rows, checks=checks
    )
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
