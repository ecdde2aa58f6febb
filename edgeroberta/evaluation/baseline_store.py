"""The baseline: what the uncompressed model answers, and how fast, measured once and stored.

It is a folder with ``reference.json`` and ``outputs.npz``, small enough to travel: made on a GPU server
with ``edgeroberta reference``, it serves ``compress --reference`` and ``verify --reference`` elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.errors import UsageError
from edgeroberta.evaluation import changed_answers
from edgeroberta.evaluation.changed_answers import ChangedAnswers
from edgeroberta.hardware import MachineFacts
from edgeroberta.measure.clock import Latency
from edgeroberta.measure.offline import Throughput
from edgeroberta.metrics import all_metrics
from edgeroberta.notebook import Shown
from edgeroberta.storage import artifact, jsontext
from edgeroberta.storage.strict import build
from edgeroberta.tasks import Outputs, Task

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows

SCHEMA_VERSION = 2
JSON_FILE = "reference.json"
OUTPUTS_FILE = "outputs.npz"
#: Where version 1 has the logits, float32 ``[rows, labels]``.
_LOGITS_FILE = "logits.npy"


@dataclass(frozen=True, eq=False, kw_only=True)
class _Stored:
    """What ``reference.json`` holds beside schema, metrics and task; defaults are what older ones lack."""

    model: str  # what the user called the model
    model_digest: str  # sha256 over its weights, tokenizer and config
    parameters: int  # number of parameters
    bytes: int  # size of the weight files
    data_digest: str  # sha256 of the rows
    data_source: str  # where the rows come from
    rows: int  # number of rows
    dtype: str  # type the model ran in
    max_length: int  # tokens at which texts were cut
    device: str  # CPU model or GPU name
    machine: MachineFacts  # facts of the machine
    latency: Latency | None  # single texts, tokenization included; None when not timed
    overlap: int | None = None  # tokens that windows of long texts overlapped by; None where these were cut
    offline: Throughput | None = None  # texts per second when all are there; None when not timed
    energy_mj: float | None = None  # millijoules of the GPU's board per timed text; None when not measured
    #: True when the driver's counter told them, False when samples of the power did
    energy_counted: bool = False
    throttled: tuple[str, ...] = ()  # what says that the GPU slowed itself down while single texts were timed
    #: what the driver told of the GPU, see :class:`edgeroberta.hardware.gpu.NvidiaGpu`; None on a CPU
    gpu: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class BaselineAnswers(_Stored, Shown):
    """What the baseline answered, and on what."""

    task: Task  # what the outputs mean
    metrics: Mapping[str, float]  # all metrics of the task
    outputs: Outputs  # what it gave for each row
    changed: ChangedAnswers | None = None  # and for changed texts; None where it was not asked any

    def to_json(self) -> dict[str, Any]:
        """Return all but the outputs as a JSON object."""
        fields = {name: value for name, value in vars(self).items() if name not in ("outputs", "changed")}
        fields["task"] = self.task.to_json()
        fields["machine"] = asdict(self.machine)
        fields["latency"] = asdict(self.latency) if self.latency else None
        fields["offline"] = asdict(self.offline) if self.offline else None
        return {"schema_version": SCHEMA_VERSION, **fields, "metrics": dict(self.metrics)}

    def __str__(self) -> str:
        metric = self.task.metric
        lines = [
            f"{self.model}: {self.parameters / 1e6:.1f} M parameters, {self.dtype}",
            f"{metric} {100 * self.metrics[metric]:.1f} on {self.rows:,} rows of {self.data_source}",
        ]
        if (latency := self.latency) is not None:
            figures = (("mean", latency.mean_ms), ("p50", latency.p50_ms), ("p90", latency.p90_ms),
                       ("p99", latency.p99_ms))  # fmt: skip
            times = ", ".join(f"{name} {value:.2f} ms" for name, value in figures)
            calls = f"{latency.calls} calls after {latency.warmup} to warm up"
            lines.append(f"{times} per text, tokenization included, {calls}")
            if not latency.steady:
                lines.append("not steady: the times still moved when the warm-up was given up")
        if (many := self.offline) is not None:
            lines.append(f"{many.texts_per_second:,.0f} texts/s when all are there, {many.batch} per call")
        if self.changed is not None:
            lines.append(f"also asked: {self.changed}")
        if self.energy_mj is not None:
            how = "counted by its driver" if self.energy_counted else "from a few samples of its power"
            lines.append(f"{self.energy_mj:.1f} mJ per text (the GPU's board, idle power included; {how})")
        if self.throttled:
            lines.append(f"not valid: the GPU throttled ({', '.join(self.throttled)}); let it cool")
        return "\n".join([*lines, f"on {self.device}, torch {self.machine.versions.get('torch', '?')}"])


def check_place(folder: Path) -> None:
    """Refuse a folder that holds something else than a former reference; called before it is measured."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        fields = jsontext.loads((folder / JSON_FILE).read_bytes(), finite=False)
    except (OSError, ValueError):
        fields = None
    if not isinstance(fields, dict) or not {"outputs_sha256", "logits_sha256"} & fields.keys():
        raise UsageError(
            "not empty, and not a reference; it is left untouched",
            where=str(folder),
            hint="choose another folder with -o",
        )


