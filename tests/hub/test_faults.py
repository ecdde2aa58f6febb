"""What goes wrong between here and the Hub ends in a bundle that is whole, or in an error with its code."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fake_bundles
import loopback_hub
import pytest
from loopback_hub import Fault

import edgeroberta
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.hub import client
from edgeroberta.hub.ids import require
from edgeroberta.runtime import manifest

NAME = "someone/reviews"
# The client of 2.4 uploads large files in a way that its HTTP package deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
DONE = "done"
ROOT = Path(edgeroberta.__file__).parents[1]


@pytest.fixture(scope="module")
def former(tmp_path_factory):
    return fake_bundles.write(tmp_path_factory.mktemp("former"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return fake_bundles.write(tmp_path_factory.mktemp("bundle"), table=-fake_bundles.default_table())


def digest(folder: Path) -> str:
    return manifest.read(folder).digest


def outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except EdgeRobertaError as error:
        told = error.where and error.hint and loopback_hub.TOKEN not in str(error)
        return error.code if told else f"{error.code}, badly told: {error}"
    return DONE


def pulled(cache: Path, monkeypatch) -> str:
    """Return the digest of what a newcomer gets, or the code of the error."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    try:
        folder = edgeroberta.pull(NAME)
    except EdgeRobertaError as error:
        return error.code
    manifest.check_files(manifest.read(folder))
    return digest(folder)


def ignored(data: bytes) -> bytes:
    answer = json.loads(data)
    for each in answer["files"]:
        each["shouldIgnore"] = each["path"] == "model.onnx"
    return json.dumps(answer).encode()


def already_there(data: bytes) -> bytes:
    answer = json.loads(data)
    for each in answer["objects"]:
        each.pop("actions", None)
    return json.dumps(answer).encode()


def other_hash(data: bytes) -> bytes:
    answer = json.loads(data)
    for each in answer:
        each["lfs"] = {**each["lfs"], "oid": "0" * 64} if "lfs" in each else None
        if each["lfs"] is None:
            del each["lfs"]
    return json.dumps(answer).encode()


def without_goldens(data: bytes) -> bytes:
    return json.dumps([each for each in json.loads(data) if each["path"] != "goldens.json"]).encode()


INFO, TREE, FORMER = "GET /api/models/.*reviews$", "GET .*/tree/", "HEAD .*/resolve/.*manifest.json"
PREUPLOAD, BATCH, UPLOAD, VERIFY, COMMIT = (
    "/preupload/",
    "objects/batch",
    "PUT /upload/",
    "POST /verify",
    "/commit/",
)

