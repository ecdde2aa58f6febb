"""The stage ``verify``: measure the draft on each engine of its target and ask the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

from edgeroberta.context import Context
from edgeroberta.errors import UsageError
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.changed_rows import ChangeOptions
from edgeroberta.evaluation.per_stage import PerStageMetrics
from edgeroberta.evaluation.result import Report
from edgeroberta.evaluation.slices.settings import SliceGateConfig, SlicesConfig
from edgeroberta.settings import StageConfig
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind


def _no_truth(value: Any) -> Any:
    """Refuse true and false, which would be the bounds 1 and 0."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


Number = Annotated[float, BeforeValidator(_no_truth)]
#: A number from 0 to 1.
Share = Annotated[Number, Field(ge=0, le=1)]


class SwapGateConfig(StageConfig):
    """How much more often swapped terms may change the compressed model's answers."""

    max_increase: Number = Field(
        0.02,
        ge=0,
        le=1,
        description="With gate.swaps: largest increase over the baseline, a share of the texts with a term.",
    )


class RobustnessGateConfig(StageConfig):
    """How much the compressed model may lose on perturbed texts."""

    max_drop: Number = Field(
        0.03,
        ge=0,
        le=1,
        description="With gate.robustness: largest loss of the metric, both models on perturbed texts.",
    )
    min_agreement: Number | None = Field(
        None,
        ge=0,
        le=1,
        description="With gate.robustness: smallest share of perturbed texts with the baseline's answer.",
    )


class GateConfig(StageConfig):
    """How much the compressed model may lose."""

    max_drop: Number = Field(
        0.01, ge=0, le=1, description="Largest loss of the task's metric; 0.01 is one point."
    )
    min_agreement: Number = Field(
        0.95,
        ge=0,
        le=1,
        description="Smallest share of texts with the baseline's answer; its whole interval counts.",
    )
    confidence: Number = Field(0.95, gt=0, lt=1, description="Confidence of the two-sided intervals.")
    min_kept: Number | None = Field(
        None,
        gt=0,
        le=1,
        description="Smallest share of the baseline's metric, judged like max_drop; both must hold.",
    )
    metric: str | None = Field(
        None,
        description="Metric of max_drop and min_kept, one of the task's; null for the default.",
    )
    min_recall: dict[str, Share] = Field(
        default_factory=dict,
        description="Smallest recall by label, of tokens by type of entity, such as {EMAIL: 0.99}.",
    )
    max_recall_drop: Share | dict[str, Share] | None = Field(
        None,
        description="Largest loss of recall: one number for every label, or by label; null for none.",
    )
    min_cosine: Number | None = Field(
        None,
        ge=0,
        le=1,
        description="Of embeddings, the cosine from which on two are the same answer; null for 0.98.",
    )
    swaps: SwapGateConfig | None = Field(
        None, description="What verify.swaps may show, such as {max_increase: 0.02}; null to report it alone."
    )
    robustness: RobustnessGateConfig | None = Field(
        None, description="What verify.perturb may show, such as {max_drop: 0.03}; null to report it alone."
    )
    slices: SliceGateConfig | None = Field(
        None, description="What may be lost on each slice; null where slices are only told."
    )


class VerifyConfig(StageConfig):
    """What to measure, and the gate."""

    CONTENT: ClassVar[tuple[str, ...]] = ("swaps",)

    gate: GateConfig = Field(
        default_factory=lambda: GateConfig.model_validate({}), description="What may be lost."
    )
    engines: Literal["target"] | tuple[str, ...] = Field(
        "target", description="Engines to measure: those of the target, or a list of names."
    )
    latency_rows: int = Field(100, ge=1, description="Texts timed in each of three rounds.")
    examples: int = Field(2000, ge=0, description="Changed answers to list, by row number.")
    keep_examples: bool = Field(
        False, description="List them with their texts, which are your data and are then part of the bundle."
    )
    swaps: tuple[str, ...] = Field(
        (),
        description="Lists of terms to swap in texts: gender, names, nationality, religion, age, or files of"
        " your own that end in .toml.",
    )
    perturb: tuple[str, ...] = Field(
        (), description="How to perturb texts: typos, case, punctuation, width (full and half)."
    )
    slices: SlicesConfig = Field(
        default_factory=lambda: SlicesConfig.model_validate({}),
        description="Parts of the rows to measure each by itself.",
    )

    def depends(self) -> tuple[str, ...]:
        """Depend on what slices do."""
        return self.slices.depends()


