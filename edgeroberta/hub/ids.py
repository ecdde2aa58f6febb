"""Names of bundles on the Hub: ``owner/name``, or ``owner/name@revision``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeroberta.errors import UsageError

_PART = r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_ID = re.compile(rf"({_PART}/{_PART})(?:@(\w[\w./-]{{0,199}}))?", re.ASCII)


@dataclass(frozen=True)
class HubId:
    """A bundle on the Hub."""

    repository: str  # ``owner/name``
    revision: str | None = None  # branch, tag or commit; None for the main branch

    def __str__(self) -> str:
        return self.repository if self.revision is None else f"{self.repository}@{self.revision}"


def parse(name: str) -> HubId | None:
    """Read ``owner/name`` or ``owner/name@revision``; None where it is neither."""
    found = _ID.fullmatch(name)
    if found is None or "--" in found[1] or ".." in name:  # which neither the Hub nor git takes
        return None
    return HubId(found[1], found[2])


def require(name: str, revision: str | None = None) -> HubId:
    """Read a name, and a revision that is named by itself. Raises UsageError: there can be none such."""
    found = parse(name)
    if found is None or (revision is not None and parse(f"a/b@{revision}") is None):
        raise UsageError(
            "this cannot be a bundle's name on the Hub",
            where=name if revision is None else f"{name}@{revision}",
            hint="write owner/name, or owner/name@revision",
            code="hub.name",
        )
    if revision is not None and found.revision is not None:
        raise UsageError("two revisions are named", where=str(found), hint="name one", code="hub.name")
    return HubId(found.repository, revision or found.revision)
