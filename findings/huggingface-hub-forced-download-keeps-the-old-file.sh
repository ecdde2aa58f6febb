#!/bin/sh
# huggingface_hub 2.4.0, also 1.33.0 and 0.30.2: a forced download of a commit's file returns the old bytes where the
# server now names the file by another ETag.
#
# Expected: `hf_hub_download(…, force_download=True)` downloads the file even if it is in the cache, so the path that it
# returns has the new bytes: this is how a file that turned out to be wrong is put right. Seen: the new bytes are
# fetched, and stored under the new ETag, but the link of that commit, which is there already, still leads to the
# old ones, whose path is returned, now and later. Mirrors name files by ETags of their own, which change when their
# cache does. Removing the link first helps.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check huggingface_hub==2.4.0
HF_HOME="$work/home" HF_HUB_OFFLINE=0 HF_HUB_DISABLE_PROGRESS_BARS=1 "$work/venv/bin/python" - <<'PYTHON'
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "a" * 40
served = {"data": b"as it was\n", "etag": '"one"'}
fetched = []


class Mirror(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        length = str(len(served["data"]))
        for name, value in (("X-Repo-Commit", COMMIT), ("ETag", served["etag"]), ("Content-Length", length)):
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(served["data"])
        if "/resolve/" in self.path:
            fetched.append(served["data"])

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_address[1]}"

from huggingface_hub import hf_hub_download


def read(**options: object) -> bytes:
    return Path(hf_hub_download("owner/name", "config.json", revision=COMMIT, **options)).read_bytes()


first = read()
served.update(data=b"as it is now\n", etag='"two"')
forced, later = read(force_download=True), read()
print(f"fetched: {fetched}; returned first {first}, by a forced download {forced}, later {later}")
sys.exit(0 if fetched == [b"as it was\n", b"as it is now\n"] and first == forced == later else 1)
PYTHON
