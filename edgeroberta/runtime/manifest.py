"""Reads ``manifest.json``, and refuses a bundle that is damaged, foreign, too new or unsafe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from edgeroberta.errors import BundleError, UsageError
from edgeroberta.runtime.longtexts import LongText, LongTexts
from edgeroberta.runtime.tier_facts import TIERS, CascadeFacts
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import digest_file, digest_value
from edgeroberta.storage.files import README, RECIPE, REPORTS
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.spans import SIDES

MANIFEST_FILE = "manifest.json"
KIND = "edgeroberta-bundle"
SCHEMA_VERSION = 6
#: The versions of bundles without what is new in later ones, so that devices with former versions of this
#: package read them: 3 knows texts that are labelled and cut, 4 labels of tokens and long texts as well,
#: 5 all tasks of one model, and 6 cascades.
_PLAIN, _TOKENS_AND_LONG_TEXTS, _ONE_MODEL = 3, 4, 5

#: The version of each kind of task that does not need the newest.
_FORMER_PROBLEMS = {
    Problem.SINGLE_LABEL: _PLAIN,
    Problem.MULTI_LABEL: _PLAIN,
    Problem.REGRESSION: _PLAIN,
    Problem.TOKENS: _TOKENS_AND_LONG_TEXTS,
}

#: Files that no answer hangs on: they tell of what was measured, which differs from run to run.
TOLD_FILES, TOLD_FOLDER = (README, RECIPE), REPORTS
#: Fields that no answer hangs on, likewise.
_TOLD = ("created_by", "digest", "baseline", "gate", "lineage", "schema_version", "seal")
#: What fields were called up to schema 2, at the top and below ``saturation``.
_FORMER = {"full_size": "baseline", "sites": "linear_ops"}

_NO_BUNDLE = "check the path, or make a bundle: edgeroberta compress MODEL --data DATA -o out/"
# Bytes of a name, as Linux has it, and characters of a path, well within what any system takes.
_LONGEST_NAME, _LONGEST_PATH = 255, 1024
_COPY_AGAIN = "copy the bundle again from where it was made, or make it anew with: edgeroberta compress"


@dataclass(frozen=True)
class FileEntry:
    """What a file of the bundle must be: sha256 (hex) and size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Saturation:
    """Whether int8 products can saturate an int16 on x86 processors without VNNI."""

    safe: bool  # True when the weights rule it out
    linear_ops: tuple[str, ...]  # the matmuls whose weights allow it


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself."""

    folder: Path  # where it was read from
    created_by: str  # version of this package that made it
    task: Task  # what the outputs mean
    max_length: int  # longest input in tokens, special tokens included
    pad_token_id: int  # id that fills up an input
    engines: tuple[str, ...]  # engines it was built for, the preferred one first
    files: Mapping[str, FileEntry]  # path below the folder, with ``/``, to what the file must be
    target: str  # name of the device class it was made for
    threads: int  # threads an engine uses unless told otherwise
    lengths: tuple[int, ...]  # training texts per 16-token bin, see :mod:`edgeroberta.runtime.lengths`
    precision: str  # ``int8`` or ``fp32``
    lineage: Sequence[Mapping[str, Any]]  # the stages that made it, in order
    baseline: Mapping[str, Any]  # the baseline: ``model``, ``digest``, ``parameters``, ``bytes``
    gate: Mapping[str, Any] | None  # the gate's verdict and figures; None in a draft
    digest: str  # sha256 of all that its answers hang on: the same command gives the same
    seal: str  # sha256 of everything else as canonical JSON, what was measured included
    saturation: Saturation | None = None  # what the quantizer found; None in bundles of before it looked
    #: matmuls and attentions that TensorRT's int8 engine is to compute in int8; None in bundles without one,
    #: or of before they were counted
    int8_matmuls: int | None = None
    long_text: LongText = LongText.TRUNCATE  # what is done with texts that are longer than ``max_length``
    stride: int = 0  # tokens that a window has in common with the next one; 0 unless there are windows
    #: id of the token that ends the first text of a pair, where the graph takes what stands behind it for
    #: another token type; None where it does not
    separator_id: int | None = None
    cascade: CascadeFacts | None = None  # the models that are asked before this one; None for none
    #: second names of files, for programs that look for them there: path below the folder to one of ``files``
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def long_texts(self) -> LongTexts:
        """What is done with long texts, and how."""
        return LongTexts(self.long_text, self.stride)


def schema(fields: Mapping[str, Any], *, marked_words: bool = False) -> int:
    """Return the lowest schema version whose readers answer as is meant by the fields of a manifest.

    ``marked_words``: whether the tokenizer marks the inside of words (``##``), which tells where entities
    end.
    """
    if "cascade" in fields:
        return SCHEMA_VERSION
    problem = Problem(fields["task"]["problem"])
    if "separator_id" in fields or (marked_words and problem is Problem.TOKENS):
        return _ONE_MODEL
    needed = _FORMER_PROBLEMS.get(problem, _ONE_MODEL)
    return max(needed, _TOKENS_AND_LONG_TEXTS) if "long_text" in fields else needed


def canonical(value: Any) -> bytes:
    """Serialize JSON the one way that manifests and goldens are written."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def is_canonical(value: Any, data: bytes) -> bool:
    """Tell whether ``data`` is the canonical form of ``value``; a change of even a space is seen."""
    try:
        return canonical(value) == data
    except ValueError:  # NaN, or half a surrogate pair
        return False


def content_digest(fields: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of the fields and files that a bundle's answers hang on."""
    files = {name: entry for name, entry in fields["files"].items() if not _is_told(name)}
    counted = {name: value for name, value in fields.items() if _FORMER.get(name, name) not in _TOLD}
    return digest_value({**counted, "files": files})


def seal_of(fields: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of all of a manifest's fields but ``seal`` itself."""
    return digest_value({name: value for name, value in fields.items() if name != "seal"})


def _is_told(name: str) -> bool:
    # Of a tier the digest counts, which is in the field ``cascade``.
    parts = PurePosixPath(name).parts
    nested = len(parts) == 3 and parts[0] == TIERS and parts[2] == MANIFEST_FILE
    return nested or name in TOLD_FILES or name.startswith(TOLD_FOLDER)


def read(folder: Path) -> Manifest:
    """Read and check a bundle's manifest; the files it lists are checked by :func:`check_files`."""
    file = folder / MANIFEST_FILE
    if not folder.is_dir():
        what = "is a file, not a bundle's folder" if folder.exists() else "there is no such folder"
        raise BundleError(what, where=str(folder), hint=_NO_BUNDLE)
    if not file.is_file():
        raise BundleError(
            f"not a bundle: there is no {MANIFEST_FILE} in it",
            where=str(folder),
            hint=f"edgeroberta compress {folder} --data DATA -o out/",
        )
    data = file.read_bytes()
    try:
        fields = jsontext.loads(data)
    except ValueError as error:
        raise damaged(file, f"not JSON ({error})") from error
    if not isinstance(fields, dict) or fields.get("kind") != KIND:
        raise BundleError(f"not the manifest of a bundle (its kind is not {KIND!r})", where=str(file))
    version = fields.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            f"written by a newer version (schema {version}, this one reads up to {SCHEMA_VERSION})",
            where=str(file),
            hint="pip install --upgrade edgeroberta",
        )
    if version not in range(1, SCHEMA_VERSION + 1) or not is_canonical(fields, data):
        raise damaged(file, "not as it was written")
    if version == 1:  # of version 0.3 and before: one digest for both
        fields["seal"] = fields.pop("digest", None)
    if fields.get("seal") != seal_of(fields):
        raise damaged(file, "its digest does not match its contents")
    fields.setdefault("digest", fields["seal"])
    found = _parse(folder, _renamed(fields) if version in (1, 2) else fields)
    if version != 1 and found.digest != content_digest(fields):
        raise damaged(file, "its digest does not match its contents")
    return found


def _renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an older schema under the names of today."""
    named = {_FORMER.get(name, name): value for name, value in fields.items()}
    if isinstance(named.get("saturation"), dict):
        named["saturation"] = {_FORMER.get(name, name): value for name, value in named["saturation"].items()}
    return named


def check_files(manifest: Manifest) -> None:
    """Check that every file the manifest lists is there, inside the folder, and unchanged."""
    for name in manifest.files:
        check_file(manifest, name)
    for name, shared in manifest.links.items():
        if not _same_file(manifest.folder / name, manifest.folder / shared):  # copies do not keep hard links
            check_file(manifest, name)


def check_file(manifest: Manifest, name: str) -> None:
    """Check one of the files that the manifest lists. Raises BundleError: it is not what it was."""
    file, entry = manifest.folder / name, manifest.files[manifest.links.get(name, name)]
    try:
        inside = _is_inside(file, manifest.folder)
    except (OSError, RuntimeError) as error:  # RuntimeError before Python 3.13
        raise damaged(file, "a link that leads to itself") from error
    # Also catches symbolic links that lead out; those that stay inside are harmless.
    if not inside:
        raise BundleError(
            "a link that leads out of the bundle",
            where=str(file),
            hint="copy the bundle with its links resolved: cp -rL",
        )
    if not file.is_file():
        raise BundleError("a file of the bundle is missing", where=str(file), hint=_COPY_AGAIN)
    if file.stat().st_size != entry.bytes:
        raise damaged(file, f"{file.stat().st_size} bytes instead of {entry.bytes}")
    if digest_file(file) != entry.sha256:
        raise damaged(file, "its sha256 does not match the manifest")


def in_hub_cache(folder: Path) -> bool:
    """Tell whether a folder is part of the cache of the Hub's client, in which nothing is written.

    There a bundle is ``models--owner--name/snapshots/COMMIT``, whose files are links to blobs beside it.
    """
    snapshots = folder.resolve().parent
    return snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--")


def called(folder: Path) -> str:
    """Return what people call a bundle: its folder's name, or ``owner/name@COMMIT`` of one from the Hub."""
    folder = folder.resolve()
    if not in_hub_cache(folder):
        return folder.name
    repository = folder.parents[1].name.removeprefix("models--").replace("--", "/")
    return f"{repository}@{folder.name[:7]}"


def _is_inside(file: Path, folder: Path) -> bool:
    """Tell whether a file is in a folder, or in the cache of the Hub's client that the folder is part of."""
    folder = folder.resolve()
    return file.resolve().is_relative_to(folder.parents[2] if in_hub_cache(folder) else folder)


def _same_file(file: Path, other: Path) -> bool:
    """Tell whether two names are hard links to one file."""
    try:
        return not file.is_symlink() and file.samefile(other)
    except OSError:  # one is missing
        return False


def damaged(file: Path, how: str) -> BundleError:
    """Make the error for a file that is not what it was."""
    return BundleError(f"damaged: {how}", where=str(file), hint=_COPY_AGAIN)


def safe_path(name: str) -> bool:
    """Tell whether a path from a manifest stays inside the bundle on every system.

    Returns False for absolute paths, ``..``, backslashes, drive letters, control characters, names that are
    longer than file systems take, and anything not in its simplest form.
    """
    if not name or any(character in '\\:<>"|?*' or ord(character) < 32 for character in name):
        return False
    path = PurePosixPath(name)
    longest = max((len(part.encode("utf-8", "replace")) for part in path.parts), default=0)
    if len(name) > _LONGEST_PATH or longest > _LONGEST_NAME:
        return False
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == name != "."


def _parse(folder: Path, fields: Mapping[str, Any]) -> Manifest:
    try:
        manifest = Manifest(
            folder=folder,
            created_by=_text(fields["created_by"]),
            task=_task(fields["task"]),
            max_length=_count(fields["max_length"], least=2),
            pad_token_id=_count(fields["pad_token_id"]),
            engines=_texts(fields["engines"]),
            files={name: _entry(entry) for name, entry in fields["files"].items()},
            target=_text(fields["target"]),
            threads=_count(fields["threads"], least=1),
            lengths=tuple(_count(count) for count in fields["lengths"]["counts"]),
            precision=_text(fields["precision"]),
            lineage=[dict(stage) for stage in fields["lineage"]],
            baseline=dict(fields["baseline"]),
            gate=None if fields["gate"] is None else dict(fields["gate"]),
            digest=_text(fields["digest"]),
            seal=_text(fields["seal"]),
            saturation=_saturation(fields.get("saturation")),
            int8_matmuls=_optional_count(fields.get("int8_matmuls")),
            long_text=LongText(_text(fields.get("long_text", LongText.TRUNCATE))),
            stride=_count(fields.get("stride", 0)),
            separator_id=_optional_count(fields.get("separator_id")),
            cascade=CascadeFacts.from_json(fields["cascade"]) if "cascade" in fields else None,
            links=_links(fields.get("links", {}), fields["files"]),
        )
    except KeyError as error:
        raise damaged(folder / MANIFEST_FILE, f"the field {error} is missing") from error
    except (TypeError, ValueError, AttributeError, UsageError) as error:
        raise damaged(folder / MANIFEST_FILE, f"a field is malformed ({error})") from error
    for name in (*manifest.files, *manifest.links):
        if not safe_path(name):
            raise BundleError(
                f"lists a path that could leave the bundle's folder: {name!r}",
                where=str(folder / MANIFEST_FILE),
                hint="do not use this bundle; ask whoever made it",
            )
    return manifest


def _task(fields: Mapping[str, Any]) -> Task:
    task = Task.from_json(fields)
    if task.problem is Problem.TOKENS and task.pair:
        raise ValueError("labels of tokens are those of one text, not of a pair")
    if task.problem is Problem.SPANS and (not task.pair or task.labels != SIDES):
        raise ValueError("answers in a context are of pairs, with the labels start and end")
    if task.problem is Problem.MASKED:
        if task.pair or task.labels or None in (task.mask_id, task.dimensions):
            raise ValueError("masks are filled in single texts, by mask_id and dimensions, without labels")
        if task.num_outputs % 2 or (task.top_k or 1) > task.num_outputs // 2:
            raise ValueError(f"dimensions are two for each token, and not {task.num_outputs}")
    return task


def _entry(value: Mapping[str, Any]) -> FileEntry:
    sha256 = _text(value["sha256"])
    if len(sha256) != hashlib.sha256().digest_size * 2:
        raise ValueError(f"{sha256!r} is not a sha256")
    return FileEntry(sha256, _count(value["bytes"]))


def _links(value: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, str]:
    links = {name: _text(shared) for name, shared in value.items()}
    for name, shared in links.items():
        if name in files or shared not in files:
            raise ValueError(f"{name!r} is no second name of a listed file")
    return links


def _saturation(value: Mapping[str, Any] | None) -> Saturation | None:
    if value is None:
        return None
    linear_ops = value["linear_ops"]
    if not isinstance(linear_ops, list):
        raise TypeError(f"{linear_ops!r} is not a list of texts")
    return Saturation(_boolean(value["safe"]), tuple(_text(linear_op) for linear_op in linear_ops))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"{value!r} is not a list of texts")
    return tuple(_text(item) for item in value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is not true or false")
    return value


def _count(value: object, *, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise TypeError(f"{value!r} is not a whole number of at least {least}")
    return value


def _optional_count(value: object) -> int | None:
    return None if value is None else _count(value)
