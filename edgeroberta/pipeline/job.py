"""What a recipe is run on, what its stages have made so far, and the key that each stage gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeroberta import stages
from edgeroberta.data import Splits, hub
from edgeroberta.data.documents import Documents
from edgeroberta.errors import CheckpointError
from edgeroberta.hardware import versions
from edgeroberta.recipe import RecipeStep
from edgeroberta.roberta import resolving
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.session import host_packages
from edgeroberta.settings import StageConfig
from edgeroberta.stages import Stage
from edgeroberta.storage import artifact, codedigest, paths
from edgeroberta.storage.artifact import Artifact, Kind, Lineage, digest_value
from edgeroberta.storage.cache import cache_dir
from edgeroberta.storage.files import CONFIG
from edgeroberta.storage.publishing import without_folders
from edgeroberta.targets import Target
from edgeroberta.tasks import Task

#: Packages whose major or minor version changes what a stage makes, by the kind that it writes, beside
#: those of engines.
_SHAPING = {
    Kind.CHECKPOINT: ("torch", "transformers"),
    Kind.GRAPH: ("onnx", "onnxruntime"),
    Kind.DRAFT: (),
    Kind.REPORT: ("torch", "transformers"),
    Kind.BUNDLE: (),
}
#: And those of stages that train, whatever they write.
_OF_TRAINING = ("torch", "transformers")
#: Kinds that the engines shape as well.
_OF_ENGINES = (Kind.DRAFT, Kind.REPORT)


@dataclass(frozen=True)
class PipelineJob:
    """What a recipe is run on."""

    model: Checkpoint  # its folder is never written to
    task: Task  # kind of task, labels, single texts or pairs
    data: Splits  # the rows, split
    target: Target  # the device class the result is for
    output: Path  # where the bundle goes
    work: Path  # work folder, see :mod:`edgeroberta.pipeline.workspace`
    seed: int = 0  # seed of everything random
    reference: Path | None = None  # folder of a stored baseline
    #: what the user called the model and the data; kept in the lineage
    source: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what the check of the model had to say, to be said again at the end
    corpus: Documents | None = None  # unlabelled text to pre-train on


@dataclass(frozen=True)
class PipelineState:
    """What the stages so far have left."""

    inputs: Mapping[Kind, Artifact]
    checkpoint: Checkpoint
    baseline: Artifact
    baseline_checkpoint: Checkpoint
    artifacts: tuple[Artifact, ...]

    @property
    def history(self) -> tuple[Lineage, ...]:
        """The lineage of every artifact so far."""
        return tuple(made.lineage for made in self.artifacts)

    def after(self, stage: Stage, made: Artifact) -> PipelineState:
        """Return the state once ``stage`` has made ``made``."""
        leading = all(lineage.stage in ("source", *stages.TEACHER_STAGES) for lineage in self.history)
        state = replace(self, inputs={**self.inputs, stage.writes: made}, artifacts=(*self.artifacts, made))
        if stage.writes is Kind.CHECKPOINT:
            state = replace(state, checkpoint=Checkpoint(made.path))
        if leading and stage.name in stages.TEACHER_STAGES:
            state = replace(state, baseline=made, baseline_checkpoint=state.checkpoint)
        return state

    def after_tiers(self, ends: Sequence[PipelineState]) -> PipelineState:
        """Return the state once the tiers of a cascade are made, each of which began with this state.

        ``ends``: where each left off. Their artifacts are remembered; the newest of each kind stays what it
        was.
        """
        made = [each for end in ends for each in end.artifacts[len(self.artifacts) :]]
        return replace(self, artifacts=(*self.artifacts, *made))

    @property
    def tiers(self) -> dict[str, str]:
        """The digest of each tier's draft, by the name of the tier."""
        found = [made for made in self.artifacts if made.tier is not None and made.kind is Kind.DRAFT]
        return {str(made.tier): made.lineage.content for made in found}


