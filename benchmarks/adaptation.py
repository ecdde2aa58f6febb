"""Does adapting pay? The packaged encoder adapted on unlabelled reviews and fine-tuned, against not adapted.

    python -m benchmarks.adaptation [--tokens 819200] [--sizes 500 2000 7530] [--seeds 3] [--work DIR]

The encoder learns masked words of the long reviews; then it and the encoder as it is are fine-tuned on so
many Rotten Tomatoes sentences, each seed on others, and asked for the held-out ones; the fine-tuned models
are also compressed by ``int8-distill`` on the same sentences. The packaged encoder has no head for masked
words: its perplexity is that of a head fitted to it while it stays as it is, which adapting starts from.
With ``--near 1`` it also learns to keep the hidden states that it had, which is another benchmark.
What is done is kept cell by cell, so that the same command goes on after a kill.
Writes benchmarks/results/<machine>/adaptation.json.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import estimates, stage_runs
from benchmarks.adaptation_cells import ADAPTED, ARMS, AS_IT_IS, RECIPE, Adaptation, Cell
from benchmarks.results import RESULTS, Check, Result, Row, now, this_machine, write
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.report import pages
from edgeroberta.report.pretraining import curve

logger = logging.getLogger(__name__)

#: Most that the adapted encoder's perplexity may be of the unadapted one's.
BAR = 0.85
#: Heading of what was measured while it was adapted.
CURVE = "held-out reviews"


def drawing(result: Result) -> str:
    """Draw the perplexity of the encoder as it was adapted, step by step."""
    found = [dict(row.values) for row in result.rows if row.group == CURVE and row.name != "control"]
    history = [
        {"step": int(each["steps of the encoder"]), "perplexity": each["perplexity"]} for each in found
    ]
    figure = next(curve({"history": history, "best_step": history[-1]["step"]}), None)
    if figure is None:
        raise EdgeRobertaError("one evaluation is no curve", hint="python -m benchmarks.adaptation")
    return pages.picture(figure.drawings[0])


def rows(
    notes: Mapping[str, Any],
    control: Mapping[str, Any],
    tuned: Mapping[Cell, Mapping[str, Any]],
    compressed: Mapping[Cell, Mapping[str, Any]],
) -> Iterator[Row]:
    """Make the tables: perplexity before and after, then accuracy by size."""
    first, *rest = notes["history"]
    for name, title, entry in (
        *(("control", "as it is, a head fitted for longer", each) for each in control.get("history", ())[:1]),
        (AS_IT_IS, "as it is, a fitted head", first),
        *((ADAPTED, f"adapted, {each['step']:,} steps", each) for each in rest),
    ):
        values = {
            "steps of the encoder": 0.0 if name == "control" else float(entry["step"]),
            "perplexity": entry["perplexity"],
            "masked words right %": 100 * entry["accuracy"],
        }
        yield Row(name=name, title=title, group=CURVE, values=tuple(values.items()))
    for cells, how in ((tuned, "fine-tuned"), (compressed, f"`{RECIPE}`")):
        for size in sorted({cell.size for cell in cells}):
            arms = [_accuracies(cells, arm, size) for arm in ARMS]
            shared = sorted(arms[0].keys() & arms[1].keys())
            found = [estimates.estimate(f"{arm} %", [seeds[seed] for seed in shared])
                     for arm, seeds in zip(ARMS, arms, strict=True)] if shared else []  # fmt: skip
            if not shared:
                continue
            gained = estimates.difference(
                "difference, points", *([seeds[seed] for seed in shared] for seeds in reversed(arms))
            )
            said = {estimates.YES: "yes", estimates.NO: "it harms"}
            pays = estimates.order(gained, expected=1)
            yield Row(
                name=f"{how}-{size}",
                title=f"{size:,} sentences, {how}",
                group="accuracy",
                values=(("seeds", float(len(shared))),),
                estimates=(*found, gained),
                words=(("adapting pays", said.get(pays, pays)),),
            )


def _accuracies(cells: Mapping[Cell, Mapping[str, Any]], arm: str, size: int) -> dict[int, float]:
    return {
        cell.seed: 100 * found["accuracy"]
        for cell, found in cells.items()
        if (cell.arm, cell.size) == (arm, size)
    }


def measured(
    adaptation: Adaptation, cells: Sequence[Cell], workers: int, *, compress: bool
) -> dict[Cell, dict[str, Any]]:
    """Fill cells, some beside each other, each with one thread."""
    if workers == 1:
        return {cell: _one(adaptation, cell, compress) for cell in cells}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {cell: pool.submit(_one, adaptation, cell, compress) for cell in cells}
        return {cell: future.result() for cell, future in waiting.items()}


def _one(adaptation: Adaptation, cell: Cell, compress: bool) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    found = adaptation.compressed(cell) if compress else adaptation.tuned(cell)
    logger.info("%s, %s: %s", cell.name, RECIPE if compress else "fine-tuned", found)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Adapt, fill the cells, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=819_200, help="of reviews that the encoder sees")
    parser.add_argument("--head-tokens", type=int, default=819_200, help="that its fresh head sees before")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="highest one of the encoder")
    parser.add_argument("--near", type=float, default=0.0, help="weight of the hidden states it had before")
    parser.add_argument("--block", type=int, default=128, help="tokens of a block of reviews")
    parser.add_argument("--batch", type=int, default=16, help="blocks a step")
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 2000, 7530], help="sentences")
    parser.add_argument("--seeds", type=int, default=3, help="of fine-tuning; the encoder is adapted once")
    parser.add_argument("--frozen", type=int, default=3, help="lowest layers that fine-tuning leaves alone")
    parser.add_argument("--compressed-sizes", type=int, nargs="*", help="of --sizes, those to compress; all")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, help="fill only these cells")
    parser.add_argument("--workers", type=int, default=1, help="cells beside each other, each of one thread")
    parser.add_argument(
        "--finished", action="store_true", help="fill no cell; make the table of what is done"
    )
    parser.add_argument("--work", type=Path, default=Path("out/adaptation"), help="where cells are kept")
    parser.add_argument("--machine", help="name of the results folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    adaptation = Adaptation(
        options.work.resolve(),
        options.tokens,
        options.head_tokens,
        options.learning_rate,
        options.block,
        options.batch,
        options.frozen,
        options.near,
    )
    cells = [
        Cell(arm, size, seed)
        for size in options.sizes
        for seed in range(options.seeds)
        for arm in options.arms
    ]
    both = set(options.arms) == set(ARMS)
    fitted = (adaptation.control.folder / stage_runs.NUMBERS).is_file() or not options.finished
    control = stage_runs.done(adaptation.control) if both and fitted else {}
    notes = stage_runs.done(adaptation.run) if ADAPTED in options.arms else {}
    kept = [cell for cell in cells if adaptation.kept(cell, compressed=False)]
    tuned = measured(adaptation, kept if options.finished else cells, options.workers, compress=False)
    sizes = options.sizes if options.compressed_sizes is None else options.compressed_sizes
    chosen = [cell for cell in cells if cell.size in sizes]
    kept = [cell for cell in chosen if adaptation.kept(cell, compressed=True)]
    compressed = measured(adaptation, kept if options.finished else chosen, options.workers, compress=True)
    if not both:
        return 0
    found = tuple(rows(notes, control, tuned, compressed))
    path = write(result(options, notes, control, found), folder=RESULTS)
    logger.info("%s", path)
    return 0


def result(
    options: argparse.Namespace,
    notes: Mapping[str, Any],
    control: Mapping[str, Any],
    found: tuple[Row, ...],
) -> Result:
    """Put the tables together with what they were made by, and the promise about perplexity.

    The unadapted encoder's perplexity is the better one: that of the head that was fitted for longer.
    """
    before = min(each["history"][0]["perplexity"] for each in (notes, control) if each)
    return Result(
        benchmark="adaptation-near" if options.near else "adaptation",
        measured=now(),
        machine=this_machine(options.machine),
        settings={
            "adapted_once_on_tokens": notes["tokens_seen"],
            "adapted_on": notes["device"],
            "block": options.block,
            "batch": options.batch,
            "learning_rate": options.learning_rate,
            "weight_of_hidden_states": options.near,
            "head_steps": notes["head_steps"],
            "steps": notes["steps"],
            "frozen_layers_of_fine_tuning": options.frozen,
            "seeds": options.seeds,
        },
        rows=found,
        checks=(
            Check(
                title="held-out perplexity of the adapted encoder, of the unadapted one's with a fitted head",
                value=round(notes["history"][-1]["perplexity"] / before, 4),
                unit="",
                direction="at most",
                bar=BAR,
            ),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
