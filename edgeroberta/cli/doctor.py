"""``edgeroberta doctor``: what works on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import Debug

if TYPE_CHECKING:
    from edgeroberta.check.doctor import Diagnosis

NO_ENGINE = 4

_SATURATES = "x86 without VNNI: products of two can saturate; make bundles with --target cpu-avx2"


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Run one inference per engine and say what is missing, with the line that installs it."""
    from edgeroberta.check.doctor import examine

    diagnosis = examine()
    if json:
        console.out_json(diagnosis.to_json())
    else:
        console.out(_text(diagnosis))
    if not diagnosis.usable:
        raise typer.Exit(NO_ENGINE)


def _text(diagnosis: Diagnosis) -> str:
    from edgeroberta.hardware import rows, warnings

    device = diagnosis.device
    memory = f"{device.memory_bytes / 1e9:.1f} GB" if device.memory_bytes else "unknown"
    facts = [
        ("edgeroberta", diagnosis.version),
        ("python", device.python),
        ("system", device.system),
        ("cpu", f"{device.cpu}, {device.cores} cores"),
        ("int8 and bf16", ", ".join(device.flags) or "none of the known instruction sets"),
        ("memory", memory),
        *rows(diagnosis.state),
    ]
    warned = [f"warning: {warning}" for warning in warnings(diagnosis.state)]
    unknown = [f"unknown: {note}" for note in diagnosis.state.notes]
    if diagnosis.int8_saturates:
        facts.insert(5, ("int8", _SATURATES))
    width = max(len(name) for name, _ in facts)
    engines = [
        (
            check.engine,
            check.status,
            check.version or "–",
            "–" if check.milliseconds is None else f"{check.milliseconds:.0f} ms",
            check.detail,
        )
        for check in diagnosis.engines
    ]
    extras = [
        (name, "missing" if absent else "ok", f"pip install 'edgeroberta[{name}]'" if absent else "")
        for name, absent in diagnosis.extras.items()
    ]
    return "\n".join(
        [
            *(f"{name.ljust(width)}  {value}" for name, value in facts),
            *(["", *warned, *unknown] if warned or unknown else []),
            "",
            console.table(("engine", "status", "version", "open + run", ""), engines),
            "",
            console.table(("extra", "status", ""), extras),
        ]
    )