def save(reference: BaselineAnswers, folder: Path) -> None:
    """Write a reference; the JSON comes last, and knows the outputs that belong to it by their sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    with artifact.replacing(folder / OUTPUTS_FILE) as handle:
        reference.outputs.save(handle)
    fields = {**reference.to_json(), "outputs_sha256": artifact.digest_file(folder / OUTPUTS_FILE)}
    if reference.changed is not None:
        reference.changed.save(folder)
    else:  # those of a former reference in its place
        for name in changed_answers.FILES:
            (folder / name).unlink(missing_ok=True)
    artifact.write_json(folder / JSON_FILE, fields)
    (folder / _LOGITS_FILE).unlink(missing_ok=True)  # of a former reference in its place


def files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a reference, of this version or an earlier one."""
    outputs = folder / OUTPUTS_FILE
    more = tuple(file for name in changed_answers.FILES if (file := folder / name).is_file())
    return folder / JSON_FILE, outputs if outputs.is_file() else folder / _LOGITS_FILE, *more


def load(folder: Path) -> BaselineAnswers:
    """Read a reference back."""
    hint = "edgeroberta reference MODEL --data … -o " + str(folder)
    file = folder / JSON_FILE
    try:
        fields = jsontext.loads(file.read_bytes(), finite=False)
        version = fields.pop("schema_version")
    except OSError as error:
        raise UsageError(
            f"no reference here ({JSON_FILE} is missing)", where=str(folder), hint=hint
        ) from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError("not a reference file", where=str(file), hint=hint) from error
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise UsageError(
            f"written by a newer version (schema {version}, this one reads {SCHEMA_VERSION})",
            where=str(file),
            hint="pip install --upgrade edgeroberta",
        )
    try:
        name, digest = (OUTPUTS_FILE, "outputs_sha256") if version > 1 else (_LOGITS_FILE, "logits_sha256")
        if artifact.digest_file(folder / name) != fields.pop(digest):
            raise UsageError(f"{name} is damaged (wrong sha256)", where=str(folder), hint=hint)
        if version > 1:
            outputs = Outputs.load(folder / name)
        else:
            outputs = Outputs.of_texts(np.load(folder / name, allow_pickle=False))
        typed = _typed(fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"a damaged reference ({error})", where=str(file), hint=hint) from error
    return BaselineAnswers(**typed, outputs=outputs, changed=ChangedAnswers.load(folder))


def check(
    reference: BaselineAnswers,
    *,
    rows: Rows,
    task: Task,
    model_digest: str | None = None,
    overlap: int | None = None,
) -> None:
    """Refuse a reference that was measured on other rows or labels, on another model, or in another way.

    ``overlap``: tokens that windows of long texts overlap by; None where these are cut.
    """
    hint = "measure it again on the same model and data: edgeroberta reference MODEL --data … -o ref/"
    mine, theirs = task.labels, reference.task.labels
    if (task.problem, mine) != (reference.task.problem, theirs):
        raise UsageError(
            f"the reference has the labels {', '.join(theirs)}, this model {', '.join(mine)}",
            where="--reference",
            hint=hint,
        )
    if reference.data_digest != rows.digest:
        raise UsageError(
            f"the reference was measured on other rows ({reference.rows:,} of {reference.data_source}; "
            f"here {len(rows):,} of {rows.source})",
            where="--reference",
            hint=f"{hint}, with the --eval-fraction, --seed and --limit that hold the same rows out here",
        )
    if model_digest is not None and model_digest != reference.model_digest:
        raise UsageError(
            f"the reference is of another model ({reference.model})", where="--reference", hint=hint
        )
    if overlap != reference.overlap:
        way, stored = (
            "cut" if each is None else f"read in windows that overlap by {each} tokens"
            for each in (overlap, reference.overlap)
        )
        told = "" if overlap is None else f" --long-text windows --stride {overlap}"
        raise UsageError(
            f"long texts are {way} here, and were {stored} for the reference",
            where="--reference",
            hint=f"measure it again: edgeroberta reference MODEL --data … -o ref/{told}",
        )


def read_as(reference: BaselineAnswers, task: Task, rows: Rows) -> BaselineAnswers:
    """Return a reference whose outputs are read as a task has it, which may be judged by another metric.

    Where answers are others for that, so are the metrics: where there is none, and how long they are.
    """
    changed = replace(reference, task=task)
    limits = [(each.no_answer, each.max_answer_tokens) for each in (reference.task, task)]
    if limits[0] == limits[1] or rows.labels is None:
        return changed
    return replace(changed, metrics=all_metrics(task, reference.outputs, rows.labels))


def _typed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Check the types of ``reference.json``, and build its nested records."""
    task, metrics = fields["task"], fields["metrics"]
    made = Task.from_json(task)
    # Not as a record: a correlation that is none is stored as NaN.
    if not all(isinstance(value, int | float) for value in metrics.values()) or made.metric not in metrics:
        raise ValueError(f"its metrics are {metrics}")
    rest = {name: value for name, value in fields.items() if name not in ("task", "metrics")}
    return {**vars(build(_Stored, rest)), "task": made, "metrics": metrics}
