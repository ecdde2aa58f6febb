"""The stage ``cascade``: several models are asked in turn, as long as none of them is sure enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import RecipeError
from edgeroberta.runtime.tier_facts import NAME
from edgeroberta.settings import StageConfig
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind

if TYPE_CHECKING:
    from edgeroberta.cascade import CascadeChoice
    from edgeroberta.evaluation.tier_answers import TierAnswers
    from edgeroberta.tasks import Task

#: Texts that are timed on each tier.
TIMED_TEXTS = 100


class TierConfig(StageConfig):
    """One of the models."""

    name: str = Field(description="What predictions call it: letters, digits, - and _, at most 64.")
    stages: tuple[dict[str, dict[str, Any]], ...] = Field(
        min_length=1,
        description="The stages that make it of the model before the cascade, each with its settings; the"
        " last one is build.",
    )

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("a name of letters, digits, - and _, at most 64")
        return name


class CascadeConfig(StageConfig):
    """Which models, and how often the answer may differ from the last one's."""

    CONTENT: ClassVar[tuple[str, ...]] = ("texts",)

    agreement: float = Field(
        0.99,
        gt=0,
        lt=1,
        description="Least share of texts that get the answer which the last tier gives.",
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="How sure it is that this share is kept.")
    rows: Literal["auto"] | int = Field(
        "auto",
        description="Training rows that are set aside for the thresholds, and learnt from by nothing; auto: a"
        " tenth of them, at most 4,000, and of few rows as many as the promise takes.",
    )
    texts: str | None = Field(
        None,
        description="File of texts for the thresholds instead, without labels: as they will come on the"
        " device, and learnt from by nothing.",
    )
    engine: str | None = Field(
        None,
        description="Engine that the thresholds are chosen on; by default the first of the target's that all"
        " tiers were built for and that runs here.",
    )
    tiers: tuple[TierConfig, ...] = Field(
        min_length=2,
        max_length=3,
        description="The models in the order in which they are asked, each with the stages that make it.",
    )

    @field_validator("rows")
    @classmethod
    def _some(cls, rows: str | int) -> str | int:
        if isinstance(rows, int) and rows < 1:
            raise ValueError("should be 'auto' or at least 1")
        return rows

    @field_validator("tiers")
    @classmethod
    def _differ(cls, tiers: tuple[TierConfig, ...]) -> tuple[TierConfig, ...]:
        names = [tier.name.lower() for tier in tiers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two tiers are called {name!r}")
        return tiers

    def depends(self) -> tuple[str, ...]:
        """The rows for the thresholds, and the machine that answers and times them."""
        return ("fresh_data", "device")


def require_confidence(task: Task) -> None:
    """Refuse a cascade for a task whose answers have no confidence."""
    from edgeroberta import cascade

    if not cascade.possible(task):
        raise RecipeError(
            f"a model for {task.optimum_task} gives no answers that it could be more or less sure of, so none"
            " of them can stand for a larger model's",
            where="cascade",
            hint="compress it by itself, with one of the other recipes",
            code="usage.no-cascade",
        )


def _check(config: CascadeConfig, outset: RunOutline) -> RunOutline:
    require_confidence(outset.task)
    return outset


@stage("cascade", config=CascadeConfig, reads=(Kind.CHECKPOINT,), writes=Kind.DRAFT, check=_check)
def cascade(config: CascadeConfig, context: Context) -> Mapping[str, Any]:
    """Choose the thresholds, and write the drafts of all tiers into one.

    ``context``: the drafts, the validation rows, and fresh rows, which nothing has seen. A tier that is not
    worth asking is left out; where that is every one but the last, the draft is the last tier's alone.
    Returns notes: what was chosen and why, on which engine, and what comes of it on the other engines.
    """
    from edgeroberta.evaluation import tier_answers
    from edgeroberta.runtime import manifest
    from edgeroberta.storage.publishing import name_of

    asked = tier_answers.ask(
        {name: made.path for name, made in context.tiers.items()},
        context.data,
        engine=config.engine,
        threads=context.target.threads,
        calls=TIMED_TEXTS,
        seed=context.seed,
        progress=context.progress,
    )
    # As the device reads outputs: with what was fitted to them, such as when a question has no answer.
    *_, last = context.tiers.values()
    task = manifest.read(last.path).task
    choice = _choose(config, context, asked, task)
    _write(context, choice)
    for line in _told(choice, asked.engine):
        context.progress.line(line)
    fresh = context.data.fresh
    assert fresh is not None  # they have been asked about it
    return {
        "engine": asked.engine,
        "rows_of": {
            "source": name_of(fresh.source),
            "rows": len(fresh),
            "set_aside": config.texts is None,
        },
        "choice": choice.to_json(),
        "fresh": tier_answers.on_engines(asked, choice, task, context.data),
    }


def _choose(config: CascadeConfig, context: Context, asked: TierAnswers, task: Task) -> CascadeChoice:
    from edgeroberta import cascade
    from edgeroberta.data import texts

    fresh = context.data.fresh
    if fresh is None:
        raise ValueError("the rows of a cascade have some set aside for its thresholds")
    return cascade.choose(
        task,
        [
            cascade.TierEvidence(
                name, each.validation, each.fresh, each.seconds, each.takes_validation, each.takes_fresh
            )
            for name, each in asked.tiers.items()
        ],
        labels=context.data.validation.labels,
        fresh_labels=fresh.labels,
        groups=texts.groups(fresh),
        agreement=config.agreement,
        confidence=config.confidence,
    )


def _write(context: Context, choice: CascadeChoice) -> None:
    """Write the draft: of all tiers that are asked, or of the last one where no other is."""
    from edgeroberta import bundle_writer, cascade_writer
    from edgeroberta.runtime.manifest import MANIFEST_FILE
    from edgeroberta.stages.build import lineage
    from edgeroberta.storage import jsontext
    from edgeroberta.storage.artifact import copy_tree

    drafts = {name: made.path for name, made in context.tiers.items()}
    *first, last = choice.asked
    if not first:
        copy_tree(drafts[last.name], context.output)
        fields = jsontext.loads((drafts[last.name] / MANIFEST_FILE).read_bytes())
        bundle_writer.seal(context.output, {**fields, "lineage": lineage(context)})
        return
    found = [
        cascade_writer.TierDraft(tier.name, drafts[tier.name], tier.threshold, tier.calibration, tier.share)
        for tier in first
        if tier.threshold is not None and tier.calibration is not None
    ]
    cascade_writer.write(
        context.output,
        [*found, cascade_writer.TierDraft(last.name, drafts[last.name])],
        agreement=choice.agreement,
        confidence=choice.confidence,
        rows=choice.rows,
        changes={"lineage": lineage(context)},
    )


def _told(choice: CascadeChoice, engine: str) -> list[str]:
    """Say who will answer how much, and what is promised or cannot be."""
    shares = ", ".join(f"{tier.name} {tier.share:.1%}" for tier in choice.asked)
    return [f"{choice.reason} ({engine})", *([f"texts answered by {shares}"] if choice.kept else [])]