PUSHES = {
    "cut, asking for the repository": (Fault(INFO, cut=True, times=1), DONE),
    "always cut, asking for the repository": (Fault(INFO, cut=True), "hub.unreachable"),
    "cut, listing files": (Fault(TREE, cut=True, times=1), DONE),
    "cut, reading the former manifest": (Fault(FORMER, cut=True, times=1), DONE),
    "cut, asking how to upload": (Fault(PREUPLOAD, cut=True, times=1), DONE),
    "always cut, asking how to upload": (Fault(PREUPLOAD, cut=True), "hub.unreachable"),
    "cut, asking where to upload": (Fault(BATCH, cut=True, times=1), DONE),
    "always cut, asking where to upload": (Fault(BATCH, cut=True), "hub.unreachable"),
    "cut, uploading": (Fault(UPLOAD, cut=True, times=1), DONE),
    "always cut, uploading": (Fault(UPLOAD, cut=True), "hub.unreachable"),
    "cut behind an upload": (Fault(UPLOAD, cut=True, late=True, times=1), DONE),
    "cut, confirming an upload": (Fault(VERIFY, cut=True, times=1), DONE),
    "cut before the commit": (Fault(COMMIT, cut=True, times=1), DONE),
    "always cut before the commit": (Fault(COMMIT, cut=True), "hub.unreachable"),
    "cut behind the commit": (Fault(COMMIT, cut=True, late=True), DONE),
    "500 in place of the commit": (Fault(COMMIT, status=500, times=1), DONE),
    "always 500 in place of the commit": (Fault(COMMIT, status=500), "hub.unreachable"),
    "504 behind the commit": (Fault(COMMIT, status=504, late=True), DONE),
    "no answer that is one behind the commit": (Fault(COMMIT, late=True), DONE),
    "503, asking how to upload": (Fault(PREUPLOAD, status=503, times=1), DONE),
    "429, asking where to upload": (Fault(BATCH, status=429, times=1), DONE),
    "409 at the commit": (Fault(COMMIT, status=409), "hub.conflict"),
    "412 at the commit": (Fault(COMMIT, status=412), "hub.conflict"),
    "403 at the commit": (Fault(COMMIT, status=403), "hub.no-access"),
    "401, as of what one may not see": (Fault("", status=401, code="RepoNotFound"), "hub.not-found"),
    "401, as of a wrong token": (Fault("", status=401), "hub.no-access"),
    "404 at the commit": (Fault(COMMIT, status=404, code="RepoNotFound"), "hub.not-found"),
    "the card is refused": (Fault("/validate-yaml", status=400), "hub.answer"),
    "other bytes arrive": (Fault(UPLOAD, status=400), "hub.answer"),
    "a file is said to be there": (Fault(BATCH, body=already_there), "hub.answer"),
    "a file is ignored": (Fault(PREUPLOAD, body=ignored), "hub.not-as-sent"),
    "other hashes are read back": (Fault(TREE, body=other_hash, skip=1), "hub.not-as-sent"),
    "slow, uploading": (Fault(UPLOAD, seconds=0.3, times=1), DONE),
}  # fmt: skip


@pytest.mark.parametrize("case", PUSHES)
def test_a_push_that_fails_leaves_what_was_there(hub, former, bundle, tmp_path, monkeypatch, case):
    fault, expected = PUSHES[case]
    shutil.copytree(bundle, tmp_path / "with card")
    (tmp_path / "with card" / "README.md").write_text("---\nlibrary_name: edgeroberta\n---\n# A card\n")
    assert outcome(lambda: edgeroberta.push(former, NAME)) == DONE
    hub.faults.append(replace(fault))
    assert outcome(lambda: edgeroberta.push(tmp_path / "with card", NAME)) == expected
    hub.faults.clear()
    seen = pulled(tmp_path / "newcomer", monkeypatch)
    if case == "a file is ignored":
        assert seen == "hub.incomplete"
    else:
        new = expected == DONE or case == "other hashes are read back"
        assert seen == digest(bundle if new else former)
    assert outcome(lambda: edgeroberta.push(tmp_path / "with card", NAME)) == DONE
    assert pulled(tmp_path / "newcomer", monkeypatch) == digest(bundle)


def test_of_two_pushes_at_once_one_is_refused(hub, former, bundle, tmp_path, monkeypatch):
    edgeroberta.push(former, NAME)
    other = fake_bundles.write(tmp_path / "other", table=2 * fake_bundles.default_table())
    hub.faults.append(Fault(COMMIT, act=lambda: hub.seed(NAME, other) and None))
    assert outcome(lambda: edgeroberta.push(bundle, NAME)) == "hub.conflict"
    assert pulled(tmp_path / "newcomer", monkeypatch) == digest(other)


def test_without_the_right_to_write_nothing_is_made(hub, bundle):
    hub.rights = False
    assert outcome(lambda: edgeroberta.push(bundle, NAME)) == "hub.no-access"
    assert hub.repositories == {}


SMALL, LARGE, STORE = "/resolve/.*goldens.json", "HEAD /.*/resolve/.*model.onnx", "GET /store/"
MANIFEST = "/resolve/.*manifest.json"
FORMER_ONE = "former"
ONE = {"ETag": '"one"', "X-Linked-ETag": '"one"'}

