"""Folders in the layout of GLUE's archives: which task one is of, its parts, and what it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgeroberta.data import columns, glue_files, glue_tasks
from edgeroberta.data.glue_tasks import MSR_TEST, TASKS, GlueTask
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import DataError, UsageError
from edgeroberta.storage import paths
from edgeroberta.tasks import Task

#: Names of GLUE on the Hub; its configurations are the tasks.
_ON_THE_HUB = ("glue", "nyu-mll/glue")

Opener = Callable[[], DataTable]


@dataclass(frozen=True)
class GlueParts:
    """A task's files: how to read each part, and what is to be said of them."""

    parts: Mapping[str, Opener]
    told: tuple[str, ...]


def find(path: Path, name: str) -> GlueParts | None:
    """Find the parts of a folder, or of a file in one, that is in GLUE's layout; None for any other.

    ``name``: what the user calls it. Raises DataError: a folder that is called like a task has a file that is
    neither in its layout nor readable as that of any other folder.
    """
    if path.is_file():
        task = _of_file(path, name)
        if task is None:
            return None
        return GlueParts({"train": partial(glue_files.read, path, name, task)}, (_told(name, task),))
    task = of_folder(path, name)
    if task is None:
        return None
    name = name.rstrip("/")
    parts: dict[str, Opener] = {
        part: partial(glue_files.read, path / file, f"{name}/{file}", task)
        for part, file in (("train", task.train), ("validation", task.dev))
        if (path / file).is_file()
    }
    told = [_told(name, task)]
    used = ""
    if task.original is not None and (path / task.original).is_file() and not (path / task.train).is_file():
        parts = dict(glue_files.original_mrpc(path, name, task))
        used = "" if glue_files.dev_ids(path) else MSR_TEST
    told += [
        f"{name}: {file} is not used; to measure on it: --eval-data {name}/{file}"
        for file in task.others
        if (path / file).is_file() and file != used
    ]
    return GlueParts(parts, tuple(told))


def evaluation(path: Path, name: str) -> Opener | None:
    """Return how to read a file to measure on, if it is one of a folder in GLUE's layout."""
    found = find(path, name) if path.is_file() else None
    return None if found is None else found.parts["train"]


def inside(path: Path) -> list[str]:
    """Return the names of the folders of tasks in a folder, as the archives are unpacked."""
    return [each.name for each in sorted(path.iterdir()) if each.is_dir() and glue_tasks.by_name(each.name)]


def _of_file(path: Path, name: str) -> GlueTask | None:
    if not any(path.name in task.files for task in TASKS):
        return None
    task = of_folder(path.parent, str(Path(name).parent))
    return task if task is not None and path.name in task.files else None


def of_folder(folder: Path, name: str) -> GlueTask | None:
    """Tell which task's layout a folder has; None for none of them."""
    called = glue_tasks.by_name(folder.resolve().name)
    for task in TASKS:
        if task.needs_name and task is not called:
            continue
        file = _first_file(folder, task)
        if file is not None and glue_files.fits(file, task, named=task is called):
            return task
    if called is not None:
        _refuse_lost_layout(folder, name, called)
    return None


def _first_file(folder: Path, task: GlueTask) -> Path | None:
    return next((folder / each for each in task.labelled if (folder / each).is_file()), None)


def _refuse_lost_layout(folder: Path, name: str, task: GlueTask) -> None:
    """Refuse a file of a task's name that lost its layout and could not be read in any other way."""
    file = _first_file(folder, task)
    if file is None:
        return
    header, row = glue_files.opening(file)
    if header == ("",):  # an empty file, of which its reader tells
        return
    where = f"{name.rstrip('/')}/{file.name}:1"
    if not task.headers:
        if glue_files.is_cola(row):
            raise DataError(
                f"a header, which {task.name} has not",
                where=where,
                hint="delete this line; or name the columns, to read it as any other folder: --text, --label",
                code="data.layout",
            )
        return
    usual = set(columns.TEXTS).intersection(header) and set(columns.LABELS).intersection(header)
    if not usual:
        raise DataError(
            f"not the header of {task.name}, which is {columns.quoted(task.headers[0])}",
            where=where,
            hint="put it there, with a tab between two names; without a header: --text '#1' --label '#2'",
            code="data.layout",
        )


def _told(name: str, task: GlueTask) -> str:
    names = f", labels {columns.quoted(task.labels)} in this order" if task.labels else ""
    return f"{name.rstrip('/')}: read as {task.name} of GLUE{names}; --text and --label read it as any other"


def named(spec: DataSpec) -> GlueTask | None:
    """Return the task that the rows are of, in a folder, a file of one, or on the Hub; None for any other."""
    if spec.text is not None or spec.text_pair is not None or spec.label is not None:
        return None
    path = paths.named(spec.data)
    if path.is_dir():
        return of_folder(path, spec.data)
    if path.is_file():
        return _of_file(path, spec.data)
    repository, _, configuration = spec.data.partition(":")
    if repository not in _ON_THE_HUB:
        return None
    return glue_tasks.by_name(configuration.split("_")[0])


def judge(task: Task, spec: DataSpec | None, metric: str | None, tell: Callable[[str], None]) -> Task:
    """Say what a model is judged and chosen by: the metric that was asked for, else GLUE's for its data.

    ``tell``: called with a line for people on each choice that they did not make. Raises UsageError: the task
    has no such metric, or it would be that of another label than GLUE's.
    """
    # What embeddings are alike by has no fixed relation to scores: their order counts, not GLUE's Pearson's.
    glue = None if spec is None or task.apart else named(spec)
    asked = metric if metric is not None else glue.metrics[0] if glue is not None else None
    if asked is None or (metric is None and asked not in task.metrics):
        return task  # the latter: the data is not for this model, as reading its labels will say
    judged = task.judge_by(asked)
    if task.metrics[asked].labels == 2:
        first, second = task.labels
        if glue is not None and (first.casefold(),) == glue.labels[1:2]:
            what = f"{asked} is that of the second label, {second!r} here; {glue.name} means {first!r}"
            if metric is not None:
                hint = "accuracy, macro_f1 and matthews take both labels alike"
                raise UsageError(what, where="--metric", hint=hint, code="usage.metric-unknown")
            tell(f"{what}: judged by accuracy")
            return task.judge_by("accuracy")
        tell(f"{asked} is that of the second label, {second!r}")
    if glue is not None and metric is None and asked != task.metric:
        tell(f"judged by {asked}, as {glue.name} is in GLUE; --metric chooses another")
    return judged
