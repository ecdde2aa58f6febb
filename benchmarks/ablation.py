"""What made RoBERTa, at a small scale: masks, next sentences, batches and lengths, each against its opposite.

    python -m benchmarks.ablation [--preset small] [--seeds 3] [--workers 2] [--work DIR]
    python -m benchmarks.ablation --preset large --workers 8        on a GPU, 4 layers x 256

Each row is a RoBERTa that learns masked words of film reviews from random weights, with a byte-level BPE of
theirs; all rows see as many tokens, in steps of as many tokens unless the batch is what differs. All are
judged by the same masks of the same blocks of full sentences, of reviews that none has seen, and by the
accuracy after fine-tuning on some labelled reviews. A run's numbers are kept as it ends, so that the same
command goes on after a kill. Writes benchmarks/results/<machine>/ablation.json.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks import ablation_runs, estimates, stage_runs
from benchmarks.ablation_runs import Ablation, Case, Preset
from benchmarks.results import RESULTS, Result, Row, now, this_machine, write

logger = logging.getLogger(__name__)

PRESETS = {
    # A model this small learns in many small steps or not at all: after 600,000 tokens in batches of 64 or
    # 256 blocks of 128 tokens it had learned no more than how frequent tokens are.
    "small": Preset(
        layers=2,
        hidden_size=64,
        attention_heads=2,
        vocabulary=2000,
        tokens=3_200_000,
        documents=8000,
        batch=16,
        learning_rate=3e-3,
        batches=((256, (5e-3,)), (2048, (5e-3, 1e-2))),
        batch_length=32,
        labelled=3000,
        epochs=4,
    ),
    # What one GPU does in five minutes, all runs together.
    "large": Preset(
        layers=4,
        hidden_size=256,
        attention_heads=4,
        vocabulary=8000,
        tokens=6_000_000,
        documents=None,
        batch=64,
        learning_rate=1e-3,
        batches=((256, (1e-3,)), (2048, (1e-3, 2e-3))),
        batch_length=32,
        labelled=4000,
        tested=6000,
        epochs=2,
        tuning_rate=2e-4,
    ),
}

FULL = "baseline"
CASES = (
    Case(FULL, "dynamic masks, full sentences of 128 tokens"),
    Case("few-dynamic", "dynamic masks, 40 passes over little text", few=True),
    Case(
        "few-static",
        "static masks (ten sets), the same text and passes",
        partner="few-dynamic",
        expected=1,
        paper="dynamic is comparable or slightly better",
        masking="static",
        few=True,
    ),
    Case(
        "segment-pairs",
        "segment pairs and next-sentence prediction",
        partner=FULL,
        expected=1,
        paper="full sentences without it match or are better",
        packing="segment-pairs",
    ),
    Case(
        "sentence-pairs",
        "sentence pairs and next-sentence prediction",
        partner="segment-pairs",
        expected=1,
        paper="single sentences hurt",
        packing="sentence-pairs",
    ),
    Case(
        "doc-sentences",
        "sentences of one document",
        partner=FULL,
        expected=-1,
        paper="slightly better than across documents",
        packing="doc-sentences",
    ),
    Case("batch-256", "batch 256 of shorter blocks", batch=256),
    Case(
        "batch-2048",
        "batch 2,048 of these, an eighth of the steps",
        partner="batch-256",
        expected=-1,
        paper="better, with the rate tuned",
        batch=2048,
    ),
    Case(
        "batch-2048-rate",
        "batch 2,048 of these, at a higher rate",
        partner="batch-256",
        expected=-1,
        paper="better, with the rate tuned",
        batch=2048,
        rate=1,
    ),
    Case(
        "long",
        "full sentences of 512 tokens, as many tokens a step",
        partner=FULL,
        expected=-1,
        paper="full-length sequences throughout",
        long=True,
    ),
)
PERPLEXITY, LONG, ACCURACY = "perplexity", "perplexity at 512", "accuracy %"
_NUMBERS = {PERPLEXITY: ("perplexity", 1), LONG: ("long_perplexity", 1), ACCURACY: ("accuracy", 100)}
Numbers = Mapping[str, Sequence[Mapping[str, Any]]]


def rows(found: Numbers) -> list[Row]:
    """Make the table of what runs gave, by case and seed.

    Of what is compared with a partner, the differences are seed by seed. The paper's order is looked for in
    the perplexity that the claim is about: at 512 tokens for long blocks, else at 128.
    """
    made = []
    for case in CASES:
        if not found.get(case.name):
            continue
        own = {name: _seeds(found[case.name], name) for name in _NUMBERS}
        numbers = [estimates.estimate(name, seeds) for name, seeds in own.items()]
        words: list[tuple[str, str]] = []
        if found.get(case.partner):
            other = {name: _seeds(found[case.partner], name) for name in _NUMBERS}
            key = LONG if case.long else PERPLEXITY
            for name in (key, ACCURACY):
                title = f"{name.split(' ')[0]}, difference"
                numbers.append(estimates.difference(title, own[name], other[name]))
            words = [
                ("against", _title(case.partner)),
                ("the paper", case.paper),
                ("its order in perplexity", estimates.order(numbers[-2], expected=case.expected)),
                ("in accuracy", estimates.order(numbers[-1], expected=-case.expected)),
            ]
        values = [("steps", float(found[case.name][0]["steps"])), ("seeds", float(len(found[case.name])))]
        made.append(
            Row(
                name=case.name,
                title=case.title,
                values=tuple(values),
                estimates=tuple(numbers),
                words=tuple(words),
            )
        )
    return made


def _seeds(found: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    key, times = _NUMBERS[name]
    return [each[key] * times for each in found]


def _title(name: str) -> str:
    return next(case.title for case in CASES if case.name == name).split(",")[0]


def measured(
    ablation: Ablation, cases: Sequence[Case], seeds: int, workers: int
) -> dict[str, list[dict[str, Any]]]:
    """Run all cases with all seeds, the baseline's first, some beside each other, each with one thread."""
    stage_runs.done(ablation.vocabulary)
    jobs = [(case, seed) for seed in range(seeds) for case in cases]
    if workers == 1:
        done = {(case.name, seed): _one(ablation, case, seed, threads=None) for case, seed in jobs}
    else:
        done = {}
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            waiting = {pool.submit(_one, ablation, case, seed, 1): (case.name, seed) for case, seed in jobs}
            for future in as_completed(waiting):
                done[waiting[future]] = future.result()
                logger.info("%s: %s", waiting[future], done[waiting[future]])
    return {case.name: [done[case.name, seed] for seed in range(seeds)] for case in cases}


