"""The published form of a bundle: which files go to the Hub, what they say there, and what stays here.

The list is the manifest's. The published form has a manifest of its own, which follows from the bundle's
alone, so the same bundle has the same one each time; what its answers hang on, and with it the digest, is the
same in both. The card is not in that manifest: people edit it on the Hub.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from edgeroberta.errors import BundleError, GateError, UsageError
from edgeroberta.hub import private
from edgeroberta.hub.ids import HubId
from edgeroberta.runtime import manifest
from edgeroberta.runtime.manifest import MANIFEST_FILE, Manifest
from edgeroberta.runtime.tier_facts import TIERS
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import digest_file
from edgeroberta.storage.files import CARD_FOLDER, README, RECIPE, REFERENCE_FOLDER, REPORT, REPORTS

#: Manifests before this one have other fields.
_OLDEST = 3
_REPORT = REPORTS + REPORT
#: What is told of the report for people, which cannot be taken apart again.
_PAGES = (".md", ".html")
_REFERENCE_STAYS = "what the baseline answered to your rows"
_EXAMPLES_STAY = "texts of your data; --with-examples publishes them"
_NOT_OURS = "not part of the bundle"
_PLACES_GONE = "paths are the names at their ends"
#: How a card loads a bundle, from a folder and from the Hub.
_LOADING = (
    ("pip install 'edgeroberta[", "pip install 'edgeroberta[hub,"),
    ("from edgeroberta.runtime import Runtime\n", "import edgeroberta\n"),
    (f'Runtime.open("{CARD_FOLDER}")', f'edgeroberta.load("{CARD_FOLDER}")'),
)
_SHOWN = 5


@dataclass(frozen=True)
class PublishedFile:
    """A file as it is on the Hub."""

    content: Path | bytes  # where it lies, or what it is

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Hash of its bytes, hex."""
        if isinstance(self.content, bytes):
            return hashlib.sha256(self.content).hexdigest()
        return digest_file(self.content)

    @cached_property
    def blob_id(self) -> str:
        """Its name in git, which the Hub tells of small files."""
        data = self.read()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()

    def read(self) -> bytes:
        """Return its bytes."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True)
class PublishedForm:
    """A bundle as it is on the Hub."""

    facts: Manifest  # of the bundle here
    files: Mapping[str, PublishedFile]  # by path, manifest and card included
    changed: Mapping[str, str]  # files that say something else than here, and what
    left_out: Mapping[str, str]  # files that stay here, and why

    @property
    def card(self) -> str:
        """The model card; empty where the bundle has none."""
        return self.files[README].read().decode() if README in self.files else ""


def form(
    folder: Path, wanted: HubId, *, with_examples: bool = False, allowed: tuple[str, ...] = ()
) -> PublishedForm:
    """Make the published form of a bundle; nothing is written.

    ``wanted``: where it will be, which the card shows how to load. ``with_examples``: whether texts of the
    data that the report shows are published. ``allowed``: names of this computer or of its user that may be.
    Raises BundleError: it is no bundle, is damaged, or of too old a version; UsageError: something private is
    in it that cannot be taken out.
    """
    facts = manifest.read(folder)
    manifest.check_files(facts)
    fields = jsontext.loads((folder / MANIFEST_FILE).read_bytes())
    if fields["schema_version"] < _OLDEST:
        raise BundleError(
            "of a version whose manifests cannot be written any more",
            where=str(folder / MANIFEST_FILE),
            hint="compress it again with this version",
        )
    making = _Making(folder, with_examples)
    making.add(fields, "")
    making.add_card(wanted)
    making.left_out.update(
        dict.fromkeys(_others(folder, {*making.files, *facts.files, *facts.links}), _NOT_OURS)
    )
    _require_public(making.files, allowed=(*allowed, *wanted.repository.split("/")))
    return PublishedForm(facts, dict(sorted(making.files.items())), making.changed, making.left_out)


def _others(folder: Path, known: Collection[str]) -> Iterator[str]:
    """Yield what else is in a bundle's folder; a folder of others alone by its name."""
    ours = {parent.as_posix() for name in known for parent in PurePosixPath(name).parents}
    for item in sorted(folder.iterdir()):
        name = item.name
        if item.is_dir() and name not in ours:
            yield f"{name}/"
        elif item.is_dir():
            below = {each.removeprefix(f"{name}/") for each in known if each.startswith(f"{name}/")}
            yield from (f"{name}/{each}" for each in _others(item, below))
        elif name not in known:
            yield name


