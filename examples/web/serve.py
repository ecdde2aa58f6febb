"""Serve the page beside this file, and bundles to open in it, to the browsers of this machine.

python serve.py BUNDLE... [--port 8000]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

HERE = Path(__file__).resolve().parent
#: What index.html says for itself; workers go by what the server says.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self';"
    " style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    # Cross-origin isolation, without which browsers give a page one thread
    # (https://developer.mozilla.org/en-US/docs/Web/API/Window/crossOriginIsolated).
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # what is kept is asked for again, and not sent again
}


class Files(SimpleHTTPRequestHandler):
    """Files of the page at ``/``, and of each bundle at ``/models/NAME/``."""

    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *args: object, bundles: Mapping[str, Path], **more: object) -> None:
        self.bundles = bundles
        super().__init__(*args, directory=str(HERE), **more)  # type: ignore[arg-type]

    def send_head(self) -> Any:
        """Send what stands before a file, or to the page with the first bundle."""
        # A page elsewhere may have its name lead here; it does not get to read.
        if self.headers.get("Host", "").rpartition(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(421)
            return None
        if self.path == "/":
            self.send_response(302)
            self.send_header("Location", address_of(next(iter(self.bundles))))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return super().send_head()

    def translate_path(self, path: str) -> str:
        """Return the file of an address."""
        parts = unquote(urlsplit(path).path).split("/")
        if parts[1:2] != ["models"] or len(parts) < 4:
            return super().translate_path(path)
        # The base class knows what may not be in a path.
        below = Path(super().translate_path(quote("/".join(["", *parts[3:]])))).relative_to(HERE)
        return str(self.bundles.get(parts[2], HERE / "nowhere") / below)

    def list_directory(self, path: object) -> None:
        """Show no folders."""
        self.send_error(404)

    def end_headers(self) -> None:
        """Add what every answer says."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, form: str, *args: object) -> None:
        """Say nothing of answers."""


def address_of(name: str) -> str:
    """Return where the page opens a bundle."""
    return f"/index.html?bundle=models/{quote(name)}"


def make_server(folders: list[Path], port: int) -> ThreadingHTTPServer:
    """Return a server of bundles on loopback, by the names of their folders; port 0 is any that is free."""
    bundles = {folder.resolve().name: folder.resolve() for folder in folders}
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Files, bundles=bundles))


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Open bundles in a browser of this machine.")
    parser.add_argument("bundle", nargs="+", type=Path, help="folder of a bundle, made with --target web")
    parser.add_argument("--port", type=int, default=8000)
    words = parser.parse_args()
    if not (HERE / "node_modules").is_dir():
        parser.error(f"the packages are not installed: npm ci --ignore-scripts, in {HERE}")
    with make_server(words.bundle, words.port) as server:
        for folder in words.bundle:
            print(f"http://127.0.0.1:{server.server_port}{address_of(folder.resolve().name)}", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