def finished(ablation: Ablation, cases: Sequence[Case], seeds: int) -> dict[str, list[dict[str, Any]]]:
    """Recall the runs that are done, of each case those of the first seeds."""
    found = {}
    for case in cases:
        missing = (seed for seed in range(seeds) if not ablation.kept(case, seed))
        if done := range(next(missing, seeds)):
            found[case.name] = [ablation.run(case, seed) for seed in done]
    return found


def _one(ablation: Ablation, case: Case, seed: int, threads: int | None) -> dict[str, Any]:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    return ablation.run(case, seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ablation and write its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="small", choices=PRESETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="runs beside each other, each of one thread")
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", default=names, choices=names)
    parser.add_argument("--finished", action="store_true", help="run nothing; make the table of what is done")
    parser.add_argument("--work", type=Path, default=Path("out/ablation"), help="where runs are kept")
    parser.add_argument("--machine", help="name of the results folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    preset = PRESETS[options.preset]
    machine = this_machine(options.machine)
    ablation = Ablation(preset, (options.work / options.preset).resolve())
    cases = [case for case in CASES if case.name in options.cases]
    found = (
        finished(ablation, cases, options.seeds)
        if options.finished
        else measured(ablation, cases, options.seeds, options.workers)
    )
    shape = f"{preset.layers} layers x {preset.hidden_size}"
    result = Result(
        benchmark="ablation" if options.preset == "small" else f"ablation-{options.preset}",
        measured=now(),
        machine=machine,
        settings={
            "model": shape,
            "vocabulary": preset.vocabulary,
            "tokens": preset.tokens,
            "reviews": len(ablation_runs.parts(preset).corpus.documents),
            "batch": preset.batch,
            "learning_rate": preset.learning_rate,
            "shorter_blocks": preset.batch_length,
            "their_rates": [f"{size}: {rate:g}" for size, rates in preset.batches for rate in rates],
            "dropout": preset.dropout,
            "fine_tuned_on": preset.labelled,
            "tested_on": preset.tested,
        },
        rows=tuple(rows(found)),
    )
    logger.info("%s", write(result, folder=RESULTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
