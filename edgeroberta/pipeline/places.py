"""Where the results of a run go: its output and its work folder, refused where they hold something else."""

from __future__ import annotations

from pathlib import Path

from edgeroberta.errors import UsageError
from edgeroberta.pipeline import delivery, workspace
from edgeroberta.runtime.manifest import KIND
from edgeroberta.storage import paths


def find(
    output: Path | None, work: Path | None, *, default: Path | None, kind: str = KIND
) -> tuple[Path, Path]:
    """Return the output and the work folder, absolute.

    ``default``: the output where the user does not say; None where they have to. ``kind``: what is to be
    delivered, see :mod:`edgeroberta.pipeline.delivery`. Raises UsageError: one of them holds something else.
    """
    output = output or default
    if output is None:
        raise UsageError(
            f"say where the {delivery.NAMES[kind]} goes", where="-o/--output", hint="add -o out/"
        )
    output = paths.named(output).resolve()
    work = paths.named(work).resolve() if work else output.with_name(output.name + ".work")
    delivery.check_apart(output, work)
    delivery.check(output, kind)
    workspace.check(work)
    return output, work
