"""``edgeroberta verify``: measure a bundle again and hold it to its gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import (
    Bundle,
    Debug,
    GateMetric,
    KeepExamples,
    Label,
    LabelFormat,
    Perturb,
    Quiet,
    Swaps,
    Text,
    TextPair,
    Verbose,
    names,
)


def verify(
    bundle: Bundle,
    data: Annotated[
        str | None, typer.Option(help="Rows to measure on; those the bundle was made with if not given.")
    ] = None,
    eval_data: Annotated[
        str | None,
        typer.Option(help="Rows to measure on; else those once held out of --data, or all of another file."),
    ] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    metric: GateMetric = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SLICES",
            help="Measure parts of the rows: column=NAME, length, length=40,120, label or words=FILE; once"
            " for each. Those the bundle was judged by if not given.",
        ),
    ] = None,
    max_slice_drop: Annotated[
        float | None,
        typer.Option(help="Largest loss of the metric on any slice, such as 0.03; else as the gate says."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of 'edgeroberta reference'; the bundle's own if not given.")
    ] = None,
    engines: Annotated[
        str | None, typer.Option(help="Engines to measure, with commas; all of the bundle's if not given.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads for one call.")] = 1,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for report.json, report.md and report.html.")
    ] = None,
    keep_examples: KeepExamples = False,
    swaps: Swaps = None,
    max_swap_increase: Annotated[
        float | None,
        typer.Option(
            help="How many more answers than the baseline's swapped terms may change, a share such as 0.02;"
            " else as the gate says."
        ),
    ] = None,
    perturb: Perturb = None,
    max_perturbed_drop: Annotated[
        float | None,
        typer.Option(help="Largest loss of the metric on perturbed texts, such as 0.03; else likewise."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure a bundle against the answers of the baseline.

    Exit code 3 when its gate is not passed.
    """
    result = api.evaluate(
        bundle,
        data,
        text=text,
        text_pair=text_pair,
        label=label,
        label_format=label_format,
        metric=metric,
        slices=slices,
        max_slice_drop=max_slice_drop,
        max_swap_increase=max_swap_increase,
        max_perturbed_drop=max_perturbed_drop,
        eval_data=eval_data,
        reference=reference,
        engines=names(engines),
        threads=threads,
        output=output,
        keep_examples=keep_examples,
        swaps=names(swaps),
        perturb=names(perturb),
        progress=console.progress(),
    )
    console.show(result, json=json)
    if output is not None:
        console.say(f"written to {output / 'report.html'}")
    console.finish(result)
