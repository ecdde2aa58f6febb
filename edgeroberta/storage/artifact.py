"""Artifacts: what a stage leaves on disk, together with how it came to be.

An artifact is a folder with a model, graph or report in it and a file ``artifact.json`` (its
lineage). The folder is written under a temporary name, flushed to disk and renamed when it is
complete, so a folder that has an ``artifact.json`` under its final name was whole when it got that
name; :func:`verify` tells whether it still is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.storage import jsontext
from edgeroberta.tasks import Word

SCHEMA_VERSION = 1
LINEAGE_FILE = "artifact.json"


class Kind(Word):
    """What an artifact's folder holds."""

    CHECKPOINT = "checkpoint"  #: a Hugging Face folder: config, safetensors, tokenizer
    GRAPH = "graph"  #: model.onnx with the config and tokenizer files beside it
    DRAFT = "draft"  #: a bundle that runs but carries no verdict yet
    REPORT = "report"  #: report.json: accuracy, agreement, latency, verdict
    BUNDLE = "bundle"  #: what ships


@dataclass(frozen=True)
class Lineage:
    """Where an artifact comes from; enough to tell whether it can be reused."""

    stage: str  # name of the stage that made it
    key: str  # digest of all that determines the result (stage, config, seed, inputs)
    config: Mapping[str, Any]  # the stage's resolved config
    seed: int  # the run's seed
    inputs: Mapping[str, str]  # input name to content digest
    versions: Mapping[str, str]  # package name to version
    seconds: float  # wall time the stage took
    #: what the stage has to say of its result (losses, choices, counts)
    notes: Mapping[str, Any] = field(default_factory=dict)
    content: str = ""  # digest of the folder's files, set when the folder is sealed
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Artifact:
    """A finished folder and its lineage."""

    path: Path
    kind: Kind
    lineage: Lineage
    #: the tier of a cascade that a run has it for; None for the run's own. It is not on disk
    tier: str | None = None

    @cached_property
    def digest(self) -> str:
        """Content digest of the folder (sha256, hex), read once; the lineage file is not part of it."""
        return digest_tree(self.path)


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name, flush it to disk and rename it into place."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, flush it to disk and rename it into place."""
    with replacing(path) as handle:
        handle.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that gets the name ``path``, flushed to disk, once it is whole.

    Until then it has a name that no other file has; it is removed again when writing fails. ``path``: the
    final name; a file there is replaced.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with temporary.open("xb") as handle:
        try:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def is_ours(file: Path) -> bool:
    """Tell whether a JSON file says, by its ``kind``, that this package wrote it."""
    try:
        fields = jsontext.loads(file.read_bytes(), finite=False)
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and str(fields.get("kind", "")).startswith("edgeroberta-")


def check_place(folder: Path, names: Sequence[str]) -> None:
    """Refuse to write reports, of which the first is JSON, over files that somebody else has written."""
    there = [name for name in names if os.path.lexists(folder / name)]
    if there and not is_ours(folder / names[0]):
        raise UsageError(
            f"{there[0]} is there, and not a report of edgeroberta; it is left untouched",
            where=str(folder),
            hint="choose another folder, or move it away",
        )


def copy_tree(source: Path, destination: Path) -> None:
    """Copy the files of a folder, except those of its lineage, into one that need not exist.

    What is one file with several names there, is so in the copy, where its file system has hard links. An
    error is the system's own, with its number; ``shutil.copytree`` gathers them into one without.
    ``destination``: where its files go; files there of the same names are replaced.
    """
    destination.mkdir(parents=True, exist_ok=True)
    copied: dict[tuple[int, int], Path] = {}  # of files with several names, by device and inode
    for item in sorted(source.rglob("*")):
        target = destination / item.relative_to(source)
        if item.is_dir():
            target.mkdir(exist_ok=True)
        elif item.name != LINEAGE_FILE:
            status = item.stat()
            first = copied.get((status.st_dev, status.st_ino))
            if first is not None:
                link_or_copy(first, target)
                continue
            shutil.copy2(item, target)
            if status.st_nlink > 1:
                copied[status.st_dev, status.st_ino] = target


def link_or_copy(file: Path, name: Path) -> None:
    """Give a file a second name, in place of what has it; a copy where there are no hard links."""
    name.unlink(missing_ok=True)
    try:
        name.hardlink_to(file)
    except OSError:
        shutil.copy2(file, name)


def tree_bytes(folder: Path, *, without: Collection[Path] = ()) -> int:
    """Add up the bytes of all files below a folder but some; a file with several names counts once."""
    statuses = [file.stat() for file in folder.rglob("*") if file.is_file() and file not in without]
    return sum({(each.st_dev, each.st_ino): each.st_size for each in statuses}.values())


def write_json(path: Path, value: Any) -> None:
    """Write JSON the one way this project does: sorted keys, two spaces, final newline."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def digest_file(path: Path) -> str:
    """Return the sha256 of a file, hex, read in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_tree(path: Path) -> str:
    """Return one sha256 over all files below ``path`` (names and contents).

    Lineage files and everything hidden (a leading dot, as in ``.git`` or ``.cache``) are left out.
    """
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path)
        if file.name == LINEAGE_FILE or any(part.startswith(".") for part in name.parts):
            continue
        total.update(name.as_posix().encode() + b"\0")
        total.update(digest_file(file).encode() + b"\0")
    return total.hexdigest()


def digest_value(value: Any) -> str:
    """Return the sha256 of a JSON value in its canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def flush(path: Path) -> None:
    """Flush one file's contents, or one folder's list of names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(path: Path) -> None:
    """Flush every file and folder below ``path``, so that a rename cannot outrun its contents."""
    for item in [path, *path.rglob("*")]:
        if not item.is_symlink():
            flush(item)


def finish(path: Path, kind: Kind, lineage: Lineage, destination: Path) -> Artifact:
    """Seal a freshly written folder with its lineage and rename it to its final name.

    ``lineage``: how it came to be; ``content`` is filled in here. ``destination``: its final name, in the
    same file system; nothing may be there.
    """
    lineage = replace(lineage, content=digest_tree(path))
    write_json(path / LINEAGE_FILE, {"kind": kind.value, **asdict(lineage)})
    flush_tree(path)
    path.replace(destination)
    flush(destination.parent)
    return Artifact(destination, kind, lineage)


def verify(artifact: Artifact) -> bool:
    """Tell whether an artifact's files are still the ones it was sealed with."""
    return bool(artifact.lineage.content) and artifact.digest == artifact.lineage.content


def load(path: Path) -> Artifact:
    """Read back a finished artifact."""
    file = path / LINEAGE_FILE
    try:
        fields = jsontext.loads(file.read_bytes(), finite=False)
        version = int(fields["schema_version"])
        if version > SCHEMA_VERSION:
            raise EdgeRobertaError(
                f"written by a newer version (schema {version}, this one reads {SCHEMA_VERSION})",
                where=str(file),
                hint="pip install --upgrade edgeroberta",
            )
        kind = Kind(fields.pop("kind"))
        lineage = Lineage(**fields)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise EdgeRobertaError(
            f"not a finished artifact ({error})",
            where=str(file),
            hint="delete the folder and run the command again",
        ) from error
    return Artifact(path, kind, lineage)
