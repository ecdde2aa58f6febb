"""The page at ``/``: the one of ``examples/web``, which asks this server in place of a worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edgeroberta.errors import EdgeRobertaError

_PACKAGE = Path(__file__).parents[1]
_SCRIPT = "text/javascript"
#: Path to its file and the type of that; nothing else is given, whatever path is asked for.
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.mjs": ("page.mjs", _SCRIPT),
    "/newest.mjs": ("newest.mjs", _SCRIPT),
    "/show.mjs": ("show.mjs", _SCRIPT),
    # What the page imports by this name answers in the browser elsewhere.
    "/answerer.mjs": ("server_answerer.mjs", _SCRIPT),
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def folder() -> Path:
    """Return the folder of its files: inside the wheel, or the example of a source tree."""
    packaged = _PACKAGE / "_page"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "examples" / "web"


def routes() -> list[Route]:
    """Read the files, and return what answers their paths. Raises EdgeRobertaError: they are not there."""
    return [Route(path, _sender(name, kind), methods=["GET"]) for path, (name, kind) in FILES.items()]


def _sender(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    try:
        content = (folder() / name).read_bytes()
    except OSError as error:
        raise EdgeRobertaError(
            f"a file of the page at / is missing ({error.strerror})",
            where=str(folder() / name),
            hint="install edgeroberta again, or serve without the page: --no-page",
        ) from error

    async def send(_: Request) -> Response:
        return Response(content, headers={**_HEADERS, "Content-Type": f"{kind}; charset=utf-8"})

    return send
