"""Put a finished bundle or checkpoint where the user wants it: all or nothing, never over foreign files.

A delivery has a folder of its own beside the output, and touches no other one there::

    .out.delivery-x3k9_a1c/
      delivery.json    says that the folder is ours; locked for as long as its process lives
      new/             the bundle, until it is whole
      old-0/           the former bundle, once it has been moved aside

A checkpoint is delivered as a bundle is; the file that lists its files is ``pretraining.json``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeroberta.errors import UsageError
from edgeroberta.runtime.manifest import KIND, MANIFEST_FILE
from edgeroberta.storage import artifact, jsontext
from edgeroberta.storage.artifact import LINEAGE_FILE, Artifact
from edgeroberta.storage.files import README

#: What says of a checkpoint how it was made, as the manifest does of a bundle.
PRETRAINING_FILE, PRETRAINING = "pretraining.json", "edgeroberta-pretraining"
#: The file that lists what was delivered, by the kind that it says it is of, and what people call that.
_LISTED_IN = {KIND: MANIFEST_FILE, PRETRAINING: PRETRAINING_FILE}
NAMES = {KIND: "bundle", PRETRAINING: "checkpoint"}

MARKER, NEW, OLD = "delivery.json", "new", "old-"
#: The card is the one file of a bundle that people edit: an edited one is kept.
_CARD = README

#: What ``edgeroberta bench`` and a budget put beside a bundle's own files, which is about no other bundle,
#: and the file that says whose it is.
_MEASURED = {
    "reports/bench.json": "reports/bench.json",
    "reports/bench.md": "reports/bench.json",
    "reports/bench-hosts.json": "reports/bench-hosts.json",
    "reports/bench-hosts.md": "reports/bench-hosts.json",
    "reports/budget.json": "reports/budget.json",
    "reports/budget.html": "reports/budget.json",
    "reports/pareto.json": "reports/pareto.json",
    "reports/pareto.svg": "reports/pareto.json",
    # As version 0.4 called them.
    "reports/front.json": "reports/front.json",
    "reports/front.svg": "reports/front.json",
}

logger = logging.getLogger(__name__)


def check(output: Path, kind: str = KIND) -> None:
    """Refuse an output that is neither free nor a former delivery of a kind; called before hours of work."""
    name = NAMES[kind]
    hint = "choose another folder with -o, or move this one away"
    if output.exists() and not output.is_dir():
        raise UsageError(f"a file, where the {name}'s folder should go", where=str(output), hint=hint)
    if os.path.ismount(output):
        raise UsageError(
            "a mount point, which cannot be replaced as a whole",
            where=str(output),
            hint=f"give a folder in it: -o {output / name}",
        )
    if output.is_dir() and any(output.iterdir()) and _kind(output) != kind:
        what = f"not empty, and not a {name}{' of edgeroberta pretrain' if kind == PRETRAINING else ''}"
        raise UsageError(f"{what}; it is left untouched", where=str(output), hint=hint)


def check_apart(output: Path, work: Path) -> None:
    """Refuse an output and a work folder of which one lies in the other; called before hours of work."""
    output, work = output.resolve(), work.resolve()
    if work == output:
        what = "the work folder cannot be the output"
    elif output in work.parents:
        what = f"the work folder cannot be inside the output ({output}), which is replaced as a whole"
    elif work in output.parents:
        what = f"the output ({output}) cannot be inside the work folder"
    else:
        return
    raise UsageError(what, where="--work", hint="leave --work out, or name a folder beside the output")


def deliver(
    made: Artifact, output: Path, *, kind: str = KIND, more: Mapping[str, bytes] | None = None
) -> None:
    """Copy a finished bundle to ``output``, replacing a former bundle.

    The copy is made beside ``output`` and renamed, so a reader never sees half a bundle. A former bundle is
    renamed out of the way first: between these two renames there is nothing at ``output``, and a run that is
    killed right there is repaired by the next one. Files that the user has put into a former bundle, which
    its manifest does not list, and an edited card are then moved into the new one. ``kind``: what it is, as
    the file that lists its files says. ``more``: files beside those that were made, or in their place.
    """
    output = output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    _recover(output)
    check(output, kind)
    if _holds(output, made.path, more or {}):
        return
    with _staging(output) as staging:
        artifact.copy_tree(made.path, staging / NEW)
        for name, data in (more or {}).items():
            artifact.write_bytes(staging / NEW / name, data)
        artifact.flush_tree(staging / NEW)
        _swap(staging, output, kind)
        artifact.flush(output.parent)


def _manifest(folder: Path) -> Mapping[str, Any] | None:
    """Return what lists the files of a delivery; None of any other folder."""
    for kind, name in _LISTED_IN.items():
        try:
            manifest = jsontext.loads((folder / name).read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(manifest, dict) and manifest.get("kind") == kind:
            return manifest
    return None


def _kind(folder: Path) -> str | None:
    manifest = _manifest(folder)
    return None if manifest is None else str(manifest["kind"])


def _holds(output: Path, made: Path, more: Mapping[str, bytes]) -> bool:
    """Tell whether every file of a delivery is there unchanged; files of the user's beside them may stay."""
    files = [item.relative_to(made) for item in made.rglob("*") if item.is_file()]
    copied = all(
        (output / file).is_file() and artifact.digest_file(output / file) == artifact.digest_file(made / file)
        for file in files
        if file.name != LINEAGE_FILE and file.as_posix() not in more
    )
    return copied and all(
        (output / name).is_file() and (output / name).read_bytes() == data for name, data in more.items()
    )


