"""To the Hub: large files first, then one commit that makes them a bundle, then a look at what is there.

Until the commit nobody sees anything, so a push that is killed leaves the revision as it was, and the next
one sends only what the Hub has not got. The commit names its parent: of two pushes at once one is refused.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.hub import client
from edgeroberta.hub.ids import HubId
from edgeroberta.hub.published import PublishedFile, PublishedForm
from edgeroberta.runtime.manifest import KIND, MANIFEST_FILE
from edgeroberta.storage.files import README

logger = logging.getLogger(__name__)

_MAIN = "main"
#: What may lie in a repository that is to become a bundle: the Hub's own files, and those of licences.
_HUBS_OWN = (".gitattributes", ".gitignore", README, "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE")


@dataclass(frozen=True)
class Published:
    """What became of a push."""

    commit: str  # the commit that has the bundle
    private: bool  # whether the repository is
    new: bool  # False where the Hub had all of it already


@dataclass(frozen=True)
class _Head:
    """A branch before a push."""

    commit: str
    files: Mapping[str, Any]  # path to what the client tells of a file


def push(form: PublishedForm, wanted: HubId, *, message: str, public: bool) -> Published:
    """Publish a bundle in one commit.

    Raises:
        UnavailableError: The Hub cannot be reached, or does not let you write.
        UsageError: The repository is public and ``public`` does not say so, or holds something else.
        EdgeRobertaError: Somebody else published meanwhile, or the Hub has not what was sent.
    """
    hub = client.package(wanted)
    api = hub.HfApi()
    private = _repository(api, wanted, public)
    head = _head(api, wanted)
    stale = _stale(hub, wanted, head, form)
    if not stale and not _differences(head.files, form.files):
        return Published(head.commit, private, new=False)
    additions = [
        hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=file.content)
        for name, file in form.files.items()
    ]
    client.ask(
        wanted,
        lambda: api.preupload_lfs_files(
            wanted.repository, additions, revision=wanted.revision or _MAIN, free_memory=False
        ),
    )
    operations = [*additions, *(hub.CommitOperationDelete(path_in_repo=name) for name in stale)]
    commit = _commit(api, wanted, head, operations, form, message)
    _require_same(api, HubId(wanted.repository, commit), form)
    return Published(commit, private, new=True)


def _repository(api: Any, wanted: HubId, public: bool) -> bool:
    """Make the repository if there is none, and tell whether it is private."""
    name = wanted.repository
    try:
        info = client.ask(wanted, lambda: api.model_info(name))
    except UsageError as error:
        if error.code != "hub.not-found":
            raise
        client.ask(wanted, lambda: api.create_repo(name, private=not public, exist_ok=True))
        info = client.ask(wanted, lambda: api.model_info(name))
    private = bool(info.private)
    if not private and not public:
        raise UsageError(
            "the repository is public, so everybody would see the bundle",
            where=name,
            hint="--public, if that is meant; else make it private on the Hub, or name another one",
            code="hub.public",
        )
    if private and public:
        logger.warning("%s: stays private: who may see it is changed in its settings on the Hub", name)
    return private


def _head(api: Any, wanted: HubId) -> _Head:
    """Return what the branch is at; a branch that is not there is made."""
    branch = wanted.revision or _MAIN
    try:
        info = client.ask(wanted, lambda: api.model_info(wanted.repository, revision=branch))
    except UsageError as error:
        if error.code != "hub.not-found":
            raise
        client.ask(wanted, lambda: api.create_branch(wanted.repository, branch=branch, exist_ok=True))
        info = client.ask(wanted, lambda: api.model_info(wanted.repository, revision=branch))
    return _Head(str(info.sha), _tree(api, HubId(wanted.repository, str(info.sha))))


def _tree(api: Any, at: HubId) -> dict[str, Any]:
    entries = client.ask(
        at, lambda: list(api.list_repo_tree(at.repository, recursive=True, revision=at.revision))
    )
    return {entry.path: entry for entry in entries if hasattr(entry, "blob_id")}


def _stale(hub: Any, wanted: HubId, head: _Head, form: PublishedForm) -> list[str]:
    """Return the files of the bundle that is there now which the new one has not; other files stay.

    Raises UsageError: what is there is no bundle.
    """
    former = _former(hub, wanted, head)
    if former is None:
        others = sorted(set(head.files) - set(_HUBS_OWN))
        if others:
            raise UsageError(
                f"the repository holds something else than a bundle ({', '.join(others[:3])})",
                where=str(wanted),
                hint="name another repository, or another branch with --revision",
                code="hub.occupied",
            )
        return []
    return sorted(name for name in former if name in head.files and name not in form.files)


def _former(hub: Any, wanted: HubId, head: _Head) -> set[str] | None:
    """Return the names in the manifest that is there; None where there is none of a bundle."""
    if MANIFEST_FILE not in head.files:
        return None
    file = client.ask(
        wanted, lambda: hub.hf_hub_download(wanted.repository, MANIFEST_FILE, revision=head.commit)
    )
    try:
        fields = json.loads(Path(file).read_bytes())
        return {*fields["files"], *fields.get("links", {})} if fields["kind"] == KIND else None
    except (ValueError, LookupError, TypeError):
        return None


def _commit(
    api: Any, wanted: HubId, head: _Head, operations: list[Any], form: PublishedForm, message: str
) -> str:
    """Make the commit; where no answer comes, look whether it was made before it is tried again."""
    for last in (False, True):
        try:
            made = client.ask(
                wanted,
                lambda: api.create_commit(
                    wanted.repository,
                    operations,
                    commit_message=message,
                    revision=wanted.revision or _MAIN,
                    parent_commit=head.commit,
                ),
                repeat=False,
            )
        except EdgeRobertaError as error:
            logger.info("%s: no answer to the commit (%s); looking what is there", wanted, error)
            now = _head(api, wanted)
            if now.commit != head.commit and not _differences(now.files, form.files):
                return now.commit
            if last or error.code != "hub.unreachable":
                raise
        else:
            return str(made.oid)
    raise AssertionError("the last try returns or raises")


def _require_same(api: Any, at: HubId, form: PublishedForm) -> None:
    """Read back what is there: names, sizes and hashes."""
    if wrong := _differences(_tree(api, at), form.files):
        raise EdgeRobertaError(
            f"the Hub has not what was sent: {', '.join(wrong[:3])}",
            where=str(at),
            hint="run the same command again; until then nobody can load it",
            code="hub.not-as-sent",
        )


def _differences(there: Mapping[str, Any], files: Mapping[str, PublishedFile]) -> list[str]:
    """Return the names of files that are missing there, or are others."""
    return [name for name, file in files.items() if name not in there or not _is_same(there[name], file)]


def _is_same(entry: Any, file: PublishedFile) -> bool:
    if entry.size != file.size:
        return False
    large = entry.lfs
    return bool(entry.blob_id == file.blob_id if large is None else large.sha256 == file.sha256)
