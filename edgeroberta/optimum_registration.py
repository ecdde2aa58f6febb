"""Tells ``optimum-cli`` of ``export edgeroberta``.

The wheel has it in the namespace package ``optimum.commands.register``, too: ``optimum-cli`` imports every
module of that, into which Optimum and its other packages put theirs, when it starts.
"""

from __future__ import annotations

from optimum.commands.export.base import ExportCommand

from edgeroberta.optimum_export import EdgeRobertaExport

REGISTER_COMMANDS = [(EdgeRobertaExport, ExportCommand)]
