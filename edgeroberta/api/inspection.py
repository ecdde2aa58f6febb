"""Look into a bundle."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeroberta.api import bundles
from edgeroberta.api.results import Result
from edgeroberta.errors import BundleError, EdgeRobertaError

if TYPE_CHECKING:
    from edgeroberta.inspection.bundle import Inspection
    from edgeroberta.report.table import Table


@dataclass(frozen=True)
class InspectionResult(Result):
    """What is in a bundle; ``errors`` where a file is not as it was written."""

    inspection: Inspection  # all that was found
    errors: tuple[EdgeRobertaError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what was found as a JSON object, the same as ``edgeroberta inspect --json``."""
        return self.inspection.to_json()

    def __str__(self) -> str:
        from edgeroberta.report import inspection

        return inspection.text(self.inspection)

    def _tables(self) -> Iterable[Table]:
        from edgeroberta.report import inspection

        return inspection.tables(self.inspection)


def inspect_bundle(bundle: str | os.PathLike[str]) -> InspectionResult:
    """Say what is in a bundle: task, tokenizer, weights layer by layer, files, and how it was made.

    No engine is opened, and nothing is needed that a device does not have.

    Args:
        bundle: The bundle's folder, or its name on the Hub.

    Returns:
        What was found; ``errors`` where a file is not as it was written.

    Raises:
        BundleError: It is not a bundle, or its manifest is damaged.
    """
    from edgeroberta.inspection.bundle import inspect

    found = inspect(bundles.find(bundle))
    damaged = [each.damage for each in (found, *(tier for _, tier in found.tiers)) if each.damage]
    hint = "copy the bundle again from where it was made"
    return InspectionResult(found, tuple(BundleError(what, hint=hint) for what in damaged))
