"""``edgeroberta bench``: one table of the baseline and the bundle on each engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import (
    AllowPickle,
    Bundle,
    Debug,
    GateMetric,
    Html,
    Label,
    LabelFormat,
    Quiet,
    Text,
    TextPair,
    Verbose,
    names,
)

Data = Annotated[
    str | None, typer.Option(help="Rows to measure on; those the bundle was made with if not given.")
]
EvalData = Annotated[
    str | None,
    typer.Option(help="Rows to measure on; else those once held out of --data, or all of another file."),
]
Target = Annotated[
    str | None, typer.Option("-t", "--target", help="Measure on this target; this machine if not given.")
]
Length = Annotated[
    int | None, typer.Option(min=2, help="Time random ids of this many tokens, not the data's texts.")
]
Dtype = Annotated[
    str,
    typer.Option(help="Types, with commas, in which the baseline is timed where there is a GPU."),
]
Engines = Annotated[
    str | None,
    typer.Option(
        help="Engines to measure, with commas; all of the bundle's if not given. Of a cascade, + joins one"
        " for each tier."
    ),
]
Reference = Annotated[
    Path | None, typer.Option(help="Folder of 'edgeroberta reference'; the bundle's own if not given.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        help="The baseline, where it is not where it was; or a graph of it that another program exported.",
    ),
]
Beside = Annotated[
    list[Path] | None,
    typer.Option(
        help="A row for a graph that Optimum or another program exported: a folder with it, or the graph;"
        " repeatable."
    ),
]
Host = Annotated[
    list[str] | None,
    typer.Option(help="Measure on user@host over ssh, or a host of the configuration; repeatable."),
]
Wheelhouse = Annotated[
    Path | None, typer.Option(help="With --host: folder of wheels, for devices without a package index.")
]
NoKeep = Annotated[
    bool, typer.Option("--no-keep", help="With --host: leave nothing on the device for the next time.")
]


def bench(
    bundle: Bundle,
    data: Data = None,
    eval_data: EvalData = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    metric: GateMetric = None,
    rows: Annotated[int, typer.Option(min=1, help="Check answers on at most this many rows.")] = 1000,
    target: Target = None,
    batch: Annotated[int, typer.Option(min=1, help="Texts per call.")] = 1,
    length: Length = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads for one call.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each row gets.")] = 5,
    dtype: Dtype = "float32,float16,bfloat16",
    engines: Engines = None,
    reference: Reference = None,
    model: Model = None,
    beside: Beside = None,
    allow_pickle: AllowPickle = False,
    host: Host = None,
    wheelhouse: Wheelhouse = None,
    no_keep: NoKeep = False,
    html: Html = None,
    json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure size, accuracy, speed and memory.

    The table is kept in the bundle's reports/ as well.
    """
    result = api.bench(
        bundle,
        data,
        text=text,
        text_pair=text_pair,
        label=label,
        label_format=label_format,
        metric=metric,
        eval_data=eval_data,
        target=target,
        host=host,
        engines=names(engines),
        reference=reference,
        model=model,
        beside=beside or (),
        allow_pickle=allow_pickle,
        rows=rows,
        batch=batch,
        length=length,
        threads=threads,
        rounds=rounds,
        dtypes=dtype.split(","),
        wheelhouse=wheelhouse,
        keep=not no_keep,
        html=html,
        progress=console.progress(),
    )
    console.show(result, json=json)
    for note in result.notes:
        console.say(note)
    console.finish(result)
