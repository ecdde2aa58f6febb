"""``edgeroberta build``: build a bundle's engines on this device and keep the faster one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, Label, LabelFormat, Text, TextPair, data_spec
from edgeroberta.errors import EdgeRobertaError, GateError

if TYPE_CHECKING:
    from edgeroberta.check.ondevice.engines import Candidate, Outcome


def build(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    target: Annotated[
        str | None, typer.Option("-t", "--target", help="Device class, for its cap on memory.")
    ] = None,
    engines: Annotated[
        str | None, typer.Option(help="Engines to build, with commas; all that are built on a device.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Rows to hold the engines to the bundle's gate on; no gate if not given."),
    ] = None,
    eval_data: Annotated[
        str | None,
        typer.Option(help="Rows for the gate; else those once held out of --data, or all of another file."),
    ] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of 'edgeroberta reference'; the bundle's own if not given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine is timed in.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Build int8 and fp16 engines on this device, check and time both, and keep the faster that passes."""
    from edgeroberta.check.ondevice.build import Request
    from edgeroberta.check.ondevice.build import build as build_engines
    from edgeroberta.check.ondevice.timing import Plan

    columns = {
        "eval_data": eval_data,
        "text": text,
        "text_pair": text_pair,
        "label": label,
        "label_format": label_format,
    }
    request = Request(
        bundle=bundle,
        engines=tuple(engines.split(",")) if engines else None,
        target=target,
        data=data_spec(data, columns),
        reference=reference,
        plan=Plan(rounds=rounds),
    )
    outcome = build_engines(request, progress=console.progress())
    if json:
        console.out_json(outcome.to_json())
    else:
        console.out(_text(outcome))
    if outcome.kept is None:
        failed = any(each.gate == "FAIL" for each in outcome.candidates)
        raise (GateError if failed else EdgeRobertaError)(outcome.why, where=str(bundle))


def _text(outcome: Outcome) -> str:
    header = ("engine", "build", "MB", "int8 matmuls", "engine p50", "call p50", "goldens", "gate")
    lines = [console.table(header, [_row(each) for each in outcome.candidates]), ""]
    for each in outcome.candidates:
        if note := each.error or each.warning:
            lines.append(f"{each.engine}: {note}")
    if outcome.kept is not None:
        lines.append(f"kept: {outcome.kept}; {outcome.why}")
        if outcome.left_out:
            lines.append(f"not remembered: {', '.join(outcome.left_out)} was not compared")
        elif not outcome.remembered:
            lines.append("the choice could not be remembered; name it with --engine")
    return "\n".join(lines)


def _row(each: Candidate) -> tuple[str, ...]:
    facts = each.facts
    built = f"{facts['build_seconds']:.1f} s{' (kept)' if facts['reused'] else ''}" if facts else "–"
    goldens = f"ok, {each.deviation:.2g}" if each.deviation is not None else "wrong" if facts else "–"
    return (
        each.engine,
        built,
        f"{facts['engine_bytes'] / 1e6:.1f}" if facts else "–",
        f"{each.int8} of {each.planned or each.matmuls}" if each.matmuls else "–",
        f"{each.engine_only.p50_ms:.2f} ms" if each.engine_only else "–",
        f"{each.call.p50_ms:.2f} ms" if each.call else "–",
        goldens,
        each.gate or "–",
    )
