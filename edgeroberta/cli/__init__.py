"""The command line: one module per command, no logic.

The module of a command has one function of the same name, with typer annotations. Nothing heavy is imported
at the top of these modules: ``--help`` and the device commands work in a bare install.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.command import Command
from edgeroberta.cli.options import Debug, Quiet, Verbose
from edgeroberta.errors import EdgeRobertaError, UsageError, shortened
from edgeroberta.version import __version__

#: Commands in the order of the help, each with its call in Python; each is a module of this package with a
#: function of that name.
COMMANDS = {
    "compress": "edgeroberta.compress(model, data, output=…)",
    "pretrain": "edgeroberta.pretrain(model, text, output=…)",
    "build": "edgeroberta.build(bundle, data)",
    "run": "edgeroberta.load(bundle)(texts)",
    "serve": "serve(edgeroberta.load(bundle)), from edgeroberta.serve",
    "verify": "edgeroberta.evaluate(bundle, data)",
    "bench": "edgeroberta.bench(bundle, data)",
    "compare": "edgeroberta.compare(first, second)",
    "latency": "edgeroberta.latency_table(model, data)",
    "inspect": "edgeroberta.inspect_bundle(bundle)",
    "check": "edgeroberta.check_bundle(bundle)",
    "reference": "edgeroberta.reference(model, data, output=…)",
    "push": "edgeroberta.push(bundle, repository)",
    "pull": "edgeroberta.pull(repository, output)",
    "doctor": "edgeroberta.doctor()",
    "recipes": "edgeroberta.list_recipes()",
    "targets": "edgeroberta.list_targets()",
}

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def _show_version(value: bool) -> None:
    if value:
        console.out(f"edgeroberta {__version__}")
        raise typer.Exit


def _show_completion(shell: str | None) -> None:
    if shell is not None:
        from edgeroberta.cli import completion

        console.out(completion.script(shell).rstrip("\n"))
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    show_completion: Annotated[
        str | None,
        typer.Option(
            metavar="SHELL",
            callback=_show_completion,
            is_eager=True,
            help="Print the completion script of bash, zsh or fish.",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Distill, quantize, verify and run RoBERTa encoders on edge devices."""


def application() -> typer.Typer:
    """Build the typer application with every command registered."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name, call in COMMANDS.items():
        module = importlib.import_module(f"edgeroberta.cli.{name}")
        app.command(name, cls=Command, epilog=f"In Python: {call}")(getattr(module, name))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    Args:
        arguments: The words after the program's name; those of the process when None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Read before typer does, so that an error while the commands load shows its traceback, too.
    options = given[: given.index("--")] if "--" in given else given
    debug = "--debug" in options
    quiet, verbose = not {"-q", "--quiet"}.isdisjoint(options), not {"-v", "--verbose"}.isdisjoint(options)
    console.set_voice(quiet=quiet, verbose=verbose and not quiet, debug=debug)
    try:
        if quiet and verbose:
            raise UsageError("--quiet and --verbose together", where="--quiet", hint="leave one out")
        try:
            application()(args=given, prog_name="edgeroberta")
        finally:
            console.flush()
    except EdgeRobertaError as error:
        if debug:
            console.complain(traceback.format_exc().rstrip())
        console.say_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # who reads has enough, as in "| head"
        sys.exit(1)
    except OSError as error:
        if debug:
            console.complain(traceback.format_exc().rstrip())
        # Whatever is read or written: a name that is too long, a folder that may not be read, a full disk.
        what = f"the system refuses this: {error.strerror}" if error.strerror else f"failed: {error}"
        console.say_error(
            EdgeRobertaError(what, where=None if error.filename is None else str(error.filename))
        )
        sys.exit(EdgeRobertaError.exit_code)
    except Exception as error:
        if debug:
            console.complain(traceback.format_exc().rstrip())
        console.complain(f"error: unexpected {type(error).__name__}: {shortened(str(error))}")
        if not debug:
            console.complain(f"  next: edgeroberta --debug {shortened(' '.join(given))}")
        sys.exit(1)
