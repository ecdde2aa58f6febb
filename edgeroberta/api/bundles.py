"""Bundles by name: a folder here, or a repository on the Hub, to which and from which they come."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta.api.results import Result
from edgeroberta.errors import BundleError, UsageError


def find(bundle: str | os.PathLike[str], *, revision: str | None = None) -> Path:
    """Return the folder of a bundle; one that is on the Hub is fetched into its client's cache first.

    A folder of that name wins, and so does one that only its last part is missing of: ``out/demo`` is on the
    Hub where there is no folder ``out``. ``revision``: branch, tag or commit on the Hub. Raises UsageError: a
    revision of a folder; BundleError: there is no such folder; what :func:`edgeroberta.hub.pulling.pull`
    raises.
    """
    from edgeroberta.hub import ids, pulling

    path = Path(bundle)
    wanted = ids.parse(bundle) if isinstance(bundle, str) else None
    if wanted is None or path.exists():
        if revision is not None:
            raise UsageError(
                "a folder has no revisions", where=str(bundle), hint="leave the revision out", code="hub.name"
            )
        return path
    if revision is None and wanted.revision is None and path.parent.exists():
        raise BundleError(
            "there is no such folder",
            where=str(bundle),
            hint=f"check the path; of a bundle on the Hub name the revision, too: {bundle}@main",
        )
    return pulling.pull(ids.require(str(bundle), revision))


@dataclass(frozen=True)
class PushResult(Result):
    """What is published of a bundle, and where."""

    bundle: Path  # the bundle's folder
    repository: str  # ``owner/name``
    revision: str | None  # the branch; None for the main one
    digest: str  # the bundle's, on the Hub as here
    files: Mapping[str, int]  # path on the Hub to bytes
    changed: Mapping[str, str]  # files that say something else there, and what
    left_out: Mapping[str, str]  # files that stay here, and why
    card: str  # the model card
    commit: str | None = None  # the commit that has the bundle; None of a dry run
    private: bool | None = None  # whether the repository is; None of a dry run
    new: bool = False  # False where nothing was sent, since the Hub had all of it

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object, the same as ``edgeroberta push --json``."""
        return {**asdict(self), "bundle": str(self.bundle)}

    def __str__(self) -> str:
        from edgeroberta.report.table import Table

        rows = [(name, f"{size:,}", self.changed.get(name, "")) for name, size in self.files.items()]
        parts = [Table.of(("published", "bytes", ""), rows, words=(0, 2)).text()]
        if self.left_out:
            parts.append(Table.of(("not published", "why"), sorted(self.left_out.items()), words=2).text())
        if self.commit is None:
            parts.append(self.card.rstrip())
        seen = {True: "private", False: "public", None: "a dry run: nothing was sent"}[self.private]
        parts.append(f"{self.repository}, {self.revision or 'main'} ({seen}): digest {self.digest[:12]}")
        if self.commit is not None:
            parts[-1] += f", commit {self.commit[:12]}" + ("" if self.new else ", as it was there before")
        return "\n\n".join(parts)


def push(
    bundle: str | os.PathLike[str],
    repository: str,
    *,
    revision: str | None = None,
    message: str | None = None,
    public: bool = False,
    with_examples: bool = False,
    publish_failed: bool = False,
    allow_names: str | Sequence[str] = (),
    dry_run: bool = False,
) -> PushResult:
    """Publish a bundle on the Hub, in one commit, without what is private in it.

    Args:
        bundle: The bundle's folder; it is not changed.
        repository: ``owner/name``; it is made if there is none, private.
        revision: Branch, which is made if there is none; the main one if not given.
        message: Message of the commit.
        public: A repository that is made may be seen by everybody; needed for one that may be already.
        with_examples: Publish the texts of your data that the report shows, where it was told to keep them.
        publish_failed: Publish a bundle that did not pass its gate.
        allow_names: Names of this computer or of its user that may be in what is published.
        dry_run: Check all and show what would be published; nothing is sent, and nobody asked.

    Returns:
        What is published, what stays here and why, and the commit.

    Raises:
        BundleError: It is no bundle, or a damaged one.
        GateError: It did not pass its gate.
        UsageError: Something private would be published; or the repository is public, or no bundle.
        UnavailableError: The Hub cannot be reached, or does not let you write.
        EdgeRobertaError: Somebody else published meanwhile, or the Hub has not what was sent.
    """
    from edgeroberta.api.data import several
    from edgeroberta.hub import ids, published, pushing

    wanted = ids.require(repository, revision)
    made = published.form(Path(bundle), wanted, with_examples=with_examples, allowed=several(allow_names))
    if not publish_failed:
        published.require_passed(made)
    result = PushResult(
        bundle=Path(bundle),
        repository=wanted.repository,
        revision=wanted.revision,
        digest=made.facts.digest,
        files={name: file.size for name, file in made.files.items()},
        changed=made.changed,
        left_out=made.left_out,
        card=made.card,
    )
    if dry_run:
        return result
    about = f"Publish a bundle of {made.facts.precision} (EdgeRoBERTa {made.facts.created_by})"
    done = pushing.push(made, wanted, message=message or about, public=public)
    return replace(result, commit=done.commit, private=done.private, new=done.new)


def pull(
    repository: str, output: str | os.PathLike[str] | None = None, *, revision: str | None = None
) -> Path:
    """Fetch a bundle from the Hub, every file checked; what is in the cache is not fetched again.

    Args:
        repository: ``owner/name`` or ``owner/name@revision``.
        output: Folder to copy it to, to be carried to a device, say; nothing may be there. It stays in the
            cache of the Hub's client if not given.
        revision: Branch, tag or commit; the main branch if not given.

    Returns:
        The bundle's folder.

    Raises:
        BundleError: It is no bundle, or not a whole one.
        UnavailableError: The Hub cannot be reached and there is no copy here, or you may not read it.
        UsageError: There is no such repository or revision, or the output is there already.
    """
    from edgeroberta.hub import ids, pulling
    from edgeroberta.storage import paths

    wanted, place = ids.require(repository, revision), None if output is None else paths.named(Path(output))
    if place is not None and place.exists():
        raise UsageError(
            "is there already; it is left untouched", where=str(place), hint="name another folder"
        )
    folder = pulling.pull(wanted)
    if place is None:
        return folder
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as temporary:
        _copy(folder, Path(temporary) / place.name)
        (Path(temporary) / place.name).rename(place)
    return place


def _copy(folder: Path, place: Path) -> None:
    """Copy a bundle's own files: other programs may have put more of the repository into the cache."""
    from edgeroberta.runtime import manifest
    from edgeroberta.storage.artifact import link_or_copy
    from edgeroberta.storage.files import README

    facts = manifest.read(folder)
    for name in (manifest.MANIFEST_FILE, README, *facts.files, *facts.links):
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name in facts.links:
            link_or_copy(place / facts.links[name], file)
        elif name != README or (folder / name).is_file():
            shutil.copyfile(folder / name, file)