@contextlib.contextmanager
def _staging(output: Path) -> Iterator[Path]:
    """Make and hold the folder of this delivery; what is left in it is settled however it ends."""
    while True:
        staging = Path(tempfile.mkdtemp(prefix=_prefix(output), dir=output.parent))
        try:
            handle = (staging / MARKER).open("x", encoding="utf-8")
        except FileNotFoundError:  # another run took it for what a killed one had left
            continue
        _lock(handle.fileno(), fcntl.LOCK_EX)
        if (staging / MARKER).exists():
            break
        handle.close()  # likewise, before it was locked
    with handle:
        handle.write(_marker(output))
        handle.flush()
        os.fsync(handle.fileno())
        try:
            yield staging
        finally:
            _settle(staging, output)


def _prefix(output: Path) -> str:
    # A name ends at 255 bytes; what is cut off is in the marker.
    shortened = os.fsencode(output.name)[:200].decode("utf-8", "ignore")
    return f".{shortened}.delivery-"


def _marker(output: Path) -> str:
    return json.dumps({"kind": "edgeroberta-delivery", "schema_version": 1, "output": output.name}) + "\n"


def _swap(staging: Path, output: Path, kind: str) -> None:
    """Give the new bundle its name; what has that name is moved aside, as often as it takes."""
    for number in itertools.count():
        try:
            (staging / NEW).replace(output)  # which is free, or an empty folder
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
        check(output, kind)
        with contextlib.suppress(FileNotFoundError):  # another run has just moved it aside
            output.replace(staging / f"{OLD}{number}")


def _recover(output: Path) -> None:
    """Finish, or undo, the deliveries to ``output`` whose processes are dead."""
    form = re.compile(re.escape(_prefix(output)) + "[a-z0-9_]{8}")
    for staging in sorted(output.parent.iterdir()):
        if not form.fullmatch(staging.name) or not staging.is_dir() or staging.is_symlink():
            continue
        try:
            handle = (staging / MARKER).open("r+", encoding="utf-8", errors="replace")
        except OSError:
            with contextlib.suppress(OSError):
                staging.rmdir()  # killed before it wrote anything; with anything in it, not ours
            continue
        with handle:
            if (error := _lock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)) is not None:
                if not isinstance(error, BlockingIOError):  # else its process lives
                    _warn(staging, output, error)
                continue
            said = handle.read(1 << 16)
            if said == _marker(output) or (not said and len(list(staging.iterdir())) == 1):
                _settle(staging, output)


def _lock(handle: int, how: int) -> OSError | None:
    """Lock an open file; return why not where another has it, or where the file system has no locks."""
    try:
        fcntl.flock(handle, how)
    except OSError as error:
        logger.info("no lock on a delivery (%s)", error)
        return error
    return None


def _warn(staging: Path, output: Path, error: OSError) -> None:
    """Name the former bundles of a delivery of which it cannot be told whether its process lives."""
    for former in sorted(staging.glob(f"{OLD}*")):
        logger.warning(
            "%s, a former bundle of %s, is left there: without locks on this file system (%s) it cannot be "
            "told whether another run is at work; if none is, move it back or remove %s",
            former,
            output,
            error.strerror,
            staging,
        )


def _settle(staging: Path, output: Path) -> None:
    """Put a former bundle back, or the user's files of it into the new one, and remove what is ours."""
    for former in sorted(staging.glob(f"{OLD}*"), reverse=True):
        manifest = _manifest(former)  # None: what was the user's has been moved, the rest is being removed
        if manifest is not None and not output.exists():
            former.replace(output)
        elif manifest is None or _kind(output) is not None:
            _carry_over(former, manifest, output)
            shutil.rmtree(former)
        else:
            logger.warning("%s is left there: %s is something else by now", former, output)
            return
    if (staging / NEW).is_dir():
        shutil.rmtree(staging / NEW)
    (staging / MARKER).unlink(missing_ok=True)
    try:
        staging.rmdir()
    except OSError:
        logger.warning("%s is left there: it holds files that are not ours", staging)


def _carry_over(former: Path, manifest: Mapping[str, Any] | None, output: Path) -> None:
    """Move what the user has put into a former bundle into the one that replaced it."""
    if manifest is None:
        return
    files = manifest.get("files")
    listed: Mapping[str, Any] = files if isinstance(files, dict) else {}
    links = manifest.get("links")
    if isinstance(links, dict):
        listed = {**listed, **{name: listed.get(shared) for name, shared in links.items()}}
    measured = {name for name, told in _MEASURED.items() if artifact.is_ours(former / told)}
    for item in sorted(former.rglob("*")):
        name = item.relative_to(former)
        if item.is_dir() and not item.is_symlink():
            continue
        if name.as_posix() in (_LISTED_IN[str(manifest["kind"])], *measured) or _ours(
            item, listed.get(name.as_posix())
        ):
            continue
        target = _free(output / name)
        target.parent.mkdir(parents=True, exist_ok=True)
        item.replace(target)
        if target.name != name.name:
            logger.warning("%s of the former bundle is kept as %s", name, target)


def _ours(item: Path, entry: Any) -> bool:
    """Tell whether a file of a bundle is one of those that its manifest lists, and no edited card."""
    if entry is None or item.is_symlink():
        return False
    sha256 = entry.get("sha256") if isinstance(entry, dict) else None
    return item.name != _CARD or sha256 is None or artifact.digest_file(item) == sha256


def _free(path: Path) -> Path:
    """Return a path that has no file yet: the given one, or with ``.kept`` at its end."""
    names = (f"{path.name}.kept{number or ''}" for number in itertools.count())
    wanted = itertools.chain([path], map(path.with_name, names))
    return next(each for each in wanted if not os.path.lexists(each))
