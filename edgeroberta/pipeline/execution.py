"""Make the artifacts of a list of stages, or tell which of them are there: the tiers of a cascade one by one.

The stages of a tier begin with the model that the cascade begins with, and have the names and keys that they
would have in a recipe without the others: what two tiers, or two recipes, make alike is made once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from edgeroberta import distributed
from edgeroberta.context import Context
from edgeroberta.distributed import Ranks
from edgeroberta.hardware import versions
from edgeroberta.pipeline import workspace
from edgeroberta.pipeline.job import PipelineJob, PipelineState, name_and_key, start
from edgeroberta.pipeline.workspace import Workspace
from edgeroberta.progress import Progress
from edgeroberta.recipe import RecipeStep, walk
from edgeroberta.runtime.session import host_packages
from edgeroberta.storage import artifact
from edgeroberta.storage.artifact import Artifact, Lineage
from edgeroberta.version import __version__

logger = logging.getLogger(__name__)

#: Packages whose versions are kept in every lineage, beside those of engines.
_RECORDED = ("numpy", "tokenizers", "torch", "transformers", "accelerate", "onnx")


@dataclass(frozen=True)
class StageRun:
    """One stage that is through."""

    artifact: Artifact
    reused: bool  # True when a former run had made it


class _Maker(Protocol):
    """Makes or finds the artifact of one stage; None where it is not there, which ends its chain."""

    def __call__(self, index: int, step: RecipeStep, state: PipelineState) -> Artifact | None: ...


def follow(steps: Sequence[RecipeStep], state: PipelineState, make: _Maker) -> PipelineState | None:
    """Go through stages in order, those of tiers first.

    ``make``: called with the number that the artifact gets in its name, the stage, and the state before it.
    Returns the state at the end; None where the artifact of a stage is not there.
    """
    index = 0
    for step in steps:
        ends = [_tier(tier.name, tier.steps, index, state, make) for tier in step.tiers]
        done = [end for end in ends if end is not None]
        if len(done) < len(ends):
            return None
        state = state.after_tiers(done)
        index += max((len(tier.steps) for tier in step.tiers), default=0)
        made = make(index, step, state)
        if made is None:
            return None
        state = state.after(step.stage, made)
        index += 1
    return state


def _tier(
    name: str, steps: Sequence[RecipeStep], index: int, state: PipelineState, make: _Maker
) -> PipelineState | None:
    for offset, step in enumerate(steps):
        made = make(index + offset, step, state)
        if made is None:
            return None
        state = state.after(step.stage, replace(made, tier=name))
    return state


def find(steps: Sequence[RecipeStep], job: PipelineJob, recipe_text: str) -> list[Artifact | None]:
    """Return the artifacts that a run would reuse, one entry for each of :func:`edgeroberta.recipe.walk`."""
    found: dict[int, Artifact] = {}
    numbers = {id(placed.step): number for number, placed in enumerate(walk(steps))}

    def look(index: int, step: RecipeStep, state: PipelineState) -> Artifact | None:
        name, key = name_and_key(index, step, state, job, recipe_text)
        path = job.work / name
        there = workspace.reusable_artifact(path, key) if path.is_dir() else None
        if there is not None:
            found[numbers[id(step)]] = there
        return there

    follow(steps, start(job), look)
    return [found.get(number) for number in range(len(numbers))]


@dataclass
class Execution:
    """The stages of one run in a work folder that is held."""

    job: PipelineJob
    progress: Progress
    recipe_text: str
    work: Workspace | None  # None but for the main process
    ranks: Ranks = field(default_factory=distributed.current)
    made: list[StageRun] = field(default_factory=list)  # what is through, in the order in which it ran
    labels: dict[int, str] = field(default_factory=dict)  # what is told of a stage, by the id of its step

    def run(self, steps: Sequence[RecipeStep]) -> tuple[StageRun, ...]:
        """Make what is not there yet; returns every stage."""
        placed = list(walk(steps))
        for number, (step, _, tier) in enumerate(placed, start=1):
            whose = "" if tier is None else f"{tier}: "
            self.labels[id(step)] = f"[{number}/{len(placed)}] {whose}{step.stage.name}"
        end = follow(steps, start(self.job), self._make)
        assert end is not None  # what is not there is made
        # With the tiers that they belong to, which only the state knows.
        runs = zip(end.artifacts[1:], self.made, strict=True)
        return tuple(replace(run, artifact=made) for made, run in runs)

    def _make(self, index: int, step: RecipeStep, state: PipelineState) -> Artifact:
        ranks, work = self.ranks, self.work
        name, key = ranks.share(
            name_and_key(index, step, state, self.job, self.recipe_text) if work else None
        )
        found = work.find(name, key) if work else None
        reused = ranks.share(found is not None)
        label = self.labels[id(step)]
        self.progress.line(f"{label}: reused" if reused else label)
        if not reused:
            found = self._run(step, self._context(state, name), key)
        done = found or artifact.load(self.job.work / name)
        self.made.append(StageRun(done, reused))
        return done

    def _run(self, step: RecipeStep, context: Context, key: str) -> Artifact | None:
        """Run one stage; the main process returns the sealed artifact, others None."""
        stage, ranks, work = step.stage, self.ranks, self.work
        name = context.output.parent.name.removeprefix(workspace.PARTIAL)
        if work:
            work.begin(name)
            logger.info("%s: settings %s", name, step.config.model_dump(mode="json"))
        ranks.wait()
        started = time.monotonic()
        notes: Mapping[str, Any] = {}
        if work or stage.distributed:
            notes = stage.run(step.config, context)
        ranks.wait()
        done = None
        if work:
            drafts = {f"tier {name}": made.lineage.content for name, made in context.tiers.items()}
            config = step.config.model_dump(mode="json")
            if step.tiers:  # the stages that made them have lineages of their own
                config["tiers"] = [tier.name for tier in step.tiers]
            lineage = Lineage(
                stage=stage.name,
                key=key,
                config=config,
                seed=context.seed,
                inputs={
                    **{kind.value: context.inputs[kind].lineage.content for kind in stage.reads},
                    **(drafts if step.tiers else {}),
                },
                versions={"edgeroberta": __version__, **versions((*_RECORDED, *host_packages()))},
                seconds=round(time.monotonic() - started, 3),
                notes=dict(notes),
            )
            done = work.finish(name, stage.writes, lineage)
            logger.info("%s: %s in %.1f s, notes %s", name, stage.writes, lineage.seconds, dict(notes))
        ranks.wait()
        return done

    def _context(self, state: PipelineState, name: str) -> Context:
        job = self.job
        partial = job.work / f"{workspace.PARTIAL}{name}"
        return Context(
            output=partial / "output",
            scratch=partial / "scratch",
            inputs=state.inputs,
            checkpoint=state.checkpoint,
            baseline=state.baseline_checkpoint,
            task=job.task,
            data=job.data,
            corpus=job.corpus,
            target=job.target,
            seed=job.seed,
            reference=job.reference,
            progress=self.progress,
            recipe_text=self.recipe_text,
            history=state.history,
            artifacts=state.artifacts,
            teacher_outputs=job.work / workspace.TEACHER,
            per_stage=job.work / workspace.PER_STAGE,
        )
