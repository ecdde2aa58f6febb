"""What is in a bundle, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edgeroberta.figures import ABSENT, decimals
from edgeroberta.inspection.bundle import Inspection
from edgeroberta.report.table import Table
from edgeroberta.roberta.graph_parts import OTHER, GraphPart
from edgeroberta.runtime.manifest import called

#: Labels that are named.
_LABELS = 12


def text(found: Inspection, *, name: str | None = None) -> str:
    """Lay everything out for a terminal; of a cascade each model, the last one first."""
    own = "\n\n".join(table.text() for table in tables(found))
    title = [] if name is None else [f"tier {name}"]
    return "\n\n".join([*title, own, *(text(tier, name=each) for each, tier in found.tiers)])


def tables(found: Inspection) -> list[Table]:
    """Lay out the facts, the parts of the graph, the files, and the stages that made it."""
    return [_facts(found), *_parts(found), _files(found), _stages(found)]


def _facts(found: Inspection) -> Table:
    labels = ", ".join(found.labels[:_LABELS]) + (", …" if len(found.labels) > _LABELS else "")
    tokenizer = ABSENT if found.tokenizer is None else f"{found.tokenizer}, {found.vocabulary:,} tokens"
    baseline = found.baseline.get("parameters")
    lines = [
        ("task", found.task + (", pairs" if found.pair else "")),
        *([("labels", f"{len(found.labels)}: {labels}")] if found.labels else []),
        ("tokenizer", tokenizer),
        ("longest text", f"{found.max_length} tokens; longer ones: {found.long_text}"),
        ("engines", ", ".join(found.engines)),
        ("target", f"{found.target}, threads {found.threads}"),
        ("precision", found.precision),
        ("parameters", f"{found.parameters:,}" + (f" of the baseline's {baseline:,}" if baseline else "")),
        ("verdict", found.verdict or "none: it was not judged"),
        *([("reason", found.reason)] if found.reason else []),
        ("files", "as they were written" if found.intact else f"CHANGED: {found.damage}"),
        ("made by", f"edgeroberta {found.created_by}"),
        ("digest", found.digest),
    ]
    return Table.of(("bundle", called(found.folder)), lines, words=2)


def _parts(found: Inspection) -> Iterator[Table]:
    if not found.parts:
        return
    lines = []
    for part in found.parts:
        if part.name == OTHER and part.bytes < 1000:
            continue
        widths = _widths(found, part)
        lines.append(
            (part.name, f"{part.parameters:,}", decimals(part.bytes / 1e6, 3), *widths, _matmuls(part))
        )
    titles = ("part", "parameters", "MB", "heads", "FFN", "matmuls")
    notes = (f"Read from {found.graph}.", *_floats(found))
    made = Table.of(titles, lines, words=(0, 5))
    yield Table(made.columns, made.rows, notes)


def _widths(found: Inspection, part: GraphPart) -> tuple[str, str]:
    kind, _, number = part.name.partition(".")
    if kind != "layer" or int(number) >= len(found.layers):
        return "", ""
    layer = found.layers[int(number)]
    return str(layer.heads), str(layer.intermediate)


def _matmuls(part: GraphPart) -> str:
    """Count the matmuls of each type of weights: ``4 int8``, ``3 int8, 1 float32``."""
    return ", ".join(f"{count} {name}" for name, count in Counter(each.type for each in part.matmuls).items())


def _floats(found: Inspection) -> Iterator[str]:
    """Name the matmuls that an int8 bundle leaves in floats, and what its report says of them."""
    if found.precision != "int8":
        return
    for part in found.parts:
        for each in part.matmuls:
            if each.type.startswith(("float", "bfloat")):
                said = found.choices.get(each.name)
                yield f"{each.name} is {each.type}" + (f": {said}." if said else ".")


def _files(found: Inspection) -> Table:
    lines = [(each.name, decimals(each.bytes / 1e6, 3), each.role) for each in found.files]
    made = Table.of(("file", "MB", "what it is"), lines, words=(0, 2))
    notes: tuple[str, ...] = ()
    if found.unknown_files:
        notes = (f"Not of the bundle: {', '.join(found.unknown_files[:_LABELS])}.",)
    return Table(made.columns, made.rows, notes)


def _stages(found: Inspection) -> Table:
    lines = [
        (str(each["stage"]), f"{float(each['seconds'] or 0):.1f}", _settings(each["config"]))
        for each in found.lineage
    ]
    return Table.of(("stage", "s", "settings"), lines, words=(0, 2))


def _settings(config: object) -> str:
    """Show the settings that say something on one line; all of them are in the JSON."""
    if not isinstance(config, dict):
        return ""
    shown = [
        f"{name}={value}"
        for name, value in config.items()
        if isinstance(value, str | int | float) and value is not False
    ]
    line = ", ".join(shown)
    return line if len(line) <= 100 else line[:99] + "…"
