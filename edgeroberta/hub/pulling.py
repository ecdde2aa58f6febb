"""From the Hub into its client's cache: every file of the manifest, each with the hash that it has there.

A revision is asked for once and followed by its commit, so what is published meanwhile cannot mix in. The
client's cache learns which commit a branch is at only when that commit is here as a whole: without a network,
the branch is what was last whole.
"""

from __future__ import annotations

import glob
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeroberta.errors import BundleError, UnavailableError
from edgeroberta.hub import client
from edgeroberta.hub.ids import HubId
from edgeroberta.runtime import manifest
from edgeroberta.runtime.manifest import MANIFEST_FILE, Manifest
from edgeroberta.storage.artifact import write_text
from edgeroberta.storage.files import README

logger = logging.getLogger(__name__)

_PUBLISH_AGAIN = "it was not published as a whole: edgeroberta push BUNDLE owner/name, where it was made"
_MAIN = "main"
_COMMIT = re.compile("[0-9a-f]{40}")
#: Bytes of the files of which no manifest says how large they are; each is read as a whole.
_MOST = {MANIFEST_FILE: 32 << 20, README: 4 << 20}


def pull(wanted: HubId) -> Path:
    """Return the folder of a bundle in the client's cache, fetched if it is not there, and checked.

    Raises:
        UnavailableError: The package or the Hub is missing, and there is no copy here; or no right to read.
        UsageError: There is no such repository or revision.
        BundleError: It is no bundle, or not a whole one.
    """
    hub = client.package(wanted)
    if (here := _pinned(hub, wanted)) is not None:
        return here
    try:
        info = client.ask(
            wanted,
            lambda: hub.HfApi().model_info(wanted.repository, revision=wanted.revision, files_metadata=True),
        )
    except UnavailableError as error:
        if error.code != "hub.unreachable":
            raise
        return _kept(hub, wanted, error)
    fetched = HubId(wanted.repository, str(info.sha))
    sizes = {each.rfilename: each.size for each in info.siblings or () if each.size is not None}
    _require_small(wanted, sizes)
    folder = Path(_file(hub, fetched, MANIFEST_FILE)).parent
    try:
        found = _read(folder, wanted)
    except BundleError:  # which the cache may be to blame for
        _again(hub, fetched, folder, MANIFEST_FILE)
        found = _read(folder, wanted)
    _require_sizes(wanted, found, sizes)
    _fetch(hub, fetched, found)
    _check(hub, wanted, fetched, found)
    _remember(wanted, found)
    return folder


def _require_small(wanted: HubId, sizes: Mapping[str, int]) -> None:
    """Refuse, before it is fetched, a file that is read as a whole and is larger than any bundle's."""
    for name, most in _MOST.items():
        if sizes.get(name, 0) > most:
            raise BundleError(
                f"{sizes[name]:,} bytes, where at most {most:,} are taken",
                where=f"{wanted}: {name}",
                hint="look on the Hub what that file is; a bundle's own is made by edgeroberta push",
                code="hub.too-large",
            )


def _require_sizes(wanted: HubId, found: Manifest, sizes: Mapping[str, int]) -> None:
    """Refuse, before they are fetched, files of other sizes than the manifest says, which are others."""
    listed = {**found.files, **{name: found.files[shared] for name, shared in found.links.items()}}
    for name, entry in listed.items():
        if sizes.get(name, entry.bytes) != entry.bytes:
            raise BundleError(
                f"not whole on the Hub: {sizes[name]:,} bytes, where the manifest says {entry.bytes:,}",
                where=f"{wanted}: {name}",
                hint=_PUBLISH_AGAIN,
                code="hub.incomplete",
            )


def _pinned(hub: Any, wanted: HubId) -> Path | None:
    """Return what is here of a commit, which never changes, if it is whole; nobody needs to be asked then."""
    if wanted.revision is None or not _COMMIT.fullmatch(wanted.revision):
        return None
    file = hub.try_to_load_from_cache(wanted.repository, MANIFEST_FILE, revision=wanted.revision)
    if not isinstance(file, str):
        return None
    try:
        found = manifest.read(Path(file).parent)
        manifest.check_files(found)
    except BundleError:  # which is put right where the Hub is asked
        return None
    return found.folder


