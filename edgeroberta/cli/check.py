"""``edgeroberta check``: open a bundle on a target's engines, without the device, and look inside."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Bundle, Debug, Quiet, Verbose


def check(
    bundle: Bundle,
    target: Annotated[
        str | None,
        typer.Option("-t", "--target", help="What it is to be ready for; what it was made for if not given."),
    ] = None,
    compare_fp32: Annotated[
        bool, typer.Option("--compare-fp32", help="Build the float32 engine, too, and compare sizes.")
    ] = False,
    allow_float: Annotated[
        bool, typer.Option("--allow-float", help="Accept what the quantizer left float on purpose.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Count what engines make int8 and fuse.

    Exit code 1 when a matmul, attention or GELU falls short. TensorRT's engines are built on this CPU; ONNX
    Runtime and OpenVINO are opened as they run.
    """
    result = api.check_bundle(
        bundle,
        target=target,
        compare_fp32=compare_fp32,
        allow_float=allow_float,
        progress=console.progress(),
    )
    console.show(result, json=json)
    console.finish(result)
