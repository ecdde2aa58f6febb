"""What works on a machine, and what engines make of a bundle, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from edgeroberta.report.table import Table

if TYPE_CHECKING:
    from edgeroberta.check import cpu
    from edgeroberta.check.doctor import Diagnosis
    from edgeroberta.check.ondevice.engines import BuildComparison, BuiltEngine
    from edgeroberta.check.tensorrt import GraphCheck

_SATURATES = "x86 without VNNI: products of two can saturate; make bundles with --target cpu-avx2"

#: What a passed check proves, and what not.
PROVES = (
    "It proves that the graph parses, types and fuses as meant; not the speed, and not this device's own GPU."
)


def of_build(comparison: BuildComparison) -> str:
    """Tell of each engine that was built, and which one is kept."""
    header = ("engine", "build", "MB", "int8 matmuls", "engine p50", "call p50", "goldens", "gate")
    lines = [_table(header, [_row(each) for each in comparison.candidates]), ""]
    for each in comparison.candidates:
        if note := each.error or each.warning:
            lines.append(f"{each.engine}: {note}")
    if comparison.kept is not None:
        lines.append(f"kept: {comparison.kept}; {comparison.why}")
        if comparison.left_out:
            lines.append(f"not remembered: {', '.join(comparison.left_out)} was not compared")
        elif not comparison.remembered:
            lines.append("the choice could not be remembered; name it with --engine")
    return "\n".join(lines)


def _row(each: BuiltEngine) -> tuple[str, ...]:
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


def of_check(found: GraphCheck, note: str | None) -> str:
    """Tell what TensorRT's engines are made of; ``note``: what the GPU has to do with the target."""
    from edgeroberta.check.tensorrt import LARGEST_SHARE

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
    lines = [_table(header, rows)]
    for each in found.engines:
        if each.oversized:
            lines.append(
                f"{each.graph}: more than {LARGEST_SHARE} of the float32 engine's bytes; each of the "
                f"{each.profiles} profiles brings kernels of its own"
            )
        lines += [f"{each.graph}: {name} is float, left so by the quantizer" for name in each.left_float]
    built = f"built with {found.library} for {found.compute_capability}"
    return "\n".join([*lines, f"{built}{f', {note}' if note else ''}. {PROVES}"])


def of_cpu_check(found: Sequence[cpu.CpuKernelCheck]) -> str:
    """Tell what engines on a processor run."""
    header = ("engine", "version", "kernels", "as the graph demands")
    lines = [_table(header, [(each.engine, each.version, str(each.kernels), each.summary) for each in found])]
    for each in found:
        said = (*each.problems, *(f"cannot tell of {line}" for line in each.unknown))
        lines += [f"{each.engine}: {line}" for line in said]
    return "\n".join(
        [*lines, *(f"{name} is float, left so by the quantizer" for name in found[0].left_float)]
    )


def of_doctor(found: Diagnosis) -> str:
    """Tell what works on this machine, and what is missing."""
    from edgeroberta.hardware import rows, warnings

    device = found.device
    memory = f"{device.memory_bytes / 1e9:.1f} GB" if device.memory_bytes else "unknown"
    facts = [
        ("edgeroberta", found.version),
        ("python", device.python),
        ("system", device.system),
        ("cpu", f"{device.cpu}, {device.cores} cores"),
        ("int8 and bf16", ", ".join(device.flags) or "none of the known instruction sets"),
        ("memory", memory),
        *rows(found.state),
    ]
    warned = [f"warning: {warning}" for warning in warnings(found.state)]
    unknown = [f"unknown: {note}" for note in found.state.notes]
    if found.int8_saturates:
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
        for check in found.engines
    ]
    extras = [
        (name, "missing" if absent else "ok", f"pip install 'edgeroberta[{name}]'" if absent else "")
        for name, absent in found.extras.items()
    ]
    return "\n".join(
        [
            *(f"{name.ljust(width)}  {value}" for name, value in facts),
            *(["", *warned, *unknown] if warned or unknown else []),
            "",
            _table(("engine", "status", "version", "open + run", ""), engines),
            "",
            _table(("extra", "status", ""), extras),
        ]
    )


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return Table.of(titles, rows, words=None).text()
