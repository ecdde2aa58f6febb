"""A Hub of our own on loopback, which speaks to the real client: repositories, commits, large files, faults.

It answers what ``huggingface_hub`` asks when models are published and fetched, without Xet.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_loopback"


@dataclass(frozen=True)
class Stored:
    """A file of a commit."""

    data: bytes
    large: bool

    @property
    def blob_id(self) -> str:
        shown = pointer(self.data) if self.large else self.data
        return hashlib.sha1(b"blob %d\0" % len(shown) + shown).hexdigest()

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.data).hexdigest() if self.large else self.blob_id


def pointer(data: bytes) -> bytes:
    oid = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n".encode()


@dataclass
class Repository:
    """Commits, and the branches that lead to them."""

    private: bool
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, Stored]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: Mapping[str, Stored], message: str = "") -> str:
        named = repr((len(self.commits), sorted((name, each.etag) for name, each in files.items())))
        sha = hashlib.sha1(named.encode()).hexdigest()
        self.commits[sha], self.branches[branch], self.messages[sha] = dict(files), sha, message
        return sha

    def at(self, revision: str) -> str | None:
        revision = unquote(revision)
        return self.branches.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Fault:
    """What goes wrong with requests whose method and path match: the first ``times`` of them."""

    asked: str  # a regular expression over ``POST /api/…``
    status: int | None = None  # answer with this
    code: str | None = None  # and with this X-Error-Code
    cut: bool = False  # close the connection instead of an answer
    late: bool = False  # do what is asked first
    truncate: bool = False  # close it in the middle of the answer
    body: Callable[[bytes], bytes] | None = None  # send something else
    headers: Mapping[str, str] = field(default_factory=dict)  # with other headers
    seconds: float = 0.0  # wait first
    act: Callable[[], None] | None = None  # do something first
    times: int = 10**9
    skip: int = 0  # let so many pass first


class CutError(Exception):
    """Nothing more is sent."""


class Hub(ThreadingHTTPServer):
    """The server, its repositories, and what was asked of it."""

    daemon_threads = True
    request_queue_size = 64
    block_on_close = False  # a client that was given up on may still be waited for

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.rights = True  # to write

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def seed(self, name: str, folder: Path, *, private: bool = True, branch: str = "main") -> str:
        """Publish all files of a folder as they are."""
        files = {
            file.relative_to(folder).as_posix(): Stored(data := file.read_bytes(), b"\0" in data[:512])
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        return self.repositories.setdefault(name, Repository(private)).commit(branch, files)

    def files(self, name: str, branch: str = "main") -> dict[str, bytes]:
        found = self.repositories[name]
        return {path: each.data for path, each in found.commits[found.branches[branch]].items()}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that the client closed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one packet, for which nobody waits
    disable_nagle_algorithm = True
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.sent = self.rfile.read(length) if length else self._chunks()
        path = urlsplit(self.path).path
        asked = f"{self.command} {unquote(path)}"
        self.server.requests.append(asked)
        self.fault = self._fault(asked)
        try:
            if (fault := self.fault) is not None:
                threading.Event().wait(fault.seconds)
                if fault.act is not None:
                    fault.act()
                if fault.cut and not fault.late:
                    raise CutError
                if fault.status is not None and not fault.late:
                    return self._json({"error": "no"}, fault.status, code=fault.code)
            self._route(path)
        except CutError:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(2)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def _chunks(self) -> bytes:
        parts = []
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        return b"".join(parts)

    def _fault(self, asked: str) -> Fault | None:
        for fault in self.server.faults:
            if fault.times > 0 and re.search(fault.asked, asked):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        fault = self.fault
        if fault is not None and fault.late:
            if fault.cut:
                raise CutError
            status, data = fault.status or status, b"{}"
        if fault is not None and fault.body is not None:
            data = fault.body(data)
        self.send_response(status)
        told = {"Content-Length": str(len(data)), **headers, **(fault.headers if fault else {})}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not None and fault.truncate:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            raise CutError
        self.wfile.write(data)

    def _json(self, value: Any, status: int = 200, *, code: str | None = None) -> None:
        headers = {"Content-Type": "application/json", **({"X-Error-Code": code} if code else {})}
        self._send(status, json.dumps(value).encode(), headers)

    def _route(self, path: str) -> None:
        for pattern, handle in _ROUTES:
            if found := re.fullmatch(pattern, path):
                return handle(self, *found.groups())
        return self._json({"error": f"no route {path}"}, 404, code="EntryNotFound")

    def _repository(self, name: str) -> Repository | None:
        found = self.server.repositories.get(name)
        token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if found is None or (found.private and not token):
            self._json({"error": "Repository not found"}, 404 if token else 401, code="RepoNotFound")
            return None
        return found

    def _commit_of(self, name: str, revision: str) -> tuple[Repository, str] | None:
        if (found := self._repository(name)) is None:
            return None
        if (sha := found.at(revision)) is None:
            self._json({"error": "Invalid rev id"}, 404, code="RevisionNotFound")
            return None
        return found, sha

    def _writes(self) -> bool:
        if not self.server.rights or self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "no rights"}, 403)
            return False
        return True

    def create(self) -> None:
        asked = json.loads(self.sent)
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.server.address}/{name}"}
        if not self._writes():
            return None
        if name in self.server.repositories:
            return self._json({"error": "You already created this model repo", **url}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        found = self.server.repositories[name] = Repository(private)
        found.commit("main", {".gitattributes": Stored(b"*.onnx filter=lfs\n", False)}, "initial commit")
        return self._json(url)

    def info(self, name: str, revision: str = "main") -> None:
        if (at := self._commit_of(name, revision)) is not None:
            found, sha = at
            told = "blobs" in urlsplit(self.path).query
            files = [
                {"rfilename": path, **({"size": len(each.data)} if told else {})}
                for path, each in found.commits[sha].items()
            ]
            self._json({"id": name, "sha": sha, "private": found.private, "tags": [], "siblings": files})

    def tree(self, name: str, revision: str) -> None:
        if (at := self._commit_of(name, revision)) is not None:
            self._json([_entry(path, each) for path, each in at[0].commits[at[1]].items()])

    def branch(self, name: str, branch: str) -> None:
        if self._writes() and (found := self._repository(name)) is not None:
            if branch in found.branches:
                return self._json({"error": "exists"}, 409)
            found.branches[unquote(branch)] = found.branches["main"]
            self._json({})
        return None

    def validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, name: str, revision: str) -> None:
        if not self._writes() or (at := self._commit_of(name, revision)) is None:
            return
        here = at[0].commits[at[1]]
        asked = json.loads(self.sent)["files"]
        self._json({"files": [_mode(each, here.get(each["path"])) for each in asked]})

    def batch(self, name: str) -> None:
        if not self._writes():
            return
        objects: list[dict[str, Any]] = []
        for each in json.loads(self.sent)["objects"]:
            href = f"{self.server.address}/upload/{each['oid']}"
            actions = {"upload": {"href": href}, "verify": {"href": f"{self.server.address}/verify"}}
            new = each["oid"] not in self.server.large
            objects.append({**each, **({"actions": actions} if new else {})})
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if hashlib.sha256(self.sent).hexdigest() != oid:
            return self._json({"error": "other bytes"}, 400)
        self.server.large[oid] = self.sent
        return self._send(200, b"", {})

    def verify(self) -> None:
        known = json.loads(self.sent)["oid"] in self.server.large
        self._json({}, 200 if known else 404)

    def commit(self, name: str, revision: str) -> None:
        if not self._writes() or (at := self._commit_of(name, revision)) is None:
            return None
        found, sha = at
        files, header = dict(found.commits[sha]), {}
        for line in self.sent.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                header = value
            elif item["key"] == "file":
                files[value["path"]] = Stored(base64.b64decode(value["content"]), False)
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.server.large:
                    return self._json({"error": "no such object"}, 400)
                files[value["path"]] = Stored(self.server.large[value["oid"]], True)
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        if header.get("parentCommit", sha) != sha:
            return self._json({"error": "A commit has happened since."}, 412)
        new = found.commit(unquote(revision), files, header["summary"])
        url = f"{self.server.address}/{name}/commit/{new}"
        return self._json({"success": True, "commitOid": new, "commitUrl": url, "hookOutput": ""})

    def resolve(self, name: str, revision: str, path: str) -> None:
        if (at := self._commit_of(name, revision)) is None:
            return None
        found, sha = at
        commit = {"X-Repo-Commit": sha}
        each = found.commits[sha].get(unquote(path))
        if each is None:
            headers = {**commit, "X-Error-Code": "EntryNotFound"}
            return self._send(404, b"", headers)
        if not each.large:
            return self._part(each.data, {**commit, "ETag": f'"{each.etag}"'})
        size = {"X-Linked-Size": str(len(each.data)), "X-Linked-ETag": f'"{each.etag}"'}
        # Another host, so that the client takes what it needs to know from this answer.
        place = f"http://localhost:{self.server.server_address[1]}/store/{each.etag}"
        self.server.large[each.etag] = each.data
        return self._send(302, b"", {**commit, **size, "Location": place, "ETag": '"of the pointer"'})

    def store(self, oid: str) -> None:
        self._part(self.server.large[oid], {"ETag": f'"{oid}"'})

    def _part(self, data: bytes, headers: Mapping[str, str]) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted is None:
            return self._send(200, data, headers)
        first = int(wanted[1])
        span = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        return self._send(206, data[first:], {**headers, **span})


def _entry(path: str, each: Stored) -> dict[str, Any]:
    large = {"lfs": {"oid": each.etag, "size": len(each.data), "pointerSize": len(pointer(each.data))}}
    plain = {"type": "file", "path": path, "size": len(each.data), "oid": each.blob_id}
    return {**plain, **(large if each.large else {})}


def _mode(asked: Mapping[str, Any], here: Stored | None) -> dict[str, Any]:
    large = b"\0" in base64.b64decode(asked["sample"]) or asked["size"] > 1 << 20
    known = {} if here is None else {"oid": here.etag}
    return {
        "path": asked["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
        **known,
    }


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES: tuple[tuple[str, Callable[..., None]], ...] = (
    ("/api/repos/create", _Handler.create),
    ("/api/validate-yaml", _Handler.validate),
    (f"/api/models/{_NAME}", _Handler.info),
    (f"/api/models/{_NAME}/revision/([^/]+)", _Handler.info),
    (f"/api/models/{_NAME}/tree/([^/]+)", _Handler.tree),
    (f"/api/models/{_NAME}/branch/([^/]+)", _Handler.branch),
    (f"/api/models/{_NAME}/preupload/([^/]+)", _Handler.preupload),
    (f"/api/models/{_NAME}/commit/([^/]+)", _Handler.commit),
    (rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (f"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("/upload/([0-9a-f]{64})", _Handler.upload),
    ("/verify", _Handler.verify),
    ("/store/([0-9a-f]{64})", _Handler.store),
)


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    """Run a Hub in a thread."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


def join(monkeypatch: Any, hub: Hub, cache: Path, *, token: str | None = TOKEN) -> None:
    """Let the client, which is in this process, ask that Hub, without waiting between its tries."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", token or "")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no token"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
