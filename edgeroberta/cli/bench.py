"""``edgeroberta bench``: one table of the full-size model and the bundle on each engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import AllowPickle, Debug, Label, LabelFormat, Text, TextPair, data_spec

if TYPE_CHECKING:
    from edgeroberta.bench.benchmark import Request


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
    typer.Option(help="Types, with commas, in which the full-size model is timed where there is a GPU."),
]
Engines = Annotated[
    str | None, typer.Option(help="Engines to measure, with commas; all of the bundle's if not given.")
]
Reference = Annotated[
    Path | None, typer.Option(help="Folder of 'edgeroberta reference'; the bundle's own if not given.")
]
Model = Annotated[
    str | None,
    typer.Option("-m", "--model", help="The full-size model, where it is not where it was."),
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
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    data: Data = None,
    eval_data: EvalData = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
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
    allow_pickle: AllowPickle = False,
    host: Host = None,
    wheelhouse: Wheelhouse = None,
    no_keep: NoKeep = False,
    json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Measure size, accuracy, speed and memory; the table is kept in the bundle's reports/ as well."""
    from edgeroberta.bench.benchmark import Request
    from edgeroberta.errors import UsageError

    columns = {
        "eval_data": eval_data,
        "text": text,
        "text_pair": text_pair,
        "label": label,
        "label_format": label_format,
    }
    request = Request(
        bundle=bundle,
        data=data_spec(data, columns),
        target=target,
        reference=reference,
        model=model,
        allow_pickle=allow_pickle,
        engines=tuple(engines.split(",")) if engines else None,
        rows=rows,
        batch=batch,
        length=length,
        threads=threads,
        rounds=rounds,
        dtypes=tuple(dtype.split(",")),
    )
    if host:
        _on_hosts(request, host, wheelhouse=wheelhouse, keep=not no_keep, json=json)
        return
    if wheelhouse is not None or no_keep:
        option = "--no-keep" if no_keep else "--wheelhouse"
        raise UsageError(f"{option} is for another machine", where=option, hint="add --host user@host")
    _here(request, json=json)


def _here(request: Request, *, json: bool) -> None:
    from edgeroberta.bench import table
    from edgeroberta.bench.benchmark import benchmark, remember, write
    from edgeroberta.bench.comparison import require_measured
    from edgeroberta.bench.row import BUNDLE
    from edgeroberta.errors import EdgeRobertaError
    from edgeroberta.measure.validity import Verdict, require_valid

    comparison = benchmark(request, progress=console.progress())
    if json:
        console.out_json(comparison.to_json())
    else:
        console.out(table.text(comparison).rstrip())
    try:
        console.say(f"written to {write(comparison, request.bundle)}")
    except EdgeRobertaError as error:  # a read-only bundle: the table has been printed all the same
        console.say(f"warning: {error}")
    if (engine := remember(comparison, request)) is not None:
        console.say(f"{engine} is the fastest that passed: this device runs the bundle on it from now on")
    elif (
        comparison.validity.verdict is Verdict.NOISY
        and sum(row.name == BUNDLE for row in comparison.rows) > 1
    ):
        console.say("the run was noisy, so the engine that this device runs the bundle on stays as it was")
    require_valid(comparison.validity)
    require_measured(comparison)


def _on_hosts(request: Request, hosts: list[str], *, wheelhouse: Path | None, keep: bool, json: bool) -> None:
    from edgeroberta.bench import hosts_table
    from edgeroberta.bench.remote import run_remote, to_json
    from edgeroberta.errors import EdgeRobertaError
    from edgeroberta.measure.validity import require_valid

    results = run_remote(request, hosts, progress=console.progress(), wheelhouse=wheelhouse, keep=keep)
    failed = [each.error for each in results if each.error is not None]
    if json:
        console.out_json(to_json(results))
    elif len(failed) < len(results):
        console.out(hosts_table.text(results).rstrip())
    if len(failed) < len(results):
        try:
            console.say(f"written to {hosts_table.write(results, request.bundle)}")
        except EdgeRobertaError as error:  # a read-only bundle: the table has been printed all the same
            console.say(f"warning: {error}")
    for earlier in failed[:-1]:
        console.say_error(earlier)
    if failed:
        raise failed[-1]
    for each in results:
        if each.comparison is not None:
            require_valid(each.comparison.validity, where=each.host)
