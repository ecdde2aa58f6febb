"""The Hub's client: asked again where that may help, and its refusals in our words.

Versions of ``huggingface_hub`` from 0.30 on differ in the HTTP package below them, whose errors are told by
what all of them have in common.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from edgeroberta.errors import BundleError, EdgeRobertaError, UnavailableError, UsageError
from edgeroberta.hub.ids import HubId

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds before each further try.
_WAITS = (1.0, 3.0)
#: Answers that say nothing of what was asked, only that it cannot be answered now.
_PASSING = (408, 429, 500, 502, 503, 504)
#: What follows the path in an address: of a large file, a signature that lets anybody read or write it.
_QUERY = re.compile(r"\?\S+=\S+")


def package(wanted: HubId) -> Any:
    """Import ``huggingface_hub``. Raises UnavailableError: it is not installed, as on most devices."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise UnavailableError(
            "no folder here, and the Hub is read by the package 'huggingface_hub', which is not installed",
            where=str(wanted),
            hint="pip install huggingface_hub, or 'edgeroberta[hub]' on a workstation; or, on another "
            f"computer, edgeroberta pull {wanted} -o out/, and copy that folder here",
            code="unavailable.extra",
        ) from error
    return huggingface_hub


def ask(wanted: HubId, call: Callable[[], T], *, repeat: bool = True) -> T:
    """Ask the Hub; ``repeat``: more than once, where it does not answer. Raises an error of ours."""
    for wait in (*(_WAITS if repeat else ()), None):
        try:
            return call()
        except _failures(wanted) as error:
            if wait is None or not is_passing(error) or _is_final(wanted, error):
                raise refusal(wanted, error) from error
            logger.info("%s: asked again in %s s (%s)", wanted, wait, _said(error, _status(error)))
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _failures(wanted: HubId) -> tuple[type[Exception], ...]:
    """Return what the client raises: of HTTP, of files, and of answers that are not what they should be."""
    errors = package(wanted).errors
    answers = (ValueError, RuntimeError, LookupError, TypeError, AttributeError)
    return (errors.HTTPError, errors.EntryNotFoundError, OSError, *answers)


def _cause(error: BaseException) -> BaseException:
    """Return what is behind the client's own RuntimeError around an upload."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _status(error: BaseException) -> int | None:
    """Return the status of the HTTP answer that an error is about."""
    found = getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def is_passing(error: BaseException) -> bool:
    """Tell whether the same question may be answered later."""
    error = _cause(error)
    status = _status(error)
    return status in _PASSING if status is not None else _is_transport(error)


def _is_transport(error: BaseException) -> bool:
    """Tell what goes wrong on the way: httpx' errors, requests' (an OSError without a number), sockets'."""
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    named = any(
        kind.__name__ in ("TransportError", "HTTPError", "RequestException") for kind in type(error).__mro__
    )
    return named or (isinstance(error, OSError) and error.errno is None)


def _is_final(wanted: HubId, error: BaseException) -> bool:
    """Tell what the client says after tries of its own, or without any: asked again it says the same."""
    errors = package(wanted).errors
    kinds = (errors.LocalEntryNotFoundError, errors.LocalTokenNotFoundError, errors.OfflineModeIsEnabled)
    return isinstance(error, kinds)


def refusal(wanted: HubId, raised: Exception) -> EdgeRobertaError | OSError:
    """Put what the client raised in our words; what the file system says passes through."""
    errors, error = package(wanted).errors, _cause(raised)
    status, where = _status(error), str(wanted)
    if isinstance(error, errors.RevisionNotFoundError):
        return UsageError(
            "the Hub has no such revision", where=where, hint="name a branch, a tag or a commit",
            code="hub.not-found",
        )  # fmt: skip
    if isinstance(error, errors.EntryNotFoundError) and status is not None:
        return BundleError(
            "the Hub lacks a file of it", where=where, hint="publish it again", code="hub.incomplete"
        )
    if isinstance(error, errors.RepositoryNotFoundError) and not isinstance(error, errors.GatedRepoError):
        return UsageError(
            "the Hub has no such repository, or none that you may see",
            where=where,
            hint="check the name; log in with 'hf auth login', or set HF_TOKEN, if it is private",
            code="hub.not-found",
        )
    of_xet = isinstance(error, PermissionError) and error.errno is None  # as Xet tells it
    if status in (401, 403) or of_xet or isinstance(error, errors.LocalTokenNotFoundError):
        return UnavailableError(
            f"the Hub does not let you do this ({status or 'no token'})",
            where=where,
            hint="log in with 'hf auth login', or set HF_TOKEN to a token with the right to write",
            code="hub.no-access",
        )
    if status in (409, 412):
        return EdgeRobertaError(
            "somebody else published at the same time; nothing was changed",
            where=where,
            hint="look what is there, then run the same command again",
            code="hub.conflict",
        )
    if is_passing(error) or isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return UnavailableError(
            f"the Hub cannot be reached, or does not answer ({_said(error, status)})",
            where=where,
            hint="run the same command again once there is a network; what arrived is kept",
            code="hub.unreachable",
        )
    if isinstance(error, OSError) and status is None and error.errno is not None:  # a full disk, no rights
        return error
    return EdgeRobertaError(
        f"the Hub refuses this, or what it answers is none ({_said(error, status)})",
        where=where,
        hint="check HF_ENDPOINT and your proxy; pip install --upgrade huggingface_hub",
        code="hub.answer",
    )


def _said(error: BaseException, status: int | None) -> str:
    """Return an error's kind and first line, without what signs the address of a large file."""
    if status is not None:
        return f"HTTP {status}"
    lines = _QUERY.sub("?…", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
