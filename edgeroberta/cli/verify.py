"""``edgeroberta verify``: measure a bundle again and hold it to its gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, KeepExamples, Label, LabelFormat, Text, TextPair, data_spec
from edgeroberta.errors import GateError


def verify(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
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
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Measure a bundle against the full-size model's answers; exit 3 when its gate is not passed."""
    from edgeroberta.evaluate.recheck import Request, recheck
    from edgeroberta.evaluate.report import Verdict
    from edgeroberta.report.verification import FILES, markdown, sections, write
    from edgeroberta.storage.artifact import check_place

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
        reference=reference,
        engines=tuple(engines.split(",")) if engines else None,
        threads=threads,
        keep_examples=keep_examples,
    )
    if output is not None:
        check_place(output, FILES)
    report = recheck(request, progress=console.progress())
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write(report, output)
    if json:
        console.out_json(report.to_json())
    else:
        console.out(markdown(sections(report)[:2]))
    if report.verdict is Verdict.FAIL:
        raise typer.Exit(GateError.exit_code)
