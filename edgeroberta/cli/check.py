"""``edgeroberta check``: open a bundle on a target's engines, without the device, and look inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import Debug

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeroberta.check import cpu
    from edgeroberta.check.graph import Readiness
    from edgeroberta.targets import Target

#: What a passed check proves, and what not.
PROVES = (
    "It proves that the graph parses, types and fuses as meant; not the speed, and not this device's own GPU."
)

LEFT_FLOAT = (
    "--allow-float accepts what the quantizer left float; "
    "edgeroberta compress … --set quantize.max_float=0 leaves nothing so, whatever that costs in answers"
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
    debug: Debug = False,
) -> None:
    """Count what engines make int8 and fuse; exit 1 when a matmul, attention or GELU falls short.

    TensorRT's engines are built on this CPU; ONNX Runtime and OpenVINO are opened as they run.
    """
    from edgeroberta import targets
    from edgeroberta.errors import UsageError
    from edgeroberta.runtime.session import ENGINES

    chosen = targets.load(target)
    if any(name in ENGINES and ENGINES[name].module == "tensorrt" for name in chosen.engines):
        _check_tensorrt(bundle, chosen, compare_fp32=compare_fp32, allow_float=allow_float, json=json)
        return
    if compare_fp32:
        raise UsageError(
            f"compares engines of TensorRT, and {target!r} runs none",
            where="--compare-fp32",
            hint="choose another target with -t, or leave it out",
        )
    _check_cpu(bundle, chosen, allow_float=allow_float, json=json)


def _check_tensorrt(
    bundle: Path, chosen: Target, *, compare_fp32: bool, allow_float: bool, json: bool
) -> None:
    from edgeroberta.check import graph
    from edgeroberta.errors import EngineError

    found = graph.check(
        bundle,
        compare_fp32=compare_fp32,
        progress=console.progress(),
        allow_float=allow_float,
        compute_capability=chosen.check_sm or graph.COMPUTE_CAPABILITY,
    )
    if json:
        console.out_json(found.to_json())
    else:
        _show(found, chosen.check_note)
    if not found.ready:
        raise EngineError(f"not ready: {'; '.join(found.problems)}", where=str(bundle), hint=_hint(found))


def _check_cpu(bundle: Path, chosen: Target, *, allow_float: bool, json: bool) -> None:
    from edgeroberta.check import cpu, kernels
    from edgeroberta.errors import EngineError, UsageError
    from edgeroberta.runtime import manifest

    offered = manifest.read(bundle).engines
    engines = [name for name in chosen.engines if name in offered and name in kernels.READERS]
    if not engines:
        raise UsageError(
            f"the bundle was built for {', '.join(offered)}, of which {chosen.name!r} runs none on a CPU",
            where="--target",
            hint=f"edgeroberta check {bundle} --target TARGET, of: edgeroberta targets",
        )
    found = cpu.check(bundle, engines)
    if json:
        console.out_json({"target": chosen.name, "engines": [each.to_json() for each in found]})
    else:
        _show_cpu(found)
    cpu.require(found, where=bundle, strict=True)
    left = found[0].left_float
    if left and not allow_float:
        raise EngineError(
            f"left float by the quantizer: {', '.join(left)}", where=str(bundle), hint=LEFT_FLOAT
        )


def _show_cpu(found: Sequence[cpu.Checked]) -> None:
    header = ("engine", "version", "kernels", "as the graph demands")
    rows = [(each.engine, each.version, str(each.kernels), each.summary) for each in found]
    console.out(console.table(header, rows))
    for each in found:
        for line in (*each.problems, *(f"cannot tell of {line}" for line in each.unknown)):
            console.out(f"{each.engine}: {line}")
    for name in found[0].left_float:
        console.out(f"{name} is float, left so by the quantizer")


def _hint(found: Readiness) -> str | None:
    if found.allow_float or not any(each.left_float for each in found.engines):
        return None
    return LEFT_FLOAT


def _show(found: Readiness, note: str | None) -> None:
    from edgeroberta.check.graph import LARGEST_SHARE

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