def start(job: PipelineJob) -> PipelineState:
    """Wrap the user's model as the first artifact, where it lies."""
    content = job.model.digest
    said = dict(job.source)
    if said.keys() & {"data", "unlabelled"} and (hub_id := resolving.hub_id(str(said.get("model")))):
        said["hub_id"] = hub_id
    if isinstance(data := said.get("data"), Mapping):
        named = [str(name) for key in ("data", "eval_data") if (name := data.get(key)) is not None]
        if on_the_hub := [name for name in named if not paths.named(name).exists() and hub.is_id(name)]:
            said["hub_datasets"] = on_the_hub
    lineage = Lineage(
        stage="source",
        key=content,
        config=without_folders(said),
        seed=job.seed,
        inputs={"data": job.data.digest, **({"text": job.corpus.digest} if job.corpus else {})},
        versions={},
        seconds=0.0,
        content=content,
    )
    source = Artifact(job.model.folder, Kind.CHECKPOINT, lineage)
    return PipelineState({Kind.CHECKPOINT: source}, job.model, source, job.model, (source,))


def name_and_key(
    index: int, step: RecipeStep, state: PipelineState, job: PipelineJob, recipe_text: str
) -> tuple[str, str]:
    """Name the artifact that a stage will make.

    The name of a tier is in none of both: what two tiers, or two recipes, make alike is one artifact.
    """
    stage = step.stage
    available = {
        "data": lambda: job.data.digest,
        "training_data": lambda: job.data.training_digest,
        "slice_columns": lambda: job.data.heldout.columns_digest,
        "fresh_data": lambda: job.data.fresh.digest if job.data.fresh is not None else None,
        "corpus": lambda: job.corpus.digest if job.corpus is not None else None,
        "seed": lambda: job.seed,
        "target": lambda: asdict(job.target),
        "device": lambda: _device(job.target),
        "reference": lambda: artifact.digest_tree(job.reference) if job.reference else None,
        "recipe": lambda: recipe_text,
    }
    wanted = (*stage.depends, *step.config.depends())
    key = digest_value(
        {
            "stage": stage.name,
            "config": _settings(step.config, stage.name, without=("tiers",) if step.tiers else ()),
            "inputs": {kind.value: state.inputs[kind].lineage.content for kind in stage.reads},
            "baseline": state.baseline.lineage.content,
            "task": None if stage.of_text else job.task.to_json(),
            "code": codedigest.of(stage.run.__module__),
            "versions": {
                package: version.split(".")[:2] for package, version in versions(_shaping(stage)).items()
            },
            **{what: available[what]() for what in wanted},
            **({"tiers": list(state.tiers.items())} if step.tiers else {}),
        }
    )
    return f"{index:02d}-{stage.name}-{key[:12]}", key


def _shaping(stage: Stage) -> tuple[str, ...]:
    kind = stage.writes
    engines = host_packages() if kind in _OF_ENGINES else ()
    return (*_SHAPING[kind], *(_OF_TRAINING if stage.distributed else ()), *engines)


def _settings(config: StageConfig, where: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return a config as JSON, with the digest of each model, file or folder in place of its name.

    ``without``: settings that count by what was made of them.
    """
    fields = config.model_dump(mode="json", exclude=set(without))
    for name in fields:
        value = getattr(config, name)
        if isinstance(value, StageConfig):
            fields[name] = _settings(value, f"{where}.{name}")
        elif name in config.CONTENT and isinstance(value, tuple):  # of names, and files of the user's
            there = {each: paths.named(each).is_file() for each in value}
            fields[name] = [_digest(each, where=f"{where}.{name}") if there[each] else each for each in value]
        elif name in config.CONTENT and value is not None:
            fields[name] = _digest(value, where=f"{where}.{name}")
    return fields


def _device(target: Target) -> str:
    from edgeroberta.latency.measurement import device
    from edgeroberta.runtime.session import choose_engine

    return device(choose_engine(None, target.engines))


def _digest(name: str, *, where: str) -> str:
    path = paths.named(name)
    if path.is_file():
        return artifact.digest_file(path)
    if path.is_dir() and not (path / CONFIG).is_file():
        return artifact.digest_tree(path)
    try:
        return resolving.locate(name, cache=cache_dir()).digest
    except CheckpointError as error:
        raise CheckpointError(f"{error.where}: {error.what}", where=where, hint=error.hint) from error
