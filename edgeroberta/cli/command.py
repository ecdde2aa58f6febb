"""How a command shows its arguments and options in its help."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command whose help names values as the documents do: ``--threads THREADS``, not ``<int range>``."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for each in self.params:
            if each.param_type_name == "argument":
                # typer 0.29 writes the type of Python behind an argument, whatever its metavar.
                setattr(each, "display_type_rich", lambda ctx: "")  # noqa: B010
            if each.metavar is None and each.name and not getattr(each, "is_flag", False):
                each.metavar = each.name.rstrip("_").upper().replace("_", "-")