@stage("verify", config=VerifyConfig, reads=(Kind.DRAFT,), writes=Kind.REPORT)
def verify(config: VerifyConfig, context: Context) -> Mapping[str, Any]:
    """Write the report and the folder ``reference`` of answers; a verdict of FAIL is no error here."""
    from edgeroberta.evaluation import EvaluationOptions, baseline_store, changed_reference
    from edgeroberta.evaluation import verify as verify_bundle
    from edgeroberta.evaluation.limits import gate_limits
    from edgeroberta.report import pretraining
    from edgeroberta.report import verification as report
    from edgeroberta.storage.publishing import name_of, without_folders

    changes = changed_reference.options(config.swaps, config.perturb, seed=context.seed)
    full, gate = _reference(context, changes), gate_limits(config.gate.model_dump())

    # Before the rest, because it is kept row by row: a run that is killed resumes after the last one.
    per_stage = _per_stage(context, replace(full, task=gate.of(full.task)))
    found = verify_bundle(
        context.inputs[Kind.DRAFT].path,
        context.data.heldout,
        full,
        options=EvaluationOptions(
            gate=gate,
            engines=None if config.engines == "target" else config.engines,
            latency_rows=config.latency_rows,
            threads=context.target.threads,
            examples=config.examples,
            keep_examples=config.keep_examples,
            seed=context.seed,
            leaked=context.data.leaked,
            slices=config.slices.asked(),
        ),
        progress=context.progress,
    )
    linear_ops = [
        {**({} if tier is None else {"tier": tier}), **linear_op}
        for lineage, tier in context.told
        if lineage.stage == "quantize"
        for linear_op in lineage.notes.get("linear_ops", ())
    ]
    lineages = [
        {**asdict(lineage), "config": without_folders(lineage.config), "notes": {}}
        | ({} if tier is None else {"tier": tier})
        for lineage, tier in context.told
    ]
    found = replace(
        found.with_history(linear_ops, lineages, per_stage),
        cascade=_cascade(found, context),
        pretraining=pretraining.facts(context.history),
    )
    report.write(found, context.output)
    # One that was given may be of a version that kept paths.
    told = replace(full, model=name_of(full.model), data_source=name_of(full.data_source))
    baseline_store.save(told, context.output / "reference")
    context.progress.line(f"verdict: {found.verdict}: {found.judgement.reason}")
    return {
        "verdict": found.verdict.value,
        "reason": found.judgement.reason,
        "rows_needed": found.judgement.rows_needed,
    }


def _cascade(found: Report, context: Context) -> Mapping[str, Any] | None:
    """Return what thresholds were chosen by and came to on held-out rows; None where there are none."""
    notes = next((lineage.notes for lineage in context.history if lineage.stage == "cascade"), None)
    if notes is None:
        return None
    heldout = {
        result.engine: {
            "agreement": result.cascade.agreement.mean,
            "interval": [result.cascade.agreement.low, result.cascade.agreement.high],
            "rows": len(context.data.heldout),
            "tiers": [
                {
                    "name": tier.name,
                    "share": tier.share,
                    "texts": tier.texts,
                    "score": tier.metric,
                    "agreement": tier.agreement,
                }
                for tier in result.cascade.tiers
            ],
        }
        for result in found.engines
        if result.cascade is not None
    }
    return {**notes, "heldout": heldout}


def _per_stage(context: Context, full: BaselineAnswers) -> PerStageMetrics | None:
    """Measure what the model was worth after every stage; only here, where held-out rows may be seen."""
    from edgeroberta.evaluation.per_stage import measuring

    run = measuring.EvaluatedRun(
        artifacts=context.artifacts,
        baseline=context.baseline,
        rows=context.data.heldout,
        reference=full,
        kept=context.per_stage,
        scratch=context.scratch,
        seed=context.seed,
    )
    return measuring.measure(run, progress=context.progress)


def _reference(context: Context, changes: ChangeOptions) -> BaselineAnswers:
    """Take the reference that was given; else the one an interrupted run left; else measure it."""
    from edgeroberta.evaluation import baseline_store
    from edgeroberta.evaluation.baseline import BaselineOptions, measure
    from edgeroberta.evaluation.changed_reference import answered
    from edgeroberta.runtime import manifest

    rows, model = context.data.heldout, context.baseline
    draft = manifest.read(context.inputs[Kind.DRAFT].path)
    # Both are asked alike: what a bundle was fitted to say of questions holds for the baseline, too.
    limits = {name: getattr(draft.task, name) for name in ("no_answer", "max_answer_tokens")}
    task, overlap = replace(context.task, **limits), draft.long_texts.overlap
    if context.reference is not None:
        given = baseline_store.load(context.reference)
        baseline_store.check(given, rows=rows, task=task, model_digest=model.digest, overlap=overlap)
        return answered(baseline_store.read_as(given, task, rows), model, rows, changes, given=True)
    scratch: Path = context.scratch / "reference"
    if (scratch / baseline_store.JSON_FILE).is_file():
        try:
            left = baseline_store.load(scratch)
            baseline_store.check(left, rows=rows, task=task, model_digest=model.digest, overlap=overlap)
            return answered(baseline_store.read_as(left, task, rows), model, rows, changes, given=False)
        except UsageError as error:
            context.progress.line(f"measuring the baseline again ({error.what})")
    context.progress.line(f"measuring the baseline on {len(rows):,} rows")
    # A bench times the baseline in batches beside the bundle; here nothing is compared with it.
    fresh = measure(model, rows, task, BaselineOptions(offline=False, overlap=overlap, changes=changes))
    baseline_store.save(fresh, scratch)
    return fresh