class _Making:
    """The parts of a published form that is being made."""

    def __init__(self, folder: Path, with_examples: bool) -> None:
        self.folder, self.with_examples = folder, with_examples
        self.files: dict[str, PublishedFile] = {}
        self.changed: dict[str, str] = {}
        self.left_out: dict[str, str] = {}

    def add(self, fields: dict[str, Any], prefix: str) -> None:
        """Add what a manifest lists, and then the manifest; of a tier its path is ``prefix``."""
        self._take_examples_out(fields["files"], prefix)
        for name in fields["files"]:
            path = prefix + name
            if path.startswith(REFERENCE_FOLDER + "/"):
                self.left_out[path] = _REFERENCE_STAYS
            if path in self.left_out or path in self.files or path == README:
                continue
            if path.startswith(f"{TIERS}/") and path.endswith(f"/{MANIFEST_FILE}"):
                tier = path.removesuffix(MANIFEST_FILE)
                self.add(jsontext.loads((self.folder / path).read_bytes()), tier)
            else:
                self.files[path] = PublishedFile(self._told(path) or self.folder / path)
        for name, shared in fields.get("links", {}).items():
            self.files[prefix + name] = self.files[prefix + shared]
        self._seal(fields, prefix)

    def _take_examples_out(self, names: Mapping[str, Any], prefix: str) -> None:
        """Take texts of the data out of the report, and leave out the pages that show them."""
        if self.with_examples or prefix or _REPORT not in names:
            return
        found = jsontext.loads((self.folder / _REPORT).read_bytes(), finite=False)
        shown = found.get("flips") or ()
        if all(each.get("text") is None and each.get("pair") is None for each in shown):
            return
        self.files[_REPORT] = PublishedFile(_json(private.rewritten({**found, "flips": []})))
        self.changed[_REPORT] = "without " + _EXAMPLES_STAY
        pages = [name for name in names if name.startswith(REPORTS) and name.endswith(_PAGES)]
        self.left_out.update(dict.fromkeys(pages, _EXAMPLES_STAY))

    def _told(self, path: str) -> bytes | None:
        """Return what a file that no answer hangs on says without paths; None where it may stay."""
        if path != RECIPE and not path.startswith(REPORTS):
            return None
        data = (self.folder / path).read_bytes()
        if path.endswith(".json"):
            value = jsontext.loads(data, finite=False)
            told = private.rewritten(value)
            public = data if told == value else _json(told)
        else:
            public = private.without_places(data.decode("utf-8")).encode()
        if public == data:
            return None
        self.changed[path] = _PLACES_GONE
        return public

    def _seal(self, fields: dict[str, Any], prefix: str) -> None:
        """Add the manifest of the files as they are published."""
        listed = [name for name in fields["files"] if prefix + name in self.files]
        told = private.rewritten({name: fields[name] for name in ("lineage", "baseline", "gate")})
        entries = {
            name: {"sha256": file.sha256, "bytes": file.size}
            for name, file in ((name, self.files[prefix + name]) for name in listed)
        }
        sealed = {**fields, **told, "files": entries}
        if manifest.content_digest(sealed) != fields["digest"]:
            raise AssertionError("the published form would give other answers")
        sealed["seal"] = manifest.seal_of(sealed)
        self.files[prefix + MANIFEST_FILE] = PublishedFile(manifest.canonical(sealed))
        if sealed != fields:
            self.changed[prefix + MANIFEST_FILE] = "lists what is published"

    def add_card(self, wanted: HubId) -> None:
        """Add the card, which says how the bundle is loaded from the Hub."""
        file = self.folder / README
        if not file.is_file():
            return
        text = private.without_places(file.read_text(encoding="utf-8"))
        for here, there in (*_LOADING, (CARD_FOLDER, wanted.repository)):
            text = text.replace(here, there)
        for page in (name for name in self.left_out if name.startswith(REPORTS)):
            text = text.replace(f"[{page}]({page})", f"[{_REPORT}]({_REPORT})")
        self.files[README] = PublishedFile(text.encode())
        self.changed[README] = f"shows how to load {wanted.repository}"


def _json(value: Any) -> bytes:
    """Write JSON as reports are written."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def require_passed(form: PublishedForm) -> None:
    """Refuse a bundle whose gate failed, of which nobody else would know what it lost."""
    gate = form.facts.gate
    if gate is not None and gate.get("verdict") == "FAIL":
        raise GateError(
            f"it did not pass its gate: {gate.get('reason')}",
            where=str(form.facts.folder),
            hint="--publish-failed publishes it all the same; its card says so",
            code="hub.not-passed",
        )


def _require_public(files: Mapping[str, PublishedFile], *, allowed: tuple[str, ...]) -> None:
    """Refuse what tells of this computer or of its user, and cannot be rewritten."""
    names = private.local_names(allowed)
    found = [each for name, file in files.items() for each in private.findings(name, file.content, names)]
    if not found:
        return
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise UsageError(
        f"something private would be published: {'; '.join(map(str, found[:_SHOWN]))}{more}",
        where=found[0].file,
        hint="a name that is no secret: --allow-name NAME; else make the bundle again without it",
        code="hub.private",
    )
