"""Every error a user can meet, with the exit code that ends the command line and its stable code.

::

    EdgeRobertaError            1  failed       something failed
    ├── BundleError             1  bundle       a bundle is damaged, missing, foreign or too new
    ├── EngineError             1  engine       an inference engine failed to build or run
    │   └── WorkerError         1  engine.process  the process that was measured failed
    ├── UsageError              2  usage        the command line or an argument is wrong
    │   ├── RecipeError         2  recipe       a recipe does not validate
    │   ├── DataError           2  data         a data file or column is unusable
    │   └── CheckpointError     2  checkpoint   a model folder is unusable
    ├── GateError               3  gate         the compressed model did not pass its gate
    └── UnavailableError        4  unavailable  an extra or a device is missing
        └── UnreachableError    4  device.unreachable  a device does not answer over ssh

Programs tell errors apart by ``code``: that of the class, or one that an error is given where its class says
too little. :mod:`edgeroberta.error_codes` says what each means. The wording is for people and may change.

This module is imported on the device, before this package is installed there: standard library only.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


#: Characters of a part of a message. What is wrong is often shown, and may be a file of megabytes.
_LONGEST = 2_000


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return a text, or its two ends and how much is between them where it is too long to be read."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} … {len(text) - 2 * half:,} more characters … {text[-half:]}"


class EdgeRobertaError(Exception):
    """Base of all errors raised on purpose.

    Args:
        what: What is wrong, in one sentence.
        where: The file, line, field or option that is wrong, e.g. ``reviews.csv:17``.
        hint: What to do next, ideally a command.
        code: Which case it is, where the class says too little; see :mod:`edgeroberta.error_codes`.
    """

    exit_code: int = 1
    code: str = "failed"

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, code: str | None = None
    ) -> None:
        self.what = shortened(what)
        self.where = None if where is None else shortened(where)
        self.hint = None if hint is None else shortened(hint)
        self.code = code or self.code
        super().__init__(self.what)

    def to_json(self) -> dict[str, str | int | None]:
        """Return it as a JSON object: ``code``, ``exit_code``, ``what``, ``where`` and ``hint``."""
        names = ("code", "exit_code", "what", "where", "hint")
        return {name: getattr(self, name) for name in names}

    @staticmethod
    def of(error: Exception) -> EdgeRobertaError:
        """Return an error of ours as it is, and any other put in our words, as the end of a command."""
        if isinstance(error, EdgeRobertaError):
            return error
        if isinstance(error, OSError):  # a name that is too long, a folder that may not be read, a full disk
            what = f"the system refuses this: {error.strerror}" if error.strerror else f"failed: {error}"
            return EdgeRobertaError(what, where=None if error.filename is None else str(error.filename))
        return EdgeRobertaError(f"unexpected {type(error).__name__}: {error}")

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)


class BundleError(EdgeRobertaError):
    """A bundle is damaged, missing, foreign or written by a newer version."""

    code = "bundle"


class EngineError(EdgeRobertaError):
    """An inference engine refused a graph or failed while running it."""

    code = "engine"


class UsageError(EdgeRobertaError):
    """The command line, or an argument of the Python interface, is wrong."""

    exit_code = 2
    code = "usage"


class RecipeError(UsageError):
    """A recipe does not validate; ``where`` is the path of the bad field."""

    code = "recipe"


class DataError(UsageError):
    """A data file, column or row is unusable; ``where`` carries the line number."""

    code = "data"


class CheckpointError(UsageError):
    """A model folder or Hub id is not a checkpoint that can be compressed."""

    code = "checkpoint"


class GateError(EdgeRobertaError):
    """The compressed model was measured and did not pass the recipe's gate.

    The commands print the report and end with this exit code instead of raising: the bundle is there.
    """

    exit_code = 3
    code = "gate"


class UnavailableError(EdgeRobertaError):
    """A package or a device that this command needs is not here."""

    exit_code = 4
    code = "unavailable"


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Suggest the known name nearest to what the user wrote: ``"did you mean 'x'?"``; never act on it."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None


def missing_extra(module: str, extra: str, *, purpose: str) -> UnavailableError:
    """Make the error for an optional package that is not installed.

    Args:
        module: The import name that was not found.
        extra: The extra of this package that brings it.
        purpose: What needs it, completing "… needs the package 'module'".
    """
    return UnavailableError(
        f"{purpose} needs the package {module!r}, which is not installed",
        hint=f"pip install 'edgeroberta[{extra}]'",
        code="unavailable.extra",
    )


def shown(value: object) -> str:
    """Show a value of the user's in a message: on one line, escaped, in some 80 characters."""
    return _SHORT.repr(value)
