"""What all results have in common, and where functions report their progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from edgeroberta import distributed
from edgeroberta.errors import EdgeRobertaError, UnavailableError
from edgeroberta.notebook import Shown
from edgeroberta.progress import Progress, for_stream
from edgeroberta.report.table import Table, html


class Result(Shown):
    """Prints as text, shows in a notebook, and gives the JSON of the command's ``--json``."""

    #: What speaks against the result without having kept it from being made; the command line ends with it.
    errors: tuple[EdgeRobertaError, ...] = ()

    @property
    def passed(self) -> bool:
        """True where nothing speaks against the result."""
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object, the same as the command's ``--json``."""
        raise NotImplementedError

    def _tables(self) -> Iterable[str | Table]:
        """Give sentences and tables for a notebook; none where the text does."""
        return ()

    def _repr_html_(self) -> str:
        try:
            shown = [
                html(each) if isinstance(each, Table) else f"<p>{escape(each)}</p>" for each in self._tables()
            ]
        except UnavailableError:  # no Jinja2, as on a device
            shown = []
        return "".join(shown) or super()._repr_html_()


def refusals(*checks: Callable[[], None]) -> tuple[EdgeRobertaError, ...]:
    """Return what checks raise, one after the other."""
    found = []
    for check in checks:
        try:
            check()
        except EdgeRobertaError as error:
            found.append(error)
    return tuple(found)


def reporting(progress: Progress | None) -> Progress:
    """Return where to report: as the caller says, else bars in a terminal or a notebook, silent otherwise.

    Of several processes of ``accelerate launch``, the main one reports.
    """
    if not distributed.current().main:
        return Progress()
    if progress is not None:
        return progress
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return for_stream(sys.stderr) if watched else Progress()
