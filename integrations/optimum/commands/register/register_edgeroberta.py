"""Tells ``optimum-cli`` of ``export edgeroberta``; it imports every module of this namespace when it starts.

No folder from here up to ``optimum`` may have an ``__init__.py``: Optimum and its other packages put their
modules into the same namespace packages.
"""

from optimum.commands.export.base import ExportCommand

from edgeroberta.optimum_export import EdgeRobertaExport

REGISTER_COMMANDS = [(EdgeRobertaExport, ExportCommand)]