PULLS = {
    "cut, asking for the revision": (Fault(INFO, cut=True, times=1), DONE),
    "always cut": (Fault("", cut=True), FORMER_ONE),
    "always 503": (Fault("", status=503), FORMER_ONE),
    "always 429": (Fault("", status=429), FORMER_ONE),
    "repository gone": (Fault("", status=404, code="RepoNotFound"), "hub.not-found"),
    "revision gone": (Fault("", status=404, code="RevisionNotFound"), "hub.not-found"),
    "401, as of what one may not see": (Fault("", status=401, code="RepoNotFound"), "hub.not-found"),
    "401, as of a wrong token": (Fault("", status=401), "hub.no-access"),
    "no rights, 403": (Fault("", status=403), "hub.no-access"),
    "no rights, gated": (Fault("", status=403, code="GatedRepo"), "hub.no-access"),
    "no such answer": (Fault(INFO, body=lambda data: b"<html>"), "hub.answer"),
    "cut, asking for the manifest": (Fault(f"HEAD .*{MANIFEST}", cut=True, times=1), DONE),
    "cut, reading the manifest": (Fault(f"GET .*{MANIFEST}", cut=True, times=1), DONE),
    "no manifest": (Fault(f"HEAD .*{MANIFEST}", status=404, code="EntryNotFound"), "hub.no-bundle"),
    "half a manifest": (Fault(f"GET .*{MANIFEST}", truncate=True, times=1), DONE),
    "another manifest": (Fault(f"GET .*{MANIFEST}", body=lambda data: data[::-1], times=1), DONE),
    "always another manifest": (Fault(f"GET .*{MANIFEST}", body=lambda data: data[::-1]), "bundle"),
    "cut, listing files": (Fault(TREE, cut=True, times=1), DONE),
    "500, listing files": (Fault(TREE, status=500, times=1), DONE),
    "a file is not listed": (Fault(TREE, body=without_goldens), DONE),
    "cut, asking for a small file": (Fault(f"HEAD .*{SMALL}", cut=True, times=1), DONE),
    "cut, asking for a large file": (Fault(LARGE, cut=True, times=1), DONE),
    "cut, reading a large file": (Fault(STORE, cut=True, times=1), DONE),
    "cut in the middle of a large file": (Fault(STORE, truncate=True, times=1), DONE),
    "never more than half of what is left": (Fault(STORE, truncate=True), "hub.unreachable"),
    "always cut, reading a large file": (Fault(STORE, cut=True), "hub.unreachable"),
    "500, reading a large file": (Fault(STORE, status=500, times=1), DONE),
    "429, reading a large file": (Fault(STORE, status=429, times=1), DONE),
    "other bytes": (Fault(STORE, body=lambda data: data[::-1], times=1), DONE),
    "always other bytes": (Fault(STORE, body=lambda data: data[::-1]), "hub.incomplete"),
    "always other small bytes": (Fault(f"GET .*{SMALL}", body=lambda data: data[::-1]), "hub.incomplete"),
    "fewer bytes of a small file": (Fault(f"GET .*{SMALL}", body=lambda data: data[:9], times=1), DONE),
    "another file's ETag": (Fault(f"HEAD .*{SMALL}", headers={"ETag": '"of the manifest"'}), DONE),
    "all files have one ETag": (Fault("HEAD .*/resolve/", headers=ONE), "hub.incomplete"),
    "a file is gone": (Fault(SMALL, status=404, code="EntryNotFound"), "hub.incomplete"),
    "slow": (Fault(STORE, seconds=0.3, times=1), DONE),
}  # fmt: skip