def _kept(hub: Any, wanted: HubId, unreachable: UnavailableError) -> Path:
    """Return what was fetched before, without the network. Raises what kept the Hub from answering."""
    try:
        file = hub.hf_hub_download(
            wanted.repository, MANIFEST_FILE, revision=wanted.revision, local_files_only=True
        )
    except (OSError, ValueError):
        raise unreachable from None
    found = _read(Path(file).parent, wanted)
    try:
        manifest.check_files(found)
    except BundleError as error:
        raise BundleError(
            f"the copy in the cache is not whole, and the Hub cannot be reached ({error.what})",
            where=f"{wanted}: {error.where}",
            hint="run the same command again once there is a network",
            code="hub.incomplete",
        ) from error
    logger.warning("%s: the Hub cannot be reached; this is the copy of %s", wanted, found.folder.name[:12])
    return found.folder


def _file(hub: Any, fetched: HubId, name: str, *, force: bool = False) -> str:
    """Fetch one file into the cache and return its path there."""
    try:
        path: str = client.ask(
            fetched,
            lambda: hub.hf_hub_download(
                fetched.repository, name, revision=fetched.revision, force_download=force
            ),
        )
    except BundleError as error:
        if name != MANIFEST_FILE:
            raise BundleError(
                error.what, where=f"{fetched}: {name}", hint=_PUBLISH_AGAIN, code=error.code
            ) from error
        raise BundleError(
            f"not a bundle: there is no {MANIFEST_FILE} in this repository",
            where=str(fetched),
            hint="to make a bundle of a model: edgeroberta compress "
            f"{fetched.repository} --data DATA -o out/",
            code="hub.no-bundle",
        ) from error
    return path


def _again(hub: Any, fetched: HubId, folder: Path, name: str) -> None:
    """Fetch a file that is not what it should be; the cache may have it under a wrong hash."""
    (folder / name).unlink(missing_ok=True)
    _file(hub, fetched, name, force=True)


def _read(folder: Path, wanted: HubId) -> Manifest:
    """Read the manifest; what is wrong is told of the Hub's file, not of the cache's."""
    try:
        return manifest.read(folder)
    except BundleError as error:
        raise BundleError(error.what, where=f"{wanted}: {MANIFEST_FILE}", hint=error.hint) from error


def _fetch(hub: Any, fetched: HubId, found: Manifest) -> None:
    """Fetch what is not here yet; what the repository lacks is seen when files are checked."""
    names = [name for name in (*found.files, *found.links) if not (found.folder / name).is_file()]
    if names:
        patterns = [glob.escape(name) for name in (*names, README)]  # the card, which is not in the manifest
        client.ask(
            fetched,
            lambda: hub.snapshot_download(
                fetched.repository, revision=fetched.revision, allow_patterns=patterns
            ),
        )


def _check(hub: Any, wanted: HubId, fetched: HubId, found: Manifest) -> None:
    """Check every file; one that is wrong is fetched once more, since the cache may be what is damaged."""
    again = []
    for name in (*found.files, *found.links):
        try:
            manifest.check_file(found, name)
        except BundleError:
            again.append(name)
            _again(hub, fetched, found.folder, name)
    try:
        for name in (*found.files, *found.links) if again else ():
            manifest.check_file(found, name)
    except BundleError as error:
        raise BundleError(
            f"not whole on the Hub: {error.what}", where=f"{wanted}: {name}", hint=_PUBLISH_AGAIN,
            code="hub.incomplete",
        ) from error  # fmt: skip


def _remember(wanted: HubId, found: Manifest) -> None:
    """Let the cache know which commit the revision is at, now that it is here.

    The Hub is not asked again: the branch may be at another commit by now, of which nothing is here.
    """
    commit = found.folder.name
    if wanted.revision == commit:
        return
    ref = found.folder.parents[1] / "refs" / (wanted.revision or _MAIN)
    try:
        if not ref.is_file() or ref.read_text(encoding="utf-8") != commit:
            ref.parent.mkdir(parents=True, exist_ok=True)
            write_text(ref, commit)
    except OSError as error:  # it is only for the next time without a network
        logger.info("%s: not noted for use without a network (%s)", wanted, error)
