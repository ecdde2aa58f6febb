"""Where a bundle is that somebody names: a folder here, or a repository on the Hub."""

from __future__ import annotations

import os
from pathlib import Path

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
