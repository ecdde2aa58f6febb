"""``optimum-cli export edgeroberta``: ``edgeroberta compress`` among the exports of Optimum.

Its options are those of that command, and so are its checks, what it prints and its exit codes.
``optimum-cli`` imports this module whatever it is asked for: what fails here takes all of it along, so
nothing is imported that may be missing.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, NoReturn

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo

from edgeroberta.errors import missing_extra
from edgeroberta.extras import missing

#: What exports of Optimum's have in place of a word and an option of ours.
_OWN = ("model", "output")


class EdgeRobertaExport(BaseOptimumCLICommand):
    """The command, as the registry of ``optimum-cli`` takes it."""

    COMMAND = CommandInfo(
        name="edgeroberta", help="Compress a fine-tuned RoBERTa or BERT into a verified int8 bundle."
    )

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("-m", "--model", required=True, help="Hugging Face model folder or Hub id.")
        parser.add_argument("output", help="Where the bundle goes.")
        for option in _options():
            told: dict[str, Any] = {"dest": option.name, "help": (option.help or "").replace("%", "%%")}
            if option.is_flag:
                told["action"] = "store_true"
            else:
                told.update(metavar=option.metavar or option.name.upper())
                told.update(action="append" if option.multiple else "store")
            parser.add_argument(*option.opts, **told)
        if _lacks():  # options may not be known then, and are no reason to send anyone to the usage
            parser.parse_known_args = lambda *given: _refuse()  # type: ignore[method-assign, assignment]

    def run(self) -> None:
        """Compress, and leave the process with the exit code of ``edgeroberta compress``."""
        from edgeroberta.cli import main

        given = vars(self.args)
        words = [
            option.opts[-1] if value is True else f"{option.opts[-1]}={value}"
            for option in _options()
            for value in _several(given[option.name])
        ]
        main(["compress", f"--output={given['output']}", *words, "--", given["model"]])


def _options() -> list[Any]:
    """Return the options of ``edgeroberta compress``, as typer has them; none where that is missing."""
    if missing("cli"):
        return []
    import typer

    from edgeroberta.cli.compress import compress

    app = typer.Typer(add_completion=False)
    app.command()(compress)
    found = typer.main.get_command(app).params
    return [each for each in found if each.name not in (*_OWN, "help")]


def _several(value: Any) -> list[Any]:
    if value is None or value is False:
        return []
    return value if isinstance(value, list) else [value]


def _lacks() -> tuple[str, ...]:
    return missing("compress") + missing("cli")


def _refuse() -> NoReturn:
    error = missing_extra(_lacks()[0], "compress", purpose="optimum-cli export edgeroberta")
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
