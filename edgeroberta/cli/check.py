"""``edgeroberta check``: build a bundle's TensorRT engines without the device, and look inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console

if TYPE_CHECKING:
    from edgeroberta.readiness.checking import Readiness

#: What a passed check proves, and what not.
PROVES = (
    "It proves that the graph parses, types and fuses as meant; not the speed, and not this device's own GPU."
)


def check(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    target: Annotated[str, typer.Option("-t", "--target", help="What it is to be ready for.")] = "jetson",
    compare_fp32: Annotated[
        bool, typer.Option("--compare-fp32", help="Build the float32 engine, too, and compare sizes.")
    ] = False,
    allow_float: Annotated[
        bool, typer.Option("--allow-float", help="Accept what the quantizer left float on purpose.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Build TensorRT engines on this CPU; exit 1 when a matmul is not int8 or an attention not fused."""
    from edgeroberta import targets
    from edgeroberta.errors import EngineError, UsageError
    from edgeroberta.readiness import checking
    from edgeroberta.runtime.session import ENGINES

    chosen = targets.load(target)
    if not any(name in ENGINES and ENGINES[name].module == "tensorrt" for name in chosen.engines):
        raise UsageError(
            f"{target!r} runs no TensorRT, there is nothing to check ahead of time",
            where="--target",
            hint=f"measure it: edgeroberta bench {bundle}",
        )
    found = checking.check(
        bundle,
        compare_fp32=compare_fp32,
        progress=console.progress(),
        allow_float=allow_float,
        compute_capability=chosen.check_sm or checking.COMPUTE_CAPABILITY,
    )
    if json:
        console.out_json(found.to_json())
    else:
        _show(found, chosen.check_note)
    if not found.ready:
        raise EngineError(f"not ready: {'; '.join(found.problems)}", where=str(bundle), hint=_hint(found))


def _hint(found: Readiness) -> str | None:
    if found.allow_float or not any(each.left_float for each in found.engines):
        return None
    return (
        "--allow-float accepts what the quantizer left float; "
        "edgeroberta compress … --set quantize.max_float=0 leaves nothing so, whatever that costs in answers"
    )


def _show(found: Readiness, note: str | None) -> None:
    from edgeroberta.readiness.checking import LARGEST_SHARE

    header = ("engine", "int8 matmuls", "float", "int8 attentions", "float", "fused", "MB", "of fp32", "s")
    rows = []
    for each in found.engines:
        counts = [
            str(len(each.names(attention=attention, int8=int8)))
            for attention in (False, True)
            for int8 in (True, False)
        ]
        share = "-" if each.share is None else f"{each.share:.3f}"
        fused = f"{each.fused} in {each.profiles} profiles"
        size = f"{each.engine_bytes / 1e6:.1f}"
        rows.append((each.engine, *counts, fused, size, share, f"{each.seconds:.1f}"))
    console.out(console.table(header, rows))
    for each in found.engines:
        if each.oversized:
            console.out(
                f"{each.graph}: more than {LARGEST_SHARE} of the float32 engine's bytes; each of the "
                f"{each.profiles} profiles brings kernels of its own"
            )
        for name in each.left_float:
            console.out(f"{each.graph}: {name} is float, left so by the quantizer")
    built = f"built with {found.library} for {found.compute_capability}"
    console.out(f"{built}{f', {note}' if note else ''}. {PROVES}")
