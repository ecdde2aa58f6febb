"""The stage ``verify``: measure the draft on each engine of its target and ask the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgeroberta.errors import UsageError
from edgeroberta.evaluate.per_stage import Ledger
from edgeroberta.evaluate.reference import Reference
from edgeroberta.stages import Context, StageConfig, stage
from edgeroberta.storage.artifact import Kind


class GateConfig(StageConfig):
    """How much the compressed model may lose."""

    max_drop: float = Field(
        0.01, ge=0, le=1, description="Largest loss of the task's metric; 0.01 is one point."
    )
    min_agreement: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Smallest share of texts with the baseline's answer; its whole interval counts.",
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="Confidence of the two-sided intervals.")
    min_kept: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Smallest share of the baseline's metric, judged like max_drop; both must hold.",
    )
    metric: (
        Literal["accuracy", "macro_f1", "matthews", "micro_f1", "subset_accuracy", "pearson", "spearman"]
        | None
    ) = Field(
        None,
        description="Metric of max_drop and min_kept; null for the default of the task.",
    )


class VerifyConfig(StageConfig):
    """What to measure, and the gate."""

    gate: GateConfig = Field(
        default_factory=lambda: GateConfig.model_validate({}), description="What may be lost."
    )
    engines: Literal["target"] | tuple[str, ...] = Field(
        "target", description="Engines to measure: those of the target, or a list of names."
    )
    latency_rows: int = Field(100, ge=1, description="Texts timed in each of three rounds.")
    examples: int = Field(10, ge=0, description="Changed answers to show, by row number.")
    keep_examples: bool = Field(
        False, description="Show them with their texts, which are your data and are then part of the bundle."
    )


@stage("verify", config=VerifyConfig, reads=(Kind.DRAFT,), writes=Kind.REPORT)
def verify(config: VerifyConfig, context: Context) -> Mapping[str, Any]:
    """Write the report and the folder ``reference`` of answers; a verdict of FAIL is no error here."""
    from edgeroberta.evaluate import Options, reference
    from edgeroberta.evaluate import verify as verify_bundle
    from edgeroberta.evaluate.report import Gate
    from edgeroberta.report import verification as report
    from edgeroberta.storage.publishing import name_of, without_folders

    full = _reference(context)
    # Before the rest, because it is kept row by row: a run that is killed goes on after the last one.
    ledger = _ledger(context, full)
    found = verify_bundle(
        context.inputs[Kind.DRAFT].path,
        context.data.heldout,
        full,
        options=Options(
            gate=Gate(**config.gate.model_dump()),
            engines=None if config.engines == "target" else config.engines,
            latency_rows=config.latency_rows,
            threads=context.target.threads,
            examples=config.examples,
            keep_examples=config.keep_examples,
            seed=context.seed,
            leaked=context.data.leaked,
        ),
        progress=context.progress,
    )
    sites = [
        site
        for lineage in context.history
        if lineage.stage == "quantize"
        for site in lineage.notes.get("sites", ())
    ]
    lineages = [
        {**asdict(lineage), "config": without_folders(lineage.config), "notes": {}}
        for lineage in context.history
    ]
    report.write(found.with_history(sites, lineages, ledger), context.output)
    # One that was given may be of a version that kept paths.
    told = replace(full, model=name_of(full.model), data_source=name_of(full.data_source))
    reference.save(told, context.output / "reference")
    context.progress.line(f"verdict: {found.verdict}: {found.judgement.reason}")
    return {
        "verdict": found.verdict.value,
        "reason": found.judgement.reason,
        "rows_needed": found.judgement.rows_needed,
    }


def _ledger(context: Context, full: Reference) -> Ledger | None:
    """Measure what the model was worth after every stage; only here, where held-out rows may be seen."""
    from edgeroberta.evaluate.per_stage import measuring

    run = measuring.Run(
        artifacts=context.artifacts,
        full_size=context.full_size,
        rows=context.data.heldout,
        reference=full,
        kept=context.ledger,
        scratch=context.scratch,
        seed=context.seed,
    )
    return measuring.measure(run, progress=context.progress)


def _reference(context: Context) -> Reference:
    """Take the reference that was given; else the one an interrupted run left; else measure it."""
    from edgeroberta.evaluate import reference
    from edgeroberta.evaluate.baseline import Options, measure

    rows, task, model = context.data.heldout, context.task, context.full_size
    if context.reference is not None:
        given = reference.load(context.reference)
        reference.check(given, rows=rows, task=task, model_digest=model.digest)
        return given
    scratch: Path = context.scratch / "reference"
    if (scratch / reference.JSON_FILE).is_file():
        try:
            left = reference.load(scratch)
            reference.check(left, rows=rows, task=task, model_digest=model.digest)
            return left
        except UsageError as error:
            context.progress.line(f"measuring the full-size model again ({error.what})")
    context.progress.line(f"measuring the full-size model on {len(rows):,} rows")
    # A bench times the full-size model in batches beside the bundle; here nothing is compared with it.
    fresh = measure(model, rows, task, Options(offline=False))
    reference.save(fresh, scratch)
    return fresh