@pytest.mark.parametrize("case", PULLS)
def test_a_pull_gives_a_whole_bundle_or_none(hub, former, bundle, tmp_path, monkeypatch, case):
    fault, expected = PULLS[case]
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.seed(NAME, former)
    assert pulled(tmp_path / "cache", monkeypatch) == digest(former)
    hub.seed(NAME, bundle)
    hub.faults.append(replace(fault))
    seen = pulled(tmp_path / "cache", monkeypatch)
    assert seen == {DONE: digest(bundle), FORMER_ONE: digest(former)}.get(expected, expected)
    hub.faults.clear()
    assert pulled(tmp_path / "cache", monkeypatch) == digest(bundle)


@pytest.mark.parametrize("fault", [Fault("", cut=True), Fault("", status=503)])
def test_where_nothing_was_fetched_before_the_hub_is_needed(hub, bundle, tmp_path, monkeypatch, fault):
    hub.seed(NAME, bundle)
    hub.faults.append(replace(fault))
    assert pulled(tmp_path / "cache", monkeypatch) == "hub.unreachable"


def test_a_copy_that_is_no_longer_whole_is_not_used_without_the_hub(hub, bundle, tmp_path, monkeypatch):
    hub.seed(NAME, bundle)
    pulled(tmp_path / "cache", monkeypatch)
    (file,) = (tmp_path / "cache").glob("models--*/snapshots/*/goldens.json")
    file.unlink()
    hub.faults.append(Fault("", cut=True))
    assert pulled(tmp_path / "cache", monkeypatch) == "hub.incomplete"


def test_a_full_disk_is_told_as_the_system_tells_it(hub, bundle, tmp_path, monkeypatch):
    import huggingface_hub

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    hub.seed(NAME, bundle)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(OSError, match="No space left") as caught:
        edgeroberta.pull(NAME)
    assert caught.value.errno == errno.ENOSPC


def killed_at(hub, asked: str, tmp_path: Path, *words: str) -> None:
    """Run a command in a process of its own, and kill it at a request."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": loopback_hub.TOKEN,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeroberta", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    hub.faults.append(Fault(asked, act=process.kill, cut=True))
    assert process.wait(60) == -signal.SIGKILL
    hub.faults.clear()


@pytest.mark.parametrize("asked", [UPLOAD, COMMIT])
def test_a_push_that_is_killed_leaves_what_was_there_and_resumes(
    hub, former, bundle, tmp_path, monkeypatch, asked
):
    edgeroberta.push(former, NAME)
    killed_at(hub, asked, tmp_path, "push", str(bundle), NAME)
    assert pulled(tmp_path / "newcomer", monkeypatch) == digest(former)
    hub.requests.clear()
    assert outcome(lambda: edgeroberta.push(bundle, NAME)) == DONE
    sent = [each for each in hub.requests if each.startswith("PUT")]
    assert len(sent) == (1 if asked == UPLOAD else 0)  # what the Hub has already is not sent again
    assert pulled(tmp_path / "newcomer", monkeypatch) == digest(bundle)


def test_a_pull_that_is_killed_resumes(hub, bundle, tmp_path, monkeypatch):
    hub.seed(NAME, bundle)
    killed_at(hub, STORE, tmp_path, "pull", NAME)
    assert pulled(tmp_path / "cache", monkeypatch) == digest(bundle)


def test_the_signature_of_an_address_is_not_told():
    said = "Max retries exceeded with url: /repos/x?X-Amz-Signature=abc&X-Amz-Expires=900 (Caused by Error())"
    error = client.refusal(require(NAME), ConnectionError(said))
    assert error.code == "hub.unreachable"
    assert "/repos/x?… (Caused by" in error.what


def test_quiet_leaves_nothing_on_stderr_of_the_client(hub, bundle, tmp_path):
    hub.seed(NAME, bundle)
    words = [sys.executable, "-m", "edgeroberta", "pull", NAME]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": loopback_hub.TOKEN,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run([*words, "--quiet"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert manifest.read(Path(done.stdout.strip())).digest == digest(bundle)
