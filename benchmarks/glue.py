"""GLUE's metrics of models and of their bundles, on the dev rows in GLUE's own layout.

    python -m benchmarks.glue glue_data/RTE=MODEL glue_data/CoLA=MODEL=BUNDLE … [--engine onnxruntime]

Each argument is the folder of a task, a fine-tuned model and, where there is one, its bundle. Of MNLI the
mismatched rows are measured, too. Writes benchmarks/results/<machine>/glue.json.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.results import Result, Row, now, this_machine, write
from edgeroberta.data import DataSpec, Rows, glue, load_heldout
from edgeroberta.data.glue_tasks import GlueTask
from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.evaluation.baseline import BaselineOptions, measure
from edgeroberta.metrics import all_metrics
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime
from edgeroberta.tasks import Outputs, Task

logger = logging.getLogger(__name__)


def rows(given: str, engine: str | None) -> Iterator[Row]:
    """Measure a model and its bundle on one task's folder; what fails is a row."""
    folder, model, bundle = (*given.split("="), "", "")[:3]
    task = glue.named(DataSpec(folder))
    if task is None or not model:
        raise UsageError("a folder of GLUE and its model are needed", where=given, hint="glue_data/RTE=MODEL")
    for file in (task.dev, *(other for other in task.others if other.startswith("dev_"))):
        title = f"{task.name}, {file.removesuffix('.tsv')}"
        try:
            heldout, ours = _heldout(Path(folder) / file, model)
            answers = measure(Checkpoint(Path(model)), heldout, ours, BaselineOptions(latency_rows=0)).outputs
            yield _row("model", title, task, ours, answers, heldout)
            if bundle:
                with Runtime.open(Path(bundle), engine=engine) as runtime:
                    found = Outputs.of_texts(runtime.logits(heldout.inputs()))
                same = float((ours.decide(answers) == ours.decide(found)).mean()) if task.labels else None
                yield _row("bundle", title, task, ours, found, heldout, same)
        except EdgeRobertaError as error:
            yield Row(name="failed", title=title, group=task.name, status="failed", error=str(error))


def _heldout(file: Path, model: str) -> tuple[Rows, Task]:
    task = Checkpoint(Path(model)).task
    heldout = load_heldout(DataSpec(str(file), eval_data=str(file)), task)
    return heldout, replace(task, pair=heldout.pairs is not None)


def _row(
    name: str,
    title: str,
    glue_task: GlueTask,
    task: Task,
    outputs: Outputs,
    heldout: Rows,
    same: float | None = None,
) -> Row:
    found = all_metrics(task, outputs, heldout.labels)
    values = tuple((metric, round(100 * found[metric], 2)) for metric in glue_task.metrics)
    logger.info("%s, %s: %s on %d rows", title, name, dict(values), len(heldout))
    return Row(name=name, title=f"{title}, {name}", group=glue_task.name, values=values, same_answers=same)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+", metavar="FOLDER=MODEL[=BUNDLE]", help="what to measure")
    parser.add_argument("--engine", help="engine of the bundles; the one that is best here if not given")
    parser.add_argument("--machine", help="name of the results folder")
    parser.add_argument("--results", type=Path, help="folder of results; the repository's if not given")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = tuple(row for each in given.tasks for row in rows(each, given.engine))
    result = Result(
        benchmark="glue",
        measured=now(),
        machine=this_machine(given.machine),
        settings={"tasks": list(given.tasks), "engine": given.engine or "best"},
        rows=found,
    )
    logger.info("%s", write(result, **({"folder": given.results} if given.results else {})))


if __name__ == "__main__":
    main()
